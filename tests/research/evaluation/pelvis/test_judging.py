"""What counts as found and what as a false finding; the controls; the tables."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.research.evaluation.pelvis.cases import Pelvis, sets_of
from models.research.evaluation.pelvis.controls import blind, brightest_dwi
from models.research.evaluation.pelvis.implant_report import figures
from models.research.evaluation.pelvis.judging import Row, judge
from models.research.evaluation.pelvis.patients import PelvicPatient
from models.sequence import Sequence
from models.volume import image_from, volume_ml
from tests.research.evaluation.pelvis.conftest import GRID

PATIENT = PelvicPatient("nobody", False, (0.0, 0.0, 0.0), ())


def ball(x, y, z=8, radius=5, values=None, height=1):
    planes, rows, columns = np.indices(GRID.size[::-1], np.float32)
    inside = (columns - x) ** 2 + (rows - y) ** 2 + (4 * (planes - z)) ** 2 <= radius**2
    if values is None:
        return image_from((inside * height).astype(np.uint8), GRID)
    return image_from((sitk.GetArrayFromImage(values) + inside * np.float32(height)).astype(np.float32), GRID)


def both(one, other):
    return sitk.Or(one, other)


@pytest.fixture
def pelvises(image, tube, monkeypatch):
    monkeypatch.setattr("models.research.evaluation.pelvis.cases.contours", lambda *_: tube)
    return [Pelvis(PATIENT, {Sequence.T2WI: image, Sequence.DWI: image}) for _ in range(3)]


def test_a_tumour_that_is_met_is_found_and_what_lies_elsewhere_is_false():
    true = {Sequence.T2WI: ball(40, 40)}
    found, dice, false, false_ml = judge({Sequence.T2WI: both(ball(41, 40), ball(70, 70))}, true)
    assert found
    assert 0.5 < dice < 1
    assert (false, false_ml) == (1, pytest.approx(volume_ml(ball(70, 70)), abs=0.01))


def test_a_tumour_that_is_only_touched_is_not_found():
    assert judge({Sequence.T2WI: ball(48.5, 40)}, {Sequence.T2WI: ball(40, 40)})[0] is False


def test_found_in_one_sequence_is_found():
    nothing, true = ball(0, 0, radius=0, z=99), ball(40, 40)
    verdict = judge({Sequence.T2WI: nothing, Sequence.DWI: true}, {Sequence.T2WI: true, Sequence.DWI: true})
    assert verdict == (True, 0.5, 0, 0.0)


def test_without_a_tumour_any_mask_is_false_and_no_mask_is_right():
    nothing = ball(0, 0, radius=0, z=99)
    assert judge({Sequence.T2WI: ball(40, 40)}, {Sequence.T2WI: nothing})[2] == 1
    assert judge({Sequence.T2WI: nothing}, {Sequence.T2WI: nothing}) == (False, 1.0, 0, 0.0)


def test_the_brightest_dwi_is_looked_for_at_the_rectum_alone(pelvises, image):
    suppressed = sitk.Cast(image < 0, sitk.sitkFloat32) + 20
    at_rectum = ball(48, 68, values=suppressed, radius=7, height=600)
    dwi = ball(10, 80, values=at_rectum, radius=9, height=2000)
    found = brightest_dwi(pelvises[0], {Sequence.DWI: dwi, Sequence.T2WI: image}, [Sequence.DWI])[Sequence.DWI]
    met = judge({Sequence.DWI: found}, {Sequence.DWI: ball(48, 68, radius=7)})
    assert met[0]
    assert not sitk.GetArrayFromImage(found)[:, :, :20].any()


def test_without_an_image_the_mask_is_where_other_rectums_lie_whatever_is_shown(pelvises, image):
    here, *others = pelvises
    painted = Pelvis(PATIENT, {Sequence.T2WI: ball(30, 30, values=image, height=900)})
    masks = [blind(it, others, [Sequence.T2WI])[Sequence.T2WI] for it in (here, painted)]
    assert (sitk.GetArrayFromImage(masks[0]) == sitk.GetArrayFromImage(masks[1])).all()
    assert volume_ml(masks[0]) >= 15
    assert sitk.GetArrayFromImage(masks[0])[here.rectum.outer].sum() == sitk.GetArrayFromImage(masks[0]).sum()


def test_all_sets_of_sequences_are_judged(image):
    assert sets_of({Sequence.T2WI: image}) == ((Sequence.T2WI,),)
    assert len(sets_of({Sequence.T2WI: image, Sequence.DWI: image, Sequence.PVP: image})) == 7


def row(size, found, false=0, dice=0.0):
    return Row("nobody", size, 0, "T2WI", "network", found, dice, false, 0.0)


def test_false_findings_stand_beside_what_is_found_with_intervals():
    rows = [row(0.0, False, 1), row(0.0, False), row(20.0, True, dice=0.8), row(20.0, False, 1), row(6.0, False)]
    free, large, large_dice, small, small_dice, false = figures(rows)
    assert free == "1 of 2 (9% to 91%)"
    assert (large, large_dice) == ("1 of 2 (9% to 91%)", "0.40")
    assert (small, small_dice) == ("0 of 1 (0% to 79%)", "0.00")
    assert false == "1 of 3 (6% to 79%)"
