"""Faults of the rows of a prediction table taken together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.research.evaluation.predictions import CohortPart

#: Cases of each class that each cohort needs; with fewer the intervals say nothing.
LEAST_A_CLASS = 5


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One case; `probabilities` in the order of the columns."""

    case: str
    patient: str
    cohort: CohortPart
    scanner: str
    label: int
    probabilities: tuple[float, ...]


def consistency(rows: Sequence[PredictionRow], data: str, oracle: bool) -> Iterator[str]:
    """Faults of the table as a whole; `data` is what it says of its origin, `oracle` whether it has that column."""
    if oracle and data != "simulated":
        yield "oracle: true parameters are known of simulated data; say '# data: simulated' or leave the column out"
    yield from _repeated(rows)
    yield from _patients_in_two_cohorts(rows)
    yield from _spellings(rows)


def sizes(rows: Sequence[PredictionRow]) -> Iterator[str]:
    """Cohorts that are missing, too small, or of one class."""
    if not any(row.cohort is CohortPart.TRAINING for row in rows):
        yield "no training case; the cut-off is fixed on the training cohort"
    for cohort in CohortPart:
        labels = [row.label for row in rows if row.cohort is cohort]
        if labels:
            yield from _too_few(cohort, labels)


def _repeated(rows: Sequence[PredictionRow]) -> Iterator[str]:
    by_name = defaultdict(list)
    for row in rows:
        by_name[row.case.casefold()].append(row)
    for group in by_name.values():
        cohorts = sorted({row.cohort.value for row in group})
        if len(cohorts) > 1:
            yield f"case {group[0].case} stands in two cohorts: {', '.join(cohorts)}"
        elif len(group) > 1:
            yield f"case {group[0].case} stands there {len(group)} times"


def _patients_in_two_cohorts(rows: Sequence[PredictionRow]) -> Iterator[str]:
    by_patient: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        by_patient[row.patient].setdefault(row.cohort, row.case)
    for patient, cohorts in by_patient.items():
        if len(set(cohorts.values())) > 1:
            described = ", ".join(f"{case} in {cohort}" for cohort, case in sorted(cohorts.items()))
            yield f"patient {patient} stands in two cohorts: {described}"


def _spellings(rows: Sequence[PredictionRow]) -> Iterator[str]:
    """One scanner under two spellings would be two subgroups."""
    spelt = defaultdict(set)
    for row in rows:
        spelt[re.sub(r"[\W_]+", "", row.scanner).casefold()].add(row.scanner)
    for names in spelt.values():
        if len(names) > 1:
            yield f"unknown scanner: {' and '.join(sorted(names))} are one; use one spelling"


def _too_few(cohort: CohortPart, labels: Sequence[int]) -> Iterator[str]:
    rare = min((0, 1), key=labels.count)
    found = labels.count(rare)
    if found == 0:
        yield f"{cohort} cohort: every label is {1 - rare}; two classes are needed"
    elif found < LEAST_A_CLASS:
        yield (
            f"{cohort} cohort: {len(labels)} cases, {found} of them with label {rare}; at least {LEAST_A_CLASS} of "
            "each class are needed"
        )
