"""Features at normal resolution beside themselves at another."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from models.research.errors import CohortError
from models.research.evaluation.feature_stability import feature_stability
from models.research.evaluation.predictions import Resolution

STEADY, LOOSE = "original_firstorder_Mean", "original_glcm_Contrast"


def write(folder: Path, changes: dict[tuple[int, str], str] | None = None) -> Path:
    """Twenty cases: one feature hardly changes with resolution, the other one is drawn anew."""
    generator = np.random.default_rng(2)
    true = generator.normal(size=20)
    columns = {
        f"T2WI|normal|{STEADY}": true,
        f"T2WI|super|{STEADY}": true + generator.normal(0, 0.05, 20),
        f"T2WI|cubic|{STEADY}": true + generator.normal(0, 0.5, 20),
        f"T2WI|normal|{LOOSE}": true,
        f"T2WI|super|{LOOSE}": generator.normal(size=20),
    }
    path = folder / "features.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", *columns])
        for case in range(20):
            cells = {"case": f"C{case}", **{name: str(values[case]) for name, values in columns.items()}}
            cells |= {name: text for (row, name), text in (changes or {}).items() if row == case}
            writer.writerow(cells.values())
    return path


def test_every_resolution_is_compared_with_normal(tmp_path: Path):
    rows = {(row.feature, row.resolution): row for row in feature_stability(write(tmp_path))}
    assert rows.keys() == {(STEADY, Resolution.SUPER), (STEADY, Resolution.CUBIC), (LOOSE, Resolution.SUPER)}
    assert rows[STEADY, Resolution.SUPER].icc.low > 0.95
    assert rows[STEADY, Resolution.SUPER].icc.value > rows[STEADY, Resolution.CUBIC].icc.value
    assert rows[LOOSE, Resolution.SUPER].ccc.high < 0.75


def test_a_case_without_the_feature_is_left_out_and_not_zero(tmp_path: Path):
    gaps = {(case, f"T2WI|super|{STEADY}"): "" for case in range(3)}
    row = next(row for row in feature_stability(write(tmp_path, gaps)) if row.feature == STEADY)
    assert row.cases == 17
    assert row.icc.value > 0.95


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({(1, "case"): "C0"}, "features.csv:3: case C0 stands there twice"),
        (
            {(1, f"T2WI|super|{STEADY}"): "nan"},
            f"features.csv:3: case C1: T2WI|super|{STEADY} is 'nan'; empty where it is not known",
        ),
    ],
)
def test_a_fault_is_one_line(tmp_path: Path, change: dict[tuple[int, str], str], line: str):
    with pytest.raises(CohortError) as caught:
        feature_stability(write(tmp_path, change))
    assert str(caught.value) == line


def test_a_table_without_pairs_is_refused(tmp_path: Path):
    (tmp_path / "features.csv").write_text("case,T2WI|super|a\nC1,2\n")
    with pytest.raises(CohortError, match="no feature stands there at normal and another resolution"):
        feature_stability(tmp_path / "features.csv")
