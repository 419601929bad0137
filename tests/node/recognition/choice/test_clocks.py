"""Where the times of a dynamic run come from when the better elements are missing."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from models.sequence import Sequence
from node.settings import RecognitionSettings, SiteRule


def lava(series_of) -> list[Dataset]:
    return [each for each in series_of("MR750", "LAVA") if "SUB" not in each.SeriesDescription]


def run_numbers(instances: list[Dataset]) -> list[int]:
    return [int(each[0x0019, 0x10A2].value) for each in instances]


@pytest.fixture
def combined(series_of) -> list[Dataset]:
    """A combined GE series whose phases all carry the same acquisition and content time."""
    instances = lava(series_of)
    for instance in instances:
        instance.AcquisitionTime = min(each.AcquisitionTime for each in instances)
        instance.ContentTime = instance.SeriesTime = instance.AcquisitionTime
    return instances


def injected_after(seconds: float) -> RecognitionSettings:
    return RecognitionSettings(site_rules=(SiteRule(name="injector", injection_s=seconds),))


def test_equal_acquisition_times_leave_the_trigger_time(combined, recognised):
    assert recognised(combined).stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


@pytest.mark.parametrize("ticks_per_second", [1, 10_000])
def test_ge_timer_in_seconds_or_in_ticks(combined, recognised, ticks_per_second):
    first = min(run_numbers(combined))
    for instance, run in zip(combined, run_numbers(combined), strict=True):
        del instance.TriggerTime
        instance[0x0021, 0x105E].value = str((10 + 20 * (run - first)) * ticks_per_second)
    stack = recognised(combined, injected_after(0)).stack(Sequence.PVP)
    assert stack.phase_time_s == pytest.approx(60, abs=11)


def test_trigger_times_that_differ_within_a_volume_are_slice_timing(combined, recognised):
    for number, instance in enumerate(combined):
        instance.TriggerTime = str(10 * number)
    refused = {refusal.role: refusal.code for refusal in recognised(combined).refusals}
    assert refused["PVP"] == "E-DCE-TIME"


def test_phases_without_any_time_are_still_told_apart_by_their_instance_numbers(combined, recognised):
    for instance in combined:
        del instance.TriggerTime
        del instance[0x0019, 0x10A2]
    plan = recognised(combined)
    assert "5 volumes" in plan.verdicts[0].reason


def test_a_mask_without_contrast_start_time_does_not_hide_that_of_the_phases(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    first = min(int(each.SeriesNumber) for each in phases)
    for instance in phases:
        if int(instance.SeriesNumber) == first:
            del instance.ContrastBolusStartTime
    assert recognised(phases).stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=3)


def test_the_site_pattern_reads_the_time_from_the_description(series_of, recognised):
    phases = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    numbers = sorted({int(each.SeriesNumber) for each in phases})
    for instance in phases:
        instance.SeriesDescription = f"dyn t={15 * numbers.index(int(instance.SeriesNumber))}s"
        del instance.ContrastBolusStartTime
    rule = SiteRule(name="clock", phase_time_pattern=r"t=(\d+)s", injection_s=-10.0)
    stack = recognised(phases, RecognitionSettings(site_rules=(rule,))).stack(Sequence.PVP)
    assert stack.phase_time_s == pytest.approx(70)


def test_a_second_copy_of_an_instance_is_named_and_ignored(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    plan = recognised([*t2, t2[3]])
    assert plan.stack(Sequence.T2WI) is not None
    assert any("second copy" in warning for warning in plan.warnings)
