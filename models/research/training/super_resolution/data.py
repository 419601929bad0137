"""Data for training, validating and testing the super-resolution: simulated and real series, or a cohort on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

from models.manifest import RESEARCH_STATEMENT
from models.research.cohort.memory import check_memory
from models.research.cohort.reading import read_cohort
from models.research.cohort.records import Case, Needs
from models.research.errors import CohortError
from models.research.phantom.scanners import Scanner
from models.research.training.cohort_division import COHORT_USE, cohort_statement, divide
from models.research.training.protocol_range import ProtocolRange, protocol_range, protocol_range_of
from models.research.training.simulated_cases import case_keys, split_cases, split_scanners
from models.research.training.super_resolution.cohort_stacks import cohort_stacks, faults_of, kept_bytes, passing_bytes
from models.research.training.super_resolution.held_out_image_quality import (
    HeldOut,
    Trial,
    cohort_trials,
    of_cohort,
    of_simulation,
    real_trials,
    simulated_trials,
)
from models.research.training.super_resolution.real_stacks import load_real
from models.research.training.super_resolution.simulated_stacks import load_simulated
from models.research.training.super_resolution.stack_pairs import AcquiredPair, PairSource, Size
from models.sequence import ANALYSED, Sequence
from models.super_resolution.degradation import Factor
from models.super_resolution.normalisation import Modality

#: Validation volumes that the page of a training shows.
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Pairs:
    """How pairs are made. `patch` in thick voxels (z, y, x); clean, as_measured: see `real_stacks.load_real`."""

    factor: Factor
    patch: Size
    clean: bool
    as_measured: float
    modality: Modality = Modality.MR


@dataclass(frozen=True, slots=True)
class SuperResolutionData:
    """Stacks, and what a manifest says of them.

    Attributes:
        training, validation: groups of stacks that pairs are drawn from.
        tests: by the name of their group.
        examples: validation volumes for the page of the training.
        cases: how many are trained on and validated with, without real series.
        statement: for `training_data`.
    """

    training: SequenceOf[SequenceOf[PairSource]]
    validation: SequenceOf[SequenceOf[PairSource]]
    tests: Mapping[str, HeldOut]
    examples: Callable[[], Iterator[Trial]]
    cases: int
    sequences: tuple[Sequence, ...]
    protocol: ProtocolRange
    statement: str
    intended_use: str

    @property
    def digest(self) -> str:
        """SHA-256 (hex, 16) over all stacks: a run goes on only on the same data."""
        total = hashlib.sha256()
        for stack in (stack for part in (self.training, self.validation) for group in part for stack in group):
            total.update(stack.name.encode())
            for array in stack.arrays:
                total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()[:16]


def from_cohort(
    fabric: Fabric, folder: Path, sequences: tuple[Sequence, ...], pairs: Pairs, seed: int, cache: Path
) -> SuperResolutionData:
    """The cohort in `folder`, looked through whole before anything starts; its masks are not needed.

    Raises:
        CohortError: with a line for each case that cannot be trained on, or that does not fit into memory.
    """
    cohort = read_cohort(folder, Needs(sequences=sequences, masks=False))
    if faults := tuple(faults_of(cohort.cases, pairs.patch, pairs.factor)):
        raise CohortError(faults)
    check_memory(cohort, kept_bytes, passing_bytes)
    division = divide(cohort, seed)
    # One process cleans, the others read what it has kept.
    with fabric.rank_zero_first(local=True):
        training = cohort_stacks(division.training, pairs.modality, pairs.clean, pairs.as_measured, cache)
        validation = cohort_stacks(division.validation, pairs.modality, False, 0.0, cache)
    test = of_cohort(division.test, pairs.modality, pairs.factor)
    return SuperResolutionData(
        training=[training],
        validation=[validation],
        tests={"test_cohort": test} if division.test else {},
        examples=lambda: _one_a_volume(division.validation, pairs),
        cases=len(division.training) + len(division.validation),
        sequences=sequences,
        protocol=protocol_range_of(cohort),
        statement=cohort_statement(cohort, division),
        intended_use=COHORT_USE,
    )


def from_simulation(
    fabric: Fabric,
    cases: tuple[int, int],
    test_cases: tuple[int, int],
    held_out: SequenceOf[str],
    real: Path | None,
    pairs: Pairs,
    seed: int,
    cache: Path,
) -> SuperResolutionData:
    """Simulated patients, and real series where their folder is given.

    `cases`, `test_cases`: first seed and count, the latter of each group of scanners; `held_out`: scanners to test on
    only. The phantom's truth is x4 through plane; a network of another factor is not tested on it.
    """
    known, unknown = split_scanners(held_out)
    training_keys, validation_keys = split_cases(case_keys(*cases, known), seed)
    training: list[SequenceOf[PairSource]] = [load_simulated(fabric, training_keys, cache)]
    validation: list[SequenceOf[PairSource]] = [load_simulated(fabric, validation_keys, cache)]
    if real is not None:
        training.append(load_real(real, "training", pairs.clean, pairs.as_measured))
        validation.append(load_real(real, "validation", clean=False))
    judged = pairs.factor == AcquiredPair.FACTOR
    first, count = test_cases

    def examples() -> Iterator[Trial]:
        if judged:
            yield from simulated_trials(validation_keys[:1])
            if real is not None:
                yield from islice(real_trials(real, "validation"), 1)

    return SuperResolutionData(
        training=training,
        validation=validation,
        tests=_simulated_tests(first, count, known, unknown) if judged and count else {},
        examples=examples,
        cases=cases[1],
        sequences=ANALYSED,
        protocol=protocol_range(known),
        statement=f"{cases[1]} simulated studies (seeds {cases[0]} to {cases[0] + cases[1] - 1}) of "
        f"{', '.join(scanner.model for scanner in known)}, split 8:2 by case"
        + (f"; real series: {', '.join(stack.name for stack in training[1])}" if real is not None else ""),
        intended_use=RESEARCH_STATEMENT,
    )


def _simulated_tests(
    first: int, count: int, known: Iterable[Scanner], unknown: Iterable[Scanner]
) -> dict[str, HeldOut]:
    groups = {"test_trained_scanners": (first, tuple(known)), "test_other_scanners": (first + count, tuple(unknown))}
    return {
        name: of_simulation(case_keys(seed, count, scanners)) for name, (seed, scanners) in groups.items() if scanners
    }


def _one_a_volume(cases: Iterable[Case], pairs: Pairs) -> Iterator[Trial]:
    """Of the first volumes one of their axes."""
    seen: set[tuple[str, str]] = set()
    for trial in cohort_trials(cases, pairs.modality, pairs.factor):
        volume = trial.source.split(" along ")[0], trial.contrast
        if volume not in seen:
            seen.add(volume)
            yield trial
        if len(seen) == SHOWN:
            return
