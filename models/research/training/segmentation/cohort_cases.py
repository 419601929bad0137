"""Cases of a cohort prepared for segmentation training, checked against memory and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from models.manifest import file_digest
from models.research.cohort.reading import volumes_of
from models.research.cohort.records import Case
from models.research.source_digest import source_digest
from models.research.training.segmentation.prepared_cases import PreparedCase, prepared
from models.segmentation.preprocessing import PreprocessingSettings
from models.sequence import Sequence
from models.volume import Grid


def kept_bytes(grid: Grid, settings: PreprocessingSettings) -> float:
    """Bytes of a prepared volume: image and share of tumour (float32) of the central region on the network's grid."""
    extent = np.multiply(grid.size, grid.spacing)
    extent[:2] = np.minimum(extent[:2], settings.central_region_mm)
    return float(np.prod(np.ceil(extent / np.asarray(settings.spacing_mm)))) * 8


def passing_bytes(grid: Grid) -> float:
    """Bytes that reading and preparing one case takes: image, mask and working copies of three sequences."""
    return float(np.prod(grid.size)) * 4 * 3 * 4


def prepared_cohort(
    cases: Iterable[Case], sequences: tuple[Sequence, ...], settings: PreprocessingSettings, cache: Path
) -> tuple[list[PreparedCase], list[str]]:
    """The cases, and a line for each tumour that lies outside of the region that is looked at.

    They are kept under a digest of files, settings and code, so that a changed mask is prepared again.
    """
    found: list[PreparedCase] = []
    faults: list[str] = []
    for case in cases:
        name = case.facts.case_id
        path = cache / f"{name}-{_key(case, sequences, settings)}.npz"
        ready = prepared(name, path, partial(volumes_of, case), sequences, settings)
        found.append(ready)
        for sequence, known, tumour in zip(sequences, ready.known, ready.tumour, strict=True):
            if case.facts.tumour and known and not tumour.any():
                width, height = settings.central_region_mm
                faults.append(
                    f"case {name}: the tumour of {sequence} lies outside of the central {width:g} x {height:g} mm, or "
                    f"is too small for voxels of {settings.spacing_mm} mm"
                )
    return found, faults


def _key(case: Case, sequences: tuple[Sequence, ...], settings: PreprocessingSettings) -> str:
    total = hashlib.sha256(f"{settings.model_dump_json()} {sequences} {source_digest(__name__)}".encode())
    for sequence, volume in sorted(case.volumes.items()):
        total.update(f"{sequence} {file_digest(volume.image)} ".encode())
        total.update(file_digest(volume.mask).encode() if volume.mask else b"")
    return total.hexdigest()[:16]
