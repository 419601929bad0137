"""Slice profile, k-space and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.research.phantom.acquisition import (
    magnitude,
    noise_deviation,
    reconstruct,
    sample_k_space,
    slice_weights,
    through_slices,
)
from models.research.phantom.planning import plan
from models.research.phantom.scanners import find_scanner, load_scanners
from models.research.phantom.specimen import draw_patient


def test_the_slice_profile_preserves_the_mean():
    weights = slice_weights(slices=5, subslices=4, thickness_mm=5.0, step_mm=6.0)
    uniform = np.full((28, 3, 3), 7.0, dtype=np.float32)
    np.testing.assert_allclose(through_slices(uniform, weights), 7.0, rtol=1e-5)


def test_the_slice_profile_has_its_half_maximum_at_half_the_thickness():
    weights = slice_weights(slices=1, subslices=400, thickness_mm=5.0, step_mm=5.0)[0]
    wide = np.count_nonzero(weights > weights.max() / 2) * 5.0 / 400
    assert wide == pytest.approx(5.0, abs=0.05)


def test_zero_filling_keeps_the_mean_and_the_edges_in_place():
    image = np.zeros((1, 96, 128), dtype=np.float32)
    image[:, 24:72, 32:96] = 100
    result = reconstruct(sample_k_space(image, (64, 40)), (128, 128))
    assert result.mean() == pytest.approx(image.mean(), rel=1e-3)
    profile = result[0, 64]
    assert profile[34:94].min() > 50 > profile[:30].max()


def test_an_image_within_the_acquired_band_is_reproduced():
    x = (np.arange(64) + 0.5) / 64
    image = np.broadcast_to(1 + np.cos(np.pi * 3 * x), (2, 64, 64)).astype(np.float32)
    result = reconstruct(sample_k_space(image, (32, 16)), (64, 64))
    np.testing.assert_allclose(result, image, atol=1e-4)


def test_noise_without_signal_is_rayleigh_distributed():
    rng = np.random.default_rng(0)
    real, imaginary = (
        reconstruct(rng.standard_normal((4, 128, 128), dtype=np.float32) * 10, (256, 256)) for _ in range(2)
    )
    noise = magnitude(real, imaginary)
    assert noise.mean() / noise.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)


def test_noise_falls_with_field_strength_and_voxel_volume():
    scanner = find_scanner("Skyra")
    measurement = plan(scanner, draw_patient(1).anatomy, 1)["T2WI"]
    assert noise_deviation(measurement, 1.5) == pytest.approx(2 * noise_deviation(measurement, 3.0))
    thicker = replace(measurement, slice_thickness_mm=4 * measurement.slice_thickness_mm)
    assert noise_deviation(thicker, 3.0) == pytest.approx(noise_deviation(measurement, 3.0) / 2)


@pytest.mark.parametrize("scanner", load_scanners(), ids=lambda scanner: scanner.model)
def test_the_field_of_view_is_spacing_times_the_larger_matrix_number(scanner):
    for kind, protocol in (("T2WI", scanner.t2wi), ("DWI", scanner.dwi), ("DCE", scanner.dce)):
        measurement = plan(scanner, draw_patient(2).anatomy, 2)[kind]
        assert measurement.grid.size[:2] == (max(protocol.matrix),) * 2
        assert measurement.grid.spacing[:2] == (protocol.pixel_spacing_mm,) * 2
        assert measurement.grid.spacing[2] >= protocol.slice_thickness_mm
        assert measurement.grid.size[2] * measurement.grid.spacing[2] >= 100


def test_the_six_scanners_of_the_table_are_there():
    assert {scanner.name for scanner in load_scanners()} == {
        "Philips Multiva",
        "UIH uMR 560",
        "UIH uMR 570",
        "UIH uMR 770",
        "GE MR750",
        "Siemens Skyra",
    }
    assert find_scanner("skyra").t2wi.matrix == (320, 320)
