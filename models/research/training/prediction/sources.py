"""Where the cases of the prediction come from: simulated patients, or a cohort on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.progress import track

from models.errors import ModelError
from models.manifest import RESEARCH_STATEMENT
from models.prediction.records import CodedConcept, Target
from models.research.cohort.records import Split
from models.research.phantom.scanners import load_scanners
from models.research.training.cohort_division import COHORT_USE
from models.research.training.prediction.cases import MeasuredCase, cohort, read_case
from models.research.training.prediction.measured_cohort import labelled_cohort, measured_cases
from models.research.training.protocol_range import ProtocolRange, protocol_range, protocol_range_of

TARGET = Target(
    name="Simulated histologic grade",
    positive_class="high grade",
    concept=CodedConcept("SIM-GRADE-HIGH", "99RECTALNODE", "Probability of high histologic grade (simulated)"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Cases to fit on, cases to test on, and what a manifest says of them; `names` of the cases by seed."""

    target: Target
    fitted: list[MeasuredCase]
    held_out: list[MeasuredCase]
    statement: str
    use: str
    protocol: ProtocolRange
    names: dict[int, str] = field(default_factory=dict)


def target_of(name: str, positive_class: str) -> Target:
    """The target that a cohort's label stands for, in the words of a report.

    Raises:
        BadParameter: one of them is missing: a prediction that nobody can name is of no use.
    """
    if not name or not positive_class:
        raise typer.BadParameter(
            "--data needs --target and --positive-class, such as 'Histologic grade' and 'high grade'"
        )
    return Target(
        name, positive_class, CodedConcept("POSITIVE-CLASS", "99RECTALNODE", f"Probability of {positive_class}")
    )


def simulated(
    count: int, first_seed: int, test_cases: int, measured: Path | None, bundle: Path, cache: Path, workers: int
) -> Measured:
    """Simulated patients by their seeds, the last `test_cases` of them to test on.

    Cases are read from the folder `measured`, or `count` of them made or read from the cache. Raises `ModelError` when
    none is left to fit on.
    """
    if measured is None:
        made = track(cohort(count, first_seed, bundle, cache, workers), "cases", total=count)
    else:
        made = map(read_case, sorted(measured.glob("*.json")))
    every = sorted(made, key=lambda case: case.seed)
    if len(every) <= test_cases:
        raise ModelError(f"{len(every)} measured cases, {test_cases} to test on: none is left to fit on")
    fitted, held_out = every[: len(every) - test_cases], every[len(every) - test_cases :]
    scanners = {case.scanner for case in fitted}
    return Measured(
        target=TARGET,
        fitted=fitted,
        held_out=held_out,
        statement=(
            f"simulated patients on {len(scanners)} simulated scanners, seeds from {every[0].seed}; true tumour masks; "
            f"label: {TARGET.name} ({TARGET.positive_class})"
        ),
        use=RESEARCH_STATEMENT,
        protocol=protocol_range(scanner for scanner in load_scanners() if scanner.name in scanners),
    )


def of_cohort(data: Path, target: Target, folds: int, bundle: Path, cache: Path) -> Measured:
    """Cases of a cohort on disk; those of its test split to test on."""
    found = labelled_cohort(data, folds)
    every = track(measured_cases(found, bundle, cache), "cases", total=len(found.cases))
    pairs = list(zip(found.cases, every, strict=True))
    fitted = [case for listed, case in pairs if listed.facts.split is not Split.TEST]
    return Measured(
        target=target,
        fitted=fitted,
        held_out=[case for listed, case in pairs if listed.facts.split is Split.TEST],
        statement=(
            f"cases of cohort {data.resolve().name} on {', '.join(sorted({case.scanner for case in fitted}))}; "
            f"its tumour masks; label: {target.name} ({target.positive_class})"
        ),
        use=COHORT_USE,
        protocol=protocol_range_of(found),
        names={case.seed: listed.facts.case_id for listed, case in pairs},
    )
