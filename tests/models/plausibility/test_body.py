"""The surface and the midline of the body, as far as fields of view show them."""

import numpy as np
import pytest
import SimpleITK as sitk

from models.plausibility.body import body_of

from .conftest import BACK_MM, FRONT_MM

SIX_MM = 6.0


def _middle(body, values):
    return values[body.level(0.0)]


@pytest.mark.parametrize(("tilt_deg", "turn_deg"), [(0, 0), (25, 0), (-20, 0), (10, 12)])
def test_front_back_and_midline_are_found_however_the_slices_lie(pelvis, tilt_deg, turn_deg):
    body = body_of([pelvis(tilt_deg=tilt_deg, turn_deg=turn_deg, midline=14.0)])
    assert _middle(body, body.front_mm) == pytest.approx(FRONT_MM, abs=SIX_MM)
    assert _middle(body, body.back_mm) == pytest.approx(BACK_MM, abs=SIX_MM)
    assert _middle(body, body.midline_mm) == pytest.approx(14.0, abs=SIX_MM)


def test_the_order_in_which_rows_and_columns_are_stored_changes_nothing(pelvis):
    """A patient who lies prone or feet first has the same places in LPS, and arrays that run the other way."""
    image = pelvis(midline=10.0)
    here, there = body_of([image]), body_of([sitk.Flip(image, [True, True, True])])
    for values in ("front_mm", "back_mm", "midline_mm"):
        assert _middle(there, getattr(there, values)) == pytest.approx(_middle(here, getattr(here, values)), abs=4.0)


def test_what_the_field_of_view_cuts_off_is_unknown(pelvis):
    body = body_of([pelvis(width=180, height=170, midline=8.0)])
    assert np.isnan(body.front_mm).all()
    assert np.isnan(body.back_mm).all()
    assert np.isinf(body.depth_mm).all()
    assert _middle(body, body.midline_mm) == pytest.approx(8.0, abs=SIX_MM)


def test_another_image_of_the_same_space_shows_what_the_first_cuts_off(pelvis):
    body = body_of([pelvis(width=180, height=170), pelvis(tilt_deg=10)])
    assert _middle(body, body.front_mm) == pytest.approx(FRONT_MM, abs=SIX_MM)
    assert _middle(body, body.back_mm) == pytest.approx(BACK_MM, abs=SIX_MM)


def test_gas_in_a_rectum_that_the_field_of_view_cuts_is_no_air_outside(pelvis):
    image = pelvis(width=150, height=150, centre=(0.0, -10.0))
    values = sitk.GetArrayFromImage(image)
    values[:, -12:, 22:38] = 0
    gas = sitk.GetImageFromArray(values)
    gas.CopyInformation(image)
    assert not body_of([gas]).air.any()


def test_noise_in_the_air_is_no_tissue(pelvis):
    image = pelvis()
    body = body_of([sitk.Maximum(image, sitk.AdditiveGaussianNoise(image * 0, 25.0, 0.0, 7))])
    assert _middle(body, body.front_mm) == pytest.approx(FRONT_MM, abs=SIX_MM)
    assert _middle(body, body.back_mm) == pytest.approx(BACK_MM, abs=SIX_MM)


def test_without_images_there_is_no_body():
    assert body_of([]) is None
