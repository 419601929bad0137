"""Sensitivity, specificity and predictive values at a fixed cut-off."""

from __future__ import annotations

import pytest

from models.research.evaluation.operating_point import at_cutoff, share


def test_a_case_on_the_cutoff_is_positive():
    point = at_cutoff([1, 1, 1, 0, 0], [0.5, 0.9, 0.2, 0.5, 0.1], 0.5)
    assert (point.true_positive, point.false_positive, point.true_negative, point.false_negative) == (2, 1, 1, 1)
    assert point.sensitivity.value == pytest.approx(2 / 3)
    assert point.specificity.value == point.negative_predictive_value.value == 0.5
    assert point.positive_predictive_value.value == pytest.approx(2 / 3)


def test_the_interval_is_wilsons():
    """statsmodels 0.15: proportion_confint(method="wilson")."""
    found = share(7, 10)
    assert (found.low, found.high) == pytest.approx((0.39677814746114537, 0.8922087325936989), abs=1e-9)


def test_a_predictive_value_of_nothing_is_missing():
    assert at_cutoff([1, 0], [0.1, 0.2], 0.9).positive_predictive_value is None
