"""Measured cases as the tables that models are fitted on and evaluated from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.prediction.records import Target
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.research.evaluation.predictions import CohortPart, Resolution
from models.research.training.prediction.cases import MeasuredCase
from models.research.training.prediction.fitting.feature_table import FeatureTable, Floats, Perturbed
from models.sequence import ANALYSED
from models.spreadsheet import write_table

#: Resolutions of the bundle's models.
SHIPPED = (Resolution.NORMAL, Resolution.SUPER)
#: Measured for comparison only.
CONTROLS = (Resolution.CUBIC, Resolution.NONE)


def resolutions_of(cases: Iterable[MeasuredCase], controls: bool = True) -> tuple[Resolution, ...]:
    """Normal and super, and the controls that the cases were measured at."""
    measured = {name.split("|")[1] for case in cases for name in case.features}
    return (*SHIPPED, *(control for control in CONTROLS if controls and control in measured))


def complete_cases(
    cases: SequenceOf[MeasuredCase],
    resolutions: SequenceOf[Resolution] = SHIPPED,
    names: Mapping[int, str] | None = None,
) -> FeatureTable:
    """The cases in which every feature of every sequence and resolution could be computed.

    Completeness does not look at the label, so it may precede the folds. `names` are the cases' by seed; else the seed.
    Raises `ModelError` when none is left.
    """
    features = sorted(expected_names(load_settings()))
    columns = tuple(f"{s}|{r}|{name}" for s, r, name in product(ANALYSED, resolutions, features))
    kept = [case for case in cases if all(name in case.features for name in columns)]
    if not kept:
        raise ModelError(f"none of {len(cases)} cases has all {len(columns)} features")
    called = tuple((names or {}).get(case.seed, str(case.seed)) for case in kept)
    return FeatureTable(
        cases=called,
        values=_values([case.features for case in kept], columns),
        names=columns,
        labels=np.array([case.label for case in kept]),
        scanners=np.array([case.scanner for case in kept]),
        patients=np.array([case.patient or name for case, name in zip(kept, called, strict=True)]),
        oracle=np.array([case.oracle["oracle_probability"] for case in kept]) if all(c.oracle for c in kept) else None,
        perturbed=_perturbed(kept, columns),
    )


def write_predictions(
    path: Path,
    target: Target,
    parts: Mapping[CohortPart, tuple[FeatureTable, Mapping[str, Floats]]],
) -> None:
    """The table that `rectal-node evaluate` takes (docs/evaluation.md): probabilities by model of each cohort.

    Probabilities are (cases,).
    """
    oracle = all(table.oracle is not None for table, _ in parts.values())
    rows: list[list[object]] = []
    columns: list[str] = []
    for cohort, (table, probabilities) in parts.items():
        columns = list(probabilities)
        values = [*probabilities.values(), *([table.oracle] if table.oracle is not None and oracle else [])]
        facts = zip(table.cases, table.patients, table.scanners, table.labels, np.array(values).T, strict=True)
        rows += [[case, patient, cohort, scanner, label, *row] for case, patient, scanner, label, row in facts]
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# data: {'simulated' if oracle else 'patients'}\n")
        file.write(f"# target: {target.name}\n# positive class: {target.positive_class}\n")
        file.write("# training probabilities: out-of-fold\n")
        head = ["case", "patient", "cohort", "scanner", "label", *columns, *(["oracle"] if oracle else [])]
        write_table(file, head, rows)


def write_features(path: Path, tables: Iterable[FeatureTable]) -> None:
    """Features of every case as `rectal-node evaluate --features` takes them."""
    listed = list(tables)
    rows = ([case, *row] for it in listed for case, row in zip(it.cases, it.values.tolist(), strict=True))
    with path.open("w", newline="", encoding="utf-8") as file:
        write_table(file, ["case", *listed[0].names], rows)


def _perturbed(cases: SequenceOf[MeasuredCase], columns: tuple[str, ...]) -> Perturbed | None:
    """The true mask's features before those of the others; as many masks as every perturbed case has."""
    rows = [row for row, case in enumerate(cases) if case.perturbed]
    if not rows:
        return None
    masks = min(len(cases[row].perturbed) for row in rows)
    measured = [[cases[row].features, *cases[row].perturbed[:masks]] for row in rows]
    return Perturbed(np.array(rows), np.array([_values(each, columns) for each in measured]))


def _values(measured: SequenceOf[Mapping[str, float]], columns: tuple[str, ...]) -> NDArray[np.float64]:
    return np.array([[features.get(name, np.nan) for name in columns] for features in measured])
