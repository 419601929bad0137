"""Baselines: what they find on images where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.errors import ModelError
from models.research.evaluation.baselines import (
    ellipsoid_volume_ml,
    fit_band,
    largest_wall_component,
    rectal_region,
    within_band,
)
from models.research.evaluation.overlap import compare


def image_of(array, spacing=(2.0, 2.0, 5.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    return image


def made(seed, level):
    """An axial stack of noise with a block of tumour of `level` in the rectal region, and a like block at its rim."""
    values = np.random.default_rng(seed).normal(100, 5, (8, 80, 80))
    mask = np.zeros(values.shape, dtype=np.uint8)
    mask[2:6, 48:58, 36:46] = 1
    values[mask > 0] += level
    values[2:6, 2:12, 2:12] += level
    return image_of(values.astype(np.float32)), image_of(mask)


def test_the_fitted_band_finds_a_tumour_of_its_own_intensity_and_all_else_of_it():
    cases = [made(seed, 40) for seed in range(3)]
    band = fit_band(*zip(*cases, strict=True))
    image, mask = made(9, 40)
    found = within_band(image, band)
    assert compare(found, mask).sensitivity > 0.95
    assert sitk.GetArrayFromImage(found)[3, 5, 5] == 1


def test_a_dark_tumour_gets_a_band_of_dark_intensities():
    band = fit_band(*zip(*(made(seed, -40) for seed in range(3)), strict=True))
    assert band.high < 0


def test_the_largest_component_keeps_to_the_rectal_region():
    band = fit_band(*zip(*(made(seed, 40) for seed in range(3)), strict=True))
    image, mask = made(9, 40)
    found = largest_wall_component(image, band)
    assert compare(found, mask).dice > 0.9
    assert not sitk.GetArrayFromImage(found)[~rectal_region(image)].any()


def test_a_band_needs_a_tumour_to_be_fitted_to():
    image, mask = made(0, 40)
    with pytest.raises(ModelError, match="none of 1 cases"):
        fit_band([image], [mask * 0])


def test_the_volume_by_three_diameters_is_that_of_an_ellipsoid_even_when_it_is_turned():
    z, y, x = (axis.astype(float) for axis in np.mgrid[-20:21, -20:21, -20:21])
    u, v = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    ellipsoid = ((u / 18) ** 2 + (v / 9) ** 2 + (z / 12) ** 2 <= 1).astype(np.uint8)
    expected = 4 / 3 * np.pi * 18 * 9 * 12 / 1000
    assert ellipsoid_volume_ml(image_of(ellipsoid, (1.0, 1.0, 1.0))) == pytest.approx(expected, rel=0.12)


def test_an_empty_mask_has_no_volume():
    assert ellipsoid_volume_ml(image_of(np.zeros((3, 4, 5), dtype=np.uint8))) == 0
