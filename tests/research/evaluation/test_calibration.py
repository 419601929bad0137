"""Calibration against statsmodels' logistic regression and lowess, whose values are stored here."""

from __future__ import annotations

import numpy as np
import pytest

from models.research.evaluation.calibration import calibration, calibration_groups, smooth_curve
from models.research.statistics.estimates import resample


@pytest.fixture
def predicted(asah):
    """Some probabilities that are neither perfect nor calibrated."""
    return asah["s100b"] / (asah["s100b"] + 0.4)


@pytest.fixture
def counts(asah):
    return resample(np.zeros_like(asah["event"]), 400, seed=1)


def test_intercept_slope_and_brier_are_those_of_a_logistic_regression(asah, predicted, counts):
    """statsmodels 0.15: GLM, binomial, of the log odds, and with the log odds as offset."""
    result = calibration(asah["event"], predicted, counts)
    assert result.intercept.value == pytest.approx(0.24735017, abs=1e-7)
    assert result.intercept.high - result.intercept.value == pytest.approx(1.959964 * 0.21213783, abs=1e-6)
    assert result.slope.value == pytest.approx(1.12017738, abs=1e-6)
    assert result.slope.high - result.slope.value == pytest.approx(1.959964 * 0.27000345, abs=1e-5)
    assert result.brier.value == pytest.approx(0.19051424120386362, abs=1e-12)
    assert result.brier.low < result.brier.value < result.brier.high


def test_the_fitted_probabilities_of_a_logistic_model_are_calibrated_where_they_were_fitted(mtcars):
    result = calibration(mtcars["outcome"], mtcars["p_new"], resample(np.zeros(32), 50, seed=1))
    assert result.intercept.value == pytest.approx(0, abs=1e-9)
    assert result.slope.value == pytest.approx(1, abs=1e-6)


def test_the_curve_is_that_of_lowess(asah, predicted, counts):
    """statsmodels 0.15: lowess(frac=0.75, it=0)."""
    curve, samples = smooth_curve(asah["event"], predicted, np.array([0.15, 0.3, 0.45, 0.6]), counts)
    assert curve == pytest.approx([0.20059101, 0.33890259, 0.47304603, 0.72900243], abs=1e-6)
    assert samples.shape == (400, 4)
    assert (np.quantile(samples, 0.025, axis=0) < curve).all()
    assert (np.quantile(samples, 0.975, axis=0) > curve).all()


def test_the_groups_hold_every_case_once(asah, predicted):
    groups = list(calibration_groups(asah["event"], predicted))
    assert len(groups) == 10
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)


def test_the_error_is_the_distance_of_predicted_and_observed_over_all_cases():
    labels = np.array([0, 1] * 10)
    result = calibration(labels, np.full(20, 0.8), np.ones((2, 20)))
    assert result.calibration_error == pytest.approx(0.3)
    assert result.slope is None


def test_classes_that_do_not_overlap_have_no_slope():
    labels = np.array([0] * 10 + [1] * 10)
    result = calibration(labels, np.linspace(0, 1, 20), np.ones((2, 20)))
    assert result.slope is None
    assert np.isfinite(result.intercept.value)
