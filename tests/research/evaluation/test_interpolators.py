"""What stands in the tables of the super-resolution without a network."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.research.evaluation.interpolators import interpolated
from models.research.training.super_resolution.report import NAMES
from models.super_resolution.consistency import disagreement

FACTOR = (1, 1, 4)


def _thick(lowest=0.0):
    values = np.random.default_rng(5).gamma(2.0, 50.0, (8, 12, 12)).astype(np.float32) + np.float32(lowest)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1.0, 1.0, 4.0))
    return image


def _left(image, source):
    thin, thick = (torch.from_numpy(sitk.GetArrayFromImage(it))[None, None] for it in (image, source))
    return float(disagreement(thin, thick, FACTOR).abs().max())


def test_cubic_in_agreement_averaged_over_the_slice_profile_returns_its_input():
    source = _thick(lowest=-500.0)  # of which nothing is cut off
    made = interpolated(source, FACTOR)
    assert _left(made["cubic_in_agreement"], source) < 0.1
    assert _left(made["cubic_b_spline"], source) > 10


def test_cubic_in_agreement_stays_above_zero_where_its_input_does():
    made = interpolated(_thick(), FACTOR)["cubic_in_agreement"]
    assert sitk.GetArrayFromImage(made).min() == pytest.approx(0)


def test_every_interpolation_has_its_row_in_the_tables():
    assert set(interpolated(_thick(), FACTOR)) <= set(NAMES)
