"""Cases of a cohort for training: divided by patient, checked against memory, prepared, and kept on disk."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.cohort.reading import volumes_of
from models.cohort.records import Case, Cohort, Split
from models.errors import CohortError
from models.manifest import file_digest
from models.segmentation import preprocessing
from models.segmentation.preprocessing import PreprocessingSettings
from models.training.prepared_cases import PreparedCase, prepared
from models.volume import Grid

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


def kept_bytes(grid: Grid, settings: PreprocessingSettings) -> float:
    """Bytes of a prepared volume: image and share of tumour (float32) of the central region on the network's grid."""
    extent = np.multiply(grid.size, grid.spacing)
    extent[:2] = np.minimum(extent[:2], settings.central_region_mm)
    return float(np.prod(np.ceil(extent / np.asarray(settings.spacing_mm)))) * 8


def passing_bytes(grid: Grid) -> float:
    """Bytes that reading and preparing one case takes: image, mask and working copies of three sequences."""
    return float(np.prod(grid.size)) * 4 * 3 * 4


def prepared_cohort(
    cases: Iterable[Case], settings: PreprocessingSettings, cache: Path
) -> tuple[list[PreparedCase], list[str]]:
    """All sequences of the cases, and a line for each tumour that lies outside of the region that is looked at."""
    found: list[PreparedCase] = []
    faults: list[str] = []
    for case in cases:
        for sequence in _sequences(case, settings, cache):
            found.append(sequence)
            if case.facts.tumour and not sequence.tumour.any():
                width, height = settings.central_region_mm
                faults.append(
                    f"case {case.facts.case_id}: the tumour of {sequence.sequence} lies outside of the "
                    f"central {width:g} x {height:g} mm, or is too small for voxels of {settings.spacing_mm} mm"
                )
    return found, faults


def _sequences(case: Case, settings: PreprocessingSettings, cache: Path) -> Iterator[PreparedCase]:
    """Kept under a digest of files, settings and code, so that a changed mask is prepared again."""
    name = case.facts.case_id
    return prepared(name, cache / f"{name}-{_key(case, settings)}.npz", lambda: volumes_of(case), settings)


def _key(case: Case, settings: PreprocessingSettings) -> str:
    total = hashlib.sha256(settings.model_dump_json().encode() + Path(preprocessing.__file__).read_bytes())
    for sequence, volume in sorted(case.volumes.items()):
        total.update(f"{sequence} {file_digest(volume.image)} ".encode())
        total.update(file_digest(volume.mask).encode() if volume.mask else b"")
    return total.hexdigest()[:16]
