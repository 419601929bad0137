"""Of several series that could fill a role, which is used, and by what that is decided."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from models.sequence import Sequence

from ...copies import copied


@pytest.fixture
def t2(series_of) -> list[Dataset]:
    return series_of("Skyra", "t2_tse_tra")


def repeat(instances: SequenceOf[Dataset], change: Callable[[Dataset], None] = lambda instance: None) -> list[Dataset]:
    """The same measured again an hour later, as a series of its own of the next number."""
    copies = [copied(instance) for instance in instances]
    uid = generate_uid()
    for copy in copies:
        copy.SOPInstanceUID, copy.SeriesInstanceUID = generate_uid(), uid
        copy.SeriesNumber = int(copy.SeriesNumber) + 1
        for keyword in ("AcquisitionTime", "SeriesTime", "ContentTime"):
            time = getattr(copy, keyword)
            setattr(copy, keyword, f"{int(time[:2]) + 1:02d}{time[2:]}")
        change(copy)
    return copies


def from_below(instances: SequenceOf[Dataset]) -> list[Dataset]:
    return sorted(instances, key=lambda each: float(each.ImagePositionPatient[2]))


def used(plan) -> str:
    return plan.stack(Sequence.T2WI).series_instance_uid


def reason(plan, instances: SequenceOf[Dataset]) -> str:
    return next(v.reason for v in plan.verdicts if v.series_instance_uid == instances[0].SeriesInstanceUID)


def test_a_series_is_repeated_after_motion_so_that_the_later_of_equals_is_used(t2, recognised):
    again = repeat(t2)
    plan = recognised([*t2, *again])
    assert used(plan) == again[0].SeriesInstanceUID
    assert "acquired later" in reason(plan, t2)


def test_a_shortened_repeat_leaves_the_complete_series(t2, recognised):
    again = repeat(from_below(t2)[1:-1])
    plan = recognised([*t2, *again])
    assert used(plan) == t2[0].SeriesInstanceUID
    assert "larger extent" in reason(plan, again)


@pytest.mark.parametrize("step_mm", [4.0, 4.4, 5.5])
def test_two_slices_less_are_a_shortened_repeat_whatever_the_step(t2, recognised, step_mm):
    for number, instance in enumerate(from_below(t2)):
        instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        instance.ImagePositionPatient = [-100, -100, number * step_mm]
        instance.SliceThickness = step_mm
    assert used(recognised([*t2, *repeat(from_below(t2)[:-2])])) == t2[0].SeriesInstanceUID


def test_a_repeat_with_one_slice_less_is_used_for_being_later(t2, recognised):
    again = repeat(from_below(t2)[1:])
    assert used(recognised([*t2, *again])) == again[0].SeriesInstanceUID


def test_rounding_of_the_pixel_spacing_does_not_decide(t2, recognised):
    def coarser(instance: Dataset) -> None:
        instance.PixelSpacing = ["1.18500001", "1.18500001"]

    for instance in t2:
        instance.PixelSpacing = ["1.18499999", "1.18499999"]
    again = repeat(t2, coarser)
    assert used(recognised([*t2, *again])) == again[0].SeriesInstanceUID


def test_interpolation_makes_no_series_finer(t2, recognised):
    def interpolated(instance: Dataset) -> None:
        instance.Rows, instance.Columns = 2 * instance.Rows, 2 * instance.Columns
        instance.PixelSpacing = [float(spacing) / 2 for spacing in instance.PixelSpacing]

    for instance in t2:
        instance.AcquisitionMatrix = [0, instance.Columns, instance.Rows, 0]
    again = repeat(t2)
    for instance in t2:
        interpolated(instance)
    assert used(recognised([*t2, *again])) == again[0].SeriesInstanceUID
