"""How alike a feature is at normal and at another resolution, from a table of features."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.research.errors import CohortError
from models.research.evaluation.predictions import Resolution
from models.research.statistics.agreement import concordance_correlation, intraclass_correlation
from models.research.statistics.estimates import Estimate, Floats

#: Cases with the feature at both resolutions that an agreement needs.
LEAST_CASES = 10


@dataclass(frozen=True, slots=True)
class FeatureStability:
    """Agreement of one feature at `resolution` with itself at normal resolution, over the `cases` that have both."""

    sequence: str
    resolution: Resolution
    feature: str
    cases: int
    icc: Estimate
    ccc: Estimate


def feature_stability(path: Path) -> tuple[FeatureStability, ...]:
    """Stability of every feature of the table at `path` that is there at normal and another resolution.

    The table has a column `case` and columns `<sequence>|<resolution>|<pyradiomics name>`; an empty cell is a feature
    that could not be computed. Features with fewer than `LEAST_CASES` cases are left out.

    Raises:
        CohortError: it cannot be read, or has no such features; every fault is one line.
    """
    columns = _columns(path)
    rows = tuple(_stabilities(columns))
    if not rows:
        raise CohortError(
            (
                f"{path.name}: no feature stands there at normal and another resolution in {LEAST_CASES} cases; a "
                "column is called like 'T2WI|super|original_firstorder_Mean'",
            )
        )
    return rows


def _stabilities(columns: Mapping[tuple[str, str, str], Floats]) -> Iterator[FeatureStability]:
    for (sequence, resolution, feature), values in columns.items():
        normal = columns.get((sequence, Resolution.NORMAL, feature))
        if resolution == Resolution.NORMAL or normal is None:
            continue
        both = np.isfinite(normal) & np.isfinite(values)
        if both.sum() >= LEAST_CASES:
            pair = np.stack([normal[both], values[both]], axis=1)
            yield FeatureStability(
                sequence=sequence,
                resolution=Resolution(resolution),
                feature=feature,
                cases=int(both.sum()),
                icc=intraclass_correlation(pair),
                ccc=concordance_correlation(*pair.T),
            )


def _columns(path: Path) -> dict[tuple[str, str, str], Floats]:
    """Values (cases,) of every feature by sequence, resolution and name; NaN where the cell is empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows, names = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError) as error:
        raise CohortError((f"{path}: cannot be read as CSV in UTF-8: {error}",)) from error
    faults = (
        [f"{path.name}: column case is missing"] if "case" not in names else list(_row_faults(path.name, rows, names))
    )
    if faults:
        raise CohortError(tuple(faults))
    found = {}
    for name in names:
        parts = tuple(name.split("|"))
        if len(parts) == 3 and parts[1] in tuple(Resolution):
            found[parts] = np.array([float(row[name]) if row[name] else math.nan for row in rows])
    return found


def _row_faults(table: str, rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> Iterator[str]:
    seen = set()
    for number, row in enumerate(rows, start=2):
        if row["case"] in seen:
            yield f"{table}:{number}: case {row['case']} stands there twice"
        seen.add(row["case"])
        for name in names:
            if "|" in name and row[name] and not _is_number(row[name]):
                yield f"{table}:{number}: case {row['case']}: {name} is {row[name]!r}; empty where it is not known"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
