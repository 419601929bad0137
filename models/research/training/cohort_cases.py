"""Cases of a cohort for training: divided by patient, checked against memory, prepared, and kept on disk."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.errors import CohortError
from models.manifest import file_digest
from models.research.cohort.reading import volumes_of
from models.research.cohort.records import Case, Cohort, Split
from models.research.training.prepared_cases import PreparedCase, prepared
from models.segmentation import preprocessing
from models.segmentation.preprocessing import PreprocessingSettings
from models.volume import Grid, Sequence

VALIDATION_SHARE = 0.2
COHORT_USE = "trained on the cohort named under training data; research use only, not for diagnosis"


@dataclass(frozen=True, slots=True)
class Division:
    """What each case is used for; no patient is in two parts."""

    training: tuple[Case, ...]
    validation: tuple[Case, ...]
    test: tuple[Case, ...]


def divide(cohort: Cohort, seed: int) -> Division:
    """The parts that the table names; cases without a split go to training and validation, 8:2 by patient.

    Raises:
        CohortError: nothing is left to train on or to validate with.
    """
    free = sorted({case.facts.patient_id for case in cohort.cases if case.facts.split is None})
    random.Random(seed).shuffle(free)
    drawn = set(free[: round(VALIDATION_SHARE * len(free))])

    def part(case: Case) -> Split:
        return case.facts.split or (Split.VALIDATION if case.facts.patient_id in drawn else Split.TRAIN)

    parts = {split: tuple(case for case in cohort.cases if part(case) is split) for split in Split}
    if empty := [split.value for split in (Split.TRAIN, Split.VALIDATION) if not parts[split]]:
        raise CohortError((f"labels.csv: no case is left for {' and '.join(empty)}",))
    return Division(parts[Split.TRAIN], parts[Split.VALIDATION], parts[Split.TEST])


def cohort_statement(cohort: Cohort, division: Division) -> str:
    """What a manifest says of its training data."""
    counts = f"{len(division.training)}:{len(division.validation)}:{len(division.test)}"
    scanners = sorted({case.facts.equipment.name for case in division.training})
    return (
        f"cohort {cohort.folder.resolve().name}: {len(cohort.cases)} cases on {', '.join(scanners)}, split {counts} "
        "into training, validation and test by patient"
    )


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
    described = f"{settings.model_dump_json()} {sequences}"
    total = hashlib.sha256(described.encode() + Path(preprocessing.__file__).read_bytes())
    for sequence, volume in sorted(case.volumes.items()):
        total.update(f"{sequence} {file_digest(volume.image)} ".encode())
        total.update(file_digest(volume.mask).encode() if volume.mask else b"")
    return total.hexdigest()[:16]
