"""Edges across the slices, against volumes whose edges are known."""

import numpy as np
import pytest
from scipy import ndimage

from models.errors import VolumeError
from models.research.evaluation.sharpness import edge_sharpness, rise_width


def _step(slices=64):
    volume = np.zeros((slices, 12, 12), np.float32)
    volume[slices // 2 :] = 100
    return volume


def test_an_equal_volume_is_as_sharp():
    true = ndimage.gaussian_filter1d(_step(), 1, axis=0)
    assert edge_sharpness(true, true).gradient_ratio == pytest.approx(1)


def test_a_blurred_edge_has_the_smaller_gradient_and_the_width_of_its_blur():
    true = ndimage.gaussian_filter1d(_step(), 1.0, axis=0)
    made = edge_sharpness(ndimage.gaussian_filter1d(_step(), 2.0, axis=0), true)
    assert made.gradient_ratio == pytest.approx(0.5, abs=0.1)
    # 10 to 90 % of a Gaussian edge are 2.563 standard deviations.
    assert made.width == pytest.approx(2.563 * 2.0, rel=0.1)


def test_falling_edges_count_as_rising_ones():
    true = ndimage.gaussian_filter1d(_step(), 1.0, axis=0)
    falling = edge_sharpness(true[::-1].copy(), true[::-1].copy())
    assert falling.profile[-1] > falling.profile[0]


def test_a_straight_rise_takes_eight_tenths_of_its_length():
    assert rise_width(np.linspace(0, 1, 11)) == pytest.approx(8)


def test_too_few_slices_are_refused():
    with pytest.raises(VolumeError, match="more than 17 slices"):
        edge_sharpness(_step(12), _step(12))
