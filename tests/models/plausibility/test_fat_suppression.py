"""Whether fat is suppressed is told by T2WI beside it, or by what lies under the skin."""

import pytest

from models.plausibility.fat_suppression import BRIGHT_FAT, fat_to_muscle

BRIGHT, DARK = {"fat": 600.0, "muscle": 250.0}, {"fat": 80.0, "muscle": 400.0}


@pytest.mark.parametrize("field_of_view", [{}, {"width": 180, "height": 170}])
def test_bright_and_suppressed_fat_are_told_apart_beside_t2wi(pelvis, field_of_view):
    t2wi = pelvis(tilt_deg=8, width=180, height=170)
    assert fat_to_muscle(pelvis(**BRIGHT, **field_of_view), t2wi) > 1.3 > BRIGHT_FAT
    assert fat_to_muscle(pelvis(**DARK, **field_of_view), t2wi) < 0.5


def test_without_t2wi_the_fat_under_the_skin_tells(pelvis):
    assert fat_to_muscle(pelvis(**BRIGHT)) > BRIGHT_FAT
    assert fat_to_muscle(pelvis(**DARK)) < 0.8


def test_nothing_is_told_without_t2wi_where_no_skin_is_in_the_field_of_view(pelvis):
    assert fat_to_muscle(pelvis(width=160, height=150, **BRIGHT)) is None
