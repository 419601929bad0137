"""AUC and DeLong's test against stored values of pROC."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.errors import ModelError
from models.evaluation.discrimination import auc_interval, delong_test

ASAH = Path(__file__).parents[2] / "data" / "oracles" / "aSAH.csv"


@pytest.fixture(scope="module")
def table() -> dict[str, np.ndarray]:
    """113 patients with subarachnoid haemorrhage (pROC's aSAH); event: poor outcome; ties included."""
    with ASAH.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = {name: np.array([float(row[name]) for row in rows]) for name in ("wfns", "s100b", "ndka")}
    return scores | {"event": np.array([int(row["outcome"] == "Poor") for row in rows])}


@pytest.mark.parametrize(
    ("first", "second", "z", "p"),
    [
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054),
    ],
)
def test_delong_equals_the_stored_values_of_proc(table, first, second, z, p):
    result = delong_test(table["event"], table[first], table[second])
    assert result.z == pytest.approx(z, abs=1e-9)
    assert result.p == pytest.approx(p, abs=1e-9)


@pytest.mark.parametrize("name", ["wfns", "s100b", "ndka"])
def test_the_area_is_that_of_scikit_learn_inside_its_interval(table, name):
    interval = auc_interval(table["event"], table[name])
    assert interval.auc == pytest.approx(roc_auc_score(table["event"], table[name]), abs=1e-12)
    assert 0 <= interval.low < interval.auc < interval.high <= 1


def test_identical_scores_do_not_differ(table):
    result = delong_test(table["event"], table["ndka"], table["ndka"])
    assert (result.z, result.p, result.difference) == (0.0, 1.0, 0.0)


def test_a_perfect_score_has_an_interval_without_width():
    interval = auc_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (interval.auc, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_one_class_alone_is_refused():
    with pytest.raises(ModelError, match="0 events"):
        auc_interval([0, 0, 0], [0.1, 0.2, 0.3])
