"""The rectum outlined by hand: what is committed, and how contours become masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ModelError, VolumeError
from models.research.evaluation.pelvis.agreement import agreement
from models.research.evaluation.pelvis.outlines import READINGS, Contour, Structure, contours, rectum_on
from models.research.evaluation.pelvis.patients import find_pelvic_patient, pelvic_patients
from models.volume import Grid

#: 0.5 mm pixels, 3 mm slices, tilted by 30 degrees about the patient's left-right axis.
_TILT = np.deg2rad(30)
_AXES = np.array([[1, 0, 0], [0, np.cos(_TILT), -np.sin(_TILT)], [0, np.sin(_TILT), np.cos(_TILT)]])
GRID = Grid((160, 160, 9), (0.5, 0.5, 3.0), (-40.0, -60.0, 12.0), tuple(_AXES.ravel().tolist()))
PIXEL_MM2 = 0.25


def circle(radius, number, structure=Structure.OUTER_WALL, reading=1, middle=(40.0, 40.0), points=12):
    """A circle by a few points on a slice, in LPS."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    plane = np.column_stack(
        [middle[0] + radius * np.cos(angle), middle[1] + radius * np.sin(angle), np.full(points, 3.0 * number)]
    )
    return Contour("nobody", reading, structure, number, "", np.asarray(GRID.origin) + plane @ _AXES.T)


@pytest.mark.parametrize("radius", [6.0, 15.0])
def test_a_circle_of_twelve_points_encloses_the_area_of_a_circle(radius):
    rectum = rectum_on(GRID, [circle(radius, 4, middle=(40.1, 40.2))])
    assert rectum.outer[4].sum() * PIXEL_MM2 == pytest.approx(
        np.pi * radius**2, rel=0.02
    )  # of a polygon of twelve sides: 4.5 % less
    assert rectum.slices == (4,)
    assert not np.delete(rectum.outer, 4, axis=0).any()


def test_a_contour_lies_where_its_points_do_on_a_tilted_stack():
    outer = rectum_on(GRID, [circle(6.0, 2, middle=(20.0, 55.0))]).outer
    assert np.argwhere(outer).mean(axis=0) == pytest.approx([2, 110, 40], abs=0.3)  # z, y, x of pixels of 0.5 mm


def test_the_wall_is_what_lies_between_both_contours():
    rectum = rectum_on(GRID, [circle(15.0, 4), circle(11.0, 4, Structure.LUMEN)])
    assert rectum.wall.sum() * PIXEL_MM2 == pytest.approx(np.pi * (15**2 - 11**2), rel=0.02)
    assert not (rectum.wall & rectum.lumen).any()


def test_a_bowel_whose_walls_touch_is_all_wall():
    rectum = rectum_on(GRID, [circle(9.0, 4)])
    assert (rectum.wall == rectum.outer).all()


def test_slices_left_out_are_filled_by_the_surface_half_way():
    rectum = rectum_on(GRID, [circle(8.0, 2), circle(14.0, 4)], between=True)
    assert rectum.outer[3].sum() * PIXEL_MM2 == pytest.approx(np.pi * 11**2, rel=0.03)
    assert not rectum.outer[[1, 5]].any()


def test_contours_of_another_series_are_refused():
    drawn = circle(8.0, 4)
    with pytest.raises(VolumeError, match="on no slice of"):
        rectum_on(GRID, [replace(drawn, points=drawn.points + 1.5 * _AXES[:, 2])])


def test_two_circles_of_one_size_agree_but_for_their_shift(monkeypatch):
    pair = {
        reading: (circle(12.0, 4, reading=reading, middle=(40.0 + 3 * (reading - 1), 40.0)),) for reading in READINGS
    }
    monkeypatch.setattr("models.research.evaluation.pelvis.agreement.contours", lambda _, reading: pair[reading])
    found = agreement("nobody", Structure.OUTER_WALL, GRID)
    assert found.centre_mm == pytest.approx(3.0, abs=0.1)
    assert found.hausdorff_95_mm == pytest.approx(3.0, abs=0.1)
    assert found.dice == pytest.approx(0.841, abs=0.01)  # of two discs of radius 12 mm, 3 mm apart


def test_every_patient_is_outlined_twice_on_the_same_slices():
    assert len(pelvic_patients()) == 10
    for patient in pelvic_patients():
        first, second = (
            {(it.slice, it.structure, it.image_uid) for it in contours(patient.name, reading)} for reading in READINGS
        )
        assert first == second
        assert len([it for it in first if it[1] is Structure.OUTER_WALL]) >= 7


def test_every_lumen_lies_within_its_wall():
    for patient in pelvic_patients():
        for reading in READINGS:
            drawn = contours(patient.name, reading)
            outer = {it.slice: it.points for it in drawn if it.structure is Structure.OUTER_WALL}
            for lumen in (it for it in drawn if it.structure is Structure.LUMEN):
                reach = np.ptp(outer[lumen.slice], axis=0) - np.ptp(lumen.points, axis=0)
                assert (reach > -0.15).all()  # as coordinates are rounded


def test_points_of_a_contour_lie_in_one_plane():
    for patient in pelvic_patients():
        for contour in contours(patient.name, 1):
            centred = contour.points - contour.points.mean(axis=0)
            assert np.linalg.svd(centred)[1][2] / np.sqrt(len(centred)) < 0.1


def test_a_patient_that_there_is_not_is_refused():
    with pytest.raises(ModelError, match="there are ProstateX-0217"):
        find_pelvic_patient("ProstateX-0001")
