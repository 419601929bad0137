"""Net benefit against dcurves, whose values are stored here."""

from __future__ import annotations

import numpy as np
import pytest

from models.research.evaluation.decision_curve import net_benefit, treat_all

THRESHOLDS = np.array([0.1, 0.2, 0.35, 0.4, 0.5, 0.75])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p_old", [0.375, 0.296875, 0.242788461538, 0.21875, -0.09375, 0.0]),
        ("p_new", [0.409722222222, 0.359375, 0.355769230769, 0.34375, 0.34375, 0.1875]),
    ],
)
def test_net_benefit_is_that_of_dcurves(mtcars, name, expected):
    """dcurves 1.1.7, dca(thresholds=…)."""
    assert net_benefit(mtcars["outcome"], mtcars[name], THRESHOLDS) == pytest.approx(expected, abs=1e-11)


def test_acting_on_all_is_that_of_dcurves(mtcars):
    expected = [0.375, 0.296875, 0.134615384615, 0.0625, -0.125, -1.25]
    assert treat_all(mtcars["outcome"], THRESHOLDS) == pytest.approx(expected, abs=1e-11)


def test_a_bootstrap_draw_is_the_net_benefit_of_the_cases_copied_so_often(mtcars):
    draw = np.arange(32) % 3
    sample = net_benefit(mtcars["outcome"], mtcars["p_new"], THRESHOLDS, draw[None, :].astype(float))
    copied = net_benefit(np.repeat(mtcars["outcome"], draw), np.repeat(mtcars["p_new"], draw), THRESHOLDS)
    assert sample[0] == pytest.approx(copied)


def test_a_case_on_the_threshold_is_acted_on():
    assert net_benefit([1, 0], [0.5, 0.2], [0.5]) == pytest.approx([0.5])
