"""Which cases of a cohort are trained on, validated with and tested on; divided by patient."""

from __future__ import annotations

import random
from dataclasses import dataclass

from models.research.cohort.records import Case, Cohort, Split
from models.research.errors import CohortError

VALIDATION_SHARE = 0.2
COHORT_USE = "trained on the cohort named under training data; research use only, not for diagnosis"


@dataclass(frozen=True, slots=True)
class Division:
    """The cases by their use; no patient is in two parts."""

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
    """The sentence of a manifest on its training data."""
    counts = f"{len(division.training)}:{len(division.validation)}:{len(division.test)}"
    scanners = sorted({case.facts.equipment.name for case in division.training})
    return (
        f"cohort {cohort.folder.resolve().name}: {len(cohort.cases)} cases on {', '.join(scanners)}, split {counts} "
        "into training, validation and test by patient"
    )
