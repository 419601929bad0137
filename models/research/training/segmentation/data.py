"""Data for training, validating and testing the segmentation: simulated patients, or a cohort on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from models.manifest import RESEARCH_STATEMENT
from models.research.cohort.memory import check_memory
from models.research.cohort.reading import read_cohort
from models.research.cohort.records import Needs
from models.research.errors import CohortError
from models.research.phantom.cohort import TEST, TEST_TRAINED_SCANNERS, SimulatedCohort
from models.research.phantom.scanners import Scanner
from models.research.training.cohort_division import COHORT_USE, cohort_statement, divide
from models.research.training.processes import in_order
from models.research.training.protocol_range import ProtocolRange, protocol_range, protocol_range_of
from models.research.training.segmentation.cohort_cases import kept_bytes, passing_bytes, prepared_cohort
from models.research.training.segmentation.held_out_dice import HeldOutCase, of_cohort, simulated
from models.research.training.segmentation.prepared_cases import PreparedCase, prepared_simulation
from models.research.training.simulated_cases import CaseKey, case_keys, split_cases, split_scanners
from models.segmentation.preprocessing import PreprocessingSettings
from models.sequence import Sequence

MOST_VALIDATION_CASES = 20
"""Simulated cases that judge every epoch: a whole case costs as much as a few steps."""


@dataclass(frozen=True, slots=True)
class SegmentationData:
    """Prepared cases, and what a manifest says of them.

    Attributes:
        tests: held-out cases by the name of their group, read or simulated only when they are asked for.
        statement: for `training_data`.
        trained_on: names of scanners.
    """

    training: SequenceOf[PreparedCase]
    validation: SequenceOf[PreparedCase]
    tests: Mapping[str, Callable[[], Iterable[HeldOutCase]]]
    sequences: tuple[Sequence, ...]
    protocol: ProtocolRange
    trained_on: tuple[str, ...]
    statement: str
    intended_use: str

    @property
    def digest(self) -> str:
        """SHA-256 (hex, 16) over all prepared arrays: a run goes on only on the same data."""
        total = hashlib.sha256()
        for case in (*self.training, *self.validation):
            total.update(case.name.encode() + np.ascontiguousarray(case.images).tobytes() + case.shares.tobytes())
        return total.hexdigest()[:16]


def from_cohort(
    fabric: Fabric,
    folder: Path,
    sequences: tuple[Sequence, ...],
    settings: PreprocessingSettings,
    seed: int,
    cache: Path,
) -> SegmentationData:
    """The cohort in `folder`, looked through whole before anything starts.

    Raises:
        CohortError: with a line for each case that cannot be trained on, or that does not fit into memory.
    """
    cohort = read_cohort(folder, Needs(sequences=sequences))
    check_memory(cohort, lambda grid: kept_bytes(grid, settings), passing_bytes)
    division = divide(cohort, seed)
    # One process prepares, the others read what it has kept.
    with fabric.rank_zero_first(local=True):
        training, faults = prepared_cohort(division.training, sequences, settings, cache)
        validation, more = prepared_cohort(division.validation, sequences, settings, cache)
    if faults or more:
        raise CohortError((*faults, *more))
    scanners = sorted({case.facts.equipment.name for case in division.training})
    return SegmentationData(
        training=training,
        validation=validation,
        tests={"test_cohort": lambda: of_cohort(division.test)} if division.test else {},
        sequences=sequences,
        protocol=protocol_range_of(cohort),
        trained_on=tuple(scanners),
        statement=cohort_statement(cohort, division),
        intended_use=COHORT_USE,
    )


def from_simulation(
    fabric: Fabric,
    cases: tuple[int, int],
    test_cases: int,
    held_out: SequenceOf[str],
    sequences: tuple[Sequence, ...],
    settings: PreprocessingSettings,
    seed: int,
    cache: Path,
    workers: int = 0,
) -> SegmentationData:
    """Simulated patients; `cases` are first seed and count, `held_out` scanners to test on only.

    Tested is on the first `test_cases` patients of each test cohort. `workers`: processes that
    simulate; 0 is this one.
    """
    known, unknown = split_scanners(held_out)
    training_keys, validation_keys = split_cases(case_keys(*cases, known), seed)
    with fabric.rank_zero_first(local=True):
        training = _load(fabric, training_keys, sequences, settings, cache, workers)
        validation = _load(fabric, validation_keys[:MOST_VALIDATION_CASES], sequences, settings, cache, workers)
    groups = {"test_trained_scanners": (TEST_TRAINED_SCANNERS, known), "test_other_scanners": (TEST, unknown)}

    def of(cohort: SimulatedCohort, scanners: tuple[Scanner, ...]) -> Callable[[], Iterable[HeldOutCase]]:
        return lambda: simulated(case_keys(cohort.seeds.start, test_cases, scanners), workers)

    names = tuple(scanner.model for scanner in known)
    return SegmentationData(
        training=training,
        validation=validation,
        tests={name: of(*group) for name, group in groups.items() if test_cases and group[1]},
        sequences=sequences,
        protocol={sequence: found for sequence, found in protocol_range(known).items() if sequence in sequences},
        trained_on=names,
        statement=f"{cases[1]} simulated studies (seeds {cases[0]} to {cases[0] + cases[1] - 1}) of {', '.join(names)}"
        ", split 8:2 by case",
        intended_use=RESEARCH_STATEMENT,
    )


def _load(
    fabric: Fabric,
    keys: SequenceOf[CaseKey],
    sequences: tuple[Sequence, ...],
    settings: PreprocessingSettings,
    cache: Path,
    workers: int,
) -> list[PreparedCase]:
    """The cases, simulated where the cache lacks them."""
    calls = [(key, sequences, settings, cache) for key in keys]
    loaded: list[PreparedCase] = []
    for done, case in enumerate(in_order(prepared_simulation, calls, workers), start=1):
        loaded.append(case)
        if done % 10 == 0:
            fabric.print(f"{done} of {len(keys)} cases ready", flush=True)
    return loaded
