"""Slices that one series holds more than once: what is the measure of the others, and which of them are used."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from models.sequence import Sequence

from ...copies import copied

SKYRA, MULTIVA = "Skyra", "Multiva"


def again(instances: Iterable[Dataset], **changed: object) -> list[Dataset]:
    """Copies under new UIDs; a callable gives a value from the old one."""
    copies = [copied(instance) for instance in instances]
    for copy in copies:
        copy.SOPInstanceUID = generate_uid()
        for keyword, value in changed.items():
            setattr(copy, keyword, value(getattr(copy, keyword)) if callable(value) else value)
    return copies


def later(time: str) -> str:
    return f"{int(time[:2]) + 1:02d}{time[2:]}"


def uids(instances: Iterable[Dataset]) -> set[str]:
    return {str(instance.SOPInstanceUID) for instance in instances}


def used(plan, role: Sequence = Sequence.T2WI) -> set[str]:
    return {frame.sop_instance_uid for frame in plan.stack(role).frames}


def of_b_value(instances: list[Dataset], b_value: int) -> list[Dataset]:
    return [each for each in instances if each[0x0019100C].value == b_value]


@pytest.fixture
def t2(series_of) -> list[Dataset]:
    return series_of(SKYRA, "t2_tse_tra")


@pytest.fixture
def trace(series_of) -> list[Dataset]:
    """b = 0 and 800, both with all directions combined."""
    return series_of(SKYRA, "TRACEW")


def test_a_b_value_that_was_stored_twice_is_no_measure_of_what_others_lack(trace, recognised):
    plan = recognised([*trace, *again(of_b_value(trace, 0))])
    assert used(plan, Sequence.DWI) == uids(of_b_value(trace, 800))


def test_a_b_value_that_was_averaged_at_each_position_is_no_measure_of_what_others_lack(trace, recognised):
    low = of_b_value(trace, 0)
    plan = recognised([*trace, *again(low), *again(low), *again(low)])
    assert used(plan, Sequence.DWI) == uids(of_b_value(trace, 800))


def test_interleaved_slices_of_one_b_value_are_no_measure_of_what_others_lack(trace, recognised):
    def moved(position):
        return [position[0], position[1], f"{float(position[2]) + 1.7:.4f}"]

    plan = recognised([*trace, *again(of_b_value(trace, 0), ImagePositionPatient=moved)])
    assert used(plan, Sequence.DWI) == uids(of_b_value(trace, 800))


def test_a_b_value_that_lost_its_last_slice_still_lacks_it(trace, recognised):
    high = sorted(of_b_value(trace, 800), key=lambda each: float(each.ImagePositionPatient[2]))
    low = of_b_value(trace, 0)
    plan = recognised([*low, *again(low), *high[:-1]])
    assert plan.refusal(Sequence.DWI).code == "E-SLICE-MISSING"
    assert "9 of 10 slices" in plan.refusal(Sequence.DWI).reason


def test_b_values_that_lost_a_slice_at_opposite_ends_both_lack_one(trace, recognised):
    def ordered(b_value):
        return sorted(of_b_value(trace, b_value), key=lambda each: float(each.ImagePositionPatient[2]))

    plan = recognised([*ordered(0)[1:], *ordered(800)[:-1]])
    assert plan.refusal(Sequence.DWI).code == "E-SLICE-MISSING"


def test_a_phase_that_was_stored_twice_is_no_measure_of_what_other_phases_lack(series_of, recognised):
    dynamic = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    first = [each for each in dynamic if each.SeriesDescription.endswith("R1")]
    plan = recognised([*dynamic, *again(first)])
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"AcquisitionNumber": 2}, "acquisition number"),
        ({"AcquisitionTime": later}, "order of acquisition time"),
        ({"ContentTime": later}, "content time"),
        ({"InstanceNumber": lambda number: number + 100}, "order of instance number"),
    ],
)
def test_of_slices_that_were_acquired_twice_the_later_set_is_used(t2, recognised, changed, told):
    repeated = again(t2, **changed)
    plan = recognised([*t2, *repeated])
    assert used(plan) == uids(repeated)
    (warning,) = [line for line in plan.warnings if "2 times" in line]
    assert warning.startswith(f"T2WI: series {t2[0].SeriesNumber} holds its slices 2 times, told apart by {told}")


def test_what_decided_between_sets_is_told_whatever_other_roles_the_study_has(t2, trace, series_of, recognised):
    repeated = again(t2, AcquisitionNumber=2, AcquisitionTime=later)
    plan = recognised([*t2, *repeated, *trace, *series_of(SKYRA, "ADC")])
    (warning,) = [line for line in plan.warnings if "2 times" in line]
    assert warning.endswith("one set is used: acquired later")


@pytest.mark.parametrize("kept", [1, 4, 9])
def test_of_slices_that_were_acquired_twice_the_complete_set_is_used(t2, recognised, kept):
    repeated = again(t2[:kept], AcquisitionNumber=2, AcquisitionTime=later)
    plan = recognised([*t2, *repeated])
    assert used(plan) == uids(t2)
    assert any(f"holds {kept} of its 10 slices twice, told apart by" in line for line in plan.warnings)


def test_an_aborted_set_gives_way_to_the_complete_one_after_it(t2, recognised):
    repeated = again(t2, AcquisitionNumber=2, AcquisitionTime=later)
    assert used(recognised([*t2[:6], *repeated])) == uids(repeated)


def test_single_slices_that_were_acquired_again_one_by_one_leave_the_complete_set(t2, recognised):
    one = again(t2[2:3], AcquisitionNumber=2, AcquisitionTime=later)
    two = again(t2[7:8], AcquisitionNumber=3, AcquisitionTime=later)
    assert used(recognised([*t2, *one, *two])) == uids(t2)


def test_two_incomplete_sets_make_no_complete_one(t2, recognised):
    ordered = sorted(t2, key=lambda each: float(each.ImagePositionPatient[2]))
    repeated = again(ordered[3:], AcquisitionNumber=2, AcquisitionTime=later)
    assert recognised([*ordered[:-2], *repeated]).refusal(Sequence.T2WI).code == "E-SPLIT-UNEXPLAINED"


def test_of_combined_diffusion_images_that_were_acquired_twice_the_later_set_is_used(trace, recognised):
    repeated = again(of_b_value(trace, 800), AcquisitionNumber=2, AcquisitionTime=later)
    plan = recognised([*trace, *repeated])
    assert used(plan, Sequence.DWI) == uids(repeated)


def test_diffusion_images_that_may_be_single_directions_stay_refused_when_they_repeat(series_of, recognised):
    dwi = series_of(MULTIVA, "DWI_0")
    for instance in dwi:
        # What says that a zero gradient is a combined image and no single direction.
        del instance.DiffusionGradientOrientation, instance[0x20011004]
        del instance[0x200510B0], instance[0x200510B1], instance[0x200510B2]
    high = [each for each in dwi if each.DiffusionBValue]
    plan = recognised([*dwi, *again(high, AcquisitionNumber=9, AcquisitionTime=later)])
    assert plan.refusal(Sequence.DWI).code == "E-MULTIPLE-CANDIDATES"


def test_the_volumes_of_a_series_say_why_one_of_them_is_used(t2, recognised):
    plan = recognised([*t2, *again(t2, AcquisitionNumber=2, AcquisitionTime=later)])
    earlier, last = sorted(plan.verdicts[0].volumes, key=lambda line: "used as" in line)
    assert last.endswith("used as T2WI")
    assert earlier.endswith("not used, another volume of the series is preferred: acquired later")


def test_an_image_with_prescan_normalisation_is_preferred_to_its_twin_without(t2, recognised):
    twins = again(
        t2, ImageType=lambda tokens: [each for each in tokens if each != "NORM"], InstanceNumber=lambda n: n + 100
    )
    assert "NORM" in t2[0].ImageType
    assert used(recognised([*t2, *twins])) == uids(t2)


def test_spacings_and_b_values_that_differ_by_rounding_do_not_part_a_volume(trace, recognised):
    high = of_b_value(trace, 800)
    for number, instance in enumerate(high):
        # On either side of half of the last digit that a rounding would keep.
        instance.PixelSpacing = ["1.67185", "1.67185"] if number % 2 else ["1.6718500001", "1.6718500001"]
    assert used(recognised(high), Sequence.DWI) == uids(high)
