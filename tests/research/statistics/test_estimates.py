"""Intervals by normal theory and by bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from models.research.statistics.estimates import percentile, resample, two_sided, wald


def test_a_normal_interval_reaches_1_96_standard_errors():
    estimate = wald(1.0, 0.5)
    assert (estimate.low, estimate.high) == pytest.approx((1 - 0.97998, 1 + 0.97998), abs=1e-5)


@pytest.mark.parametrize(("value", "error", "p"), [(0.0, 0.0, 1.0), (0.3, 0.0, 0.0), (-1.959964, 1.0, 0.05)])
def test_a_zero_without_error_is_no_difference_and_anything_else_without_error_is_one(value, error, p):
    assert two_sided(value, error)[1] == pytest.approx(p, abs=1e-6)


def test_every_draw_keeps_the_size_of_every_group():
    labels = np.array([1] * 7 + [0] * 13)
    counts = resample(labels, 50, seed=1)
    assert (counts[:, labels == 1].sum(axis=1) == 7).all()
    assert (counts[:, labels == 0].sum(axis=1) == 13).all()
    assert len(np.unique(counts, axis=0)) == 50


def test_the_same_seed_draws_the_same_cases():
    assert (resample(np.zeros(9), 4, seed=3) == resample(np.zeros(9), 4, seed=3)).all()


def test_the_percentile_interval_of_a_mean_is_as_wide_as_its_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    samples = resample(np.zeros(400), 4000, seed=1) @ values / 400
    estimate = percentile(float(values.mean()), samples)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)
