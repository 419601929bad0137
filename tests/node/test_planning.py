"""The plan of a study when its header does not say when the contrast agent was injected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from models.enhancement.injection_time import InjectionTime
from models.sequence import Sequence
from node.planning import plan_from, plan_with_volumes
from node.recognition.plan import StudyFacts, read_study
from node.recognition.record import from_json, to_json
from node.recognition.rules.findings import Confidence
from node.settings import RecognitionSettings

from .copies import copied

SETTINGS = RecognitionSettings()
# Relative signal of an artery, of a vein and of muscle in the five phases of the hand-built study.
CURVES = {"artery": (1.0, 4.2, 3.0, 2.4, 2.0), "muscle": (1.0, 1.05, 1.15, 1.2, 1.25)}
QUIET = np.random.default_rng(3)


@pytest.fixture
def facts(written_by: Callable[[str], Any], tmp_path: Path) -> Callable[..., StudyFacts]:
    """The study of a Skyra without a time of injection; `enhancing`: with arteries that show the bolus."""

    def read(enhancing: bool, in_one_frame: bool = True) -> StudyFacts:
        instances = [copied(instance) for instance in written_by("Skyra").instances]
        numbers = {str(each.SeriesInstanceUID): int(each.SeriesNumber) for each in instances if _dynamic(each)}
        order = {uid: index for index, uid in enumerate(sorted(numbers, key=lambda uid: numbers[uid]))}
        for number, instance in enumerate(instances):
            instance.pop("ContrastBolusStartTime", None)
            if not in_one_frame:
                instance.pop("FrameOfReferenceUID", None)
            if enhancing and str(instance.SeriesInstanceUID) in order:
                _paint(instance, order[str(instance.SeriesInstanceUID)])
            instance.save_as(tmp_path / f"{number:04d}.dcm")
        return read_study(str(instances[0].StudyInstanceUID), sorted(tmp_path.glob("*.dcm")), SETTINGS)

    return read


def _dynamic(instance: Dataset) -> bool:
    return "vibe" in instance.SeriesDescription and "SUB" not in instance.SeriesDescription


def _paint(instance: Dataset, phase: int) -> None:
    rows, columns = np.mgrid[: instance.Rows, : instance.Columns]
    pixels = np.zeros((instance.Rows, instance.Columns))
    body = (rows - 24) ** 2 + (columns - 24) ** 2 < 20**2
    pixels[body] = 200 * CURVES["muscle"][phase]
    for column in (15, 33):
        vessel = (rows - 20) ** 2 + (columns - column) ** 2 <= 4**2
        pixels[vessel] = 120 * CURVES["artery"][phase]
    pixels += QUIET.normal(0, 2, pixels.shape)
    instance.PixelData = np.clip(pixels, 0, 4000).astype("<u2").tobytes()


def test_the_injection_is_measured_and_the_phase_chosen_with_less_confidence(facts):
    plan = plan_from(facts(enhancing=True), SETTINGS, ())
    assert isinstance(plan.revealed.injection, InjectionTime)
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(70, abs=2 * plan.dynamic.uncertainty_s)
    verdict = next(each for each in plan.verdicts if each.used and each.role == "DCE")
    assert verdict.confidence is not Confidence.HIGH
    assert "measured in the images" in verdict.doubts[0]
    assert any("it was measured in the images" in warning for warning in plan.warnings)
    assert plan.dynamic.zero.startswith("measured in the images")


def test_where_it_cannot_be_measured_the_refusal_says_so(facts):
    plan = plan_from(facts(enhancing=False), SETTINGS, ())
    assert plan.stack(Sequence.PVP) is None
    assert plan.refusal(Sequence.PVP).code == "E-DCE-T0"
    assert "in the images: " in plan.refusal(Sequence.PVP).reason
    assert [phase.after_injection_s for phase in plan.dynamic.phases] == [None] * 5


def test_phases_without_a_frame_of_reference_are_not_laid_over_each_other(facts):
    plan = plan_from(facts(enhancing=True, in_one_frame=False), SETTINGS, ())
    assert plan.refusal(Sequence.PVP).code == "E-DCE-T0"
    assert "share no frame of reference" in plan.refusal(Sequence.PVP).reason


def test_a_site_may_switch_the_measurement_off(facts):
    settings = RecognitionSettings(measure_injection=False)
    plan = plan_from(facts(enhancing=True), settings, ())
    assert plan.refusal(Sequence.PVP).code == "E-DCE-T0"
    assert plan.revealed.injection is None


def test_what_was_measured_is_kept_with_the_plan_and_gives_the_same_plan_again(facts):
    known = facts(enhancing=True)
    plan = plan_from(known, SETTINGS, ())
    again = plan_from(known, SETTINGS, (), from_json(to_json(plan)).revealed)
    assert again == plan


def test_a_stack_whose_pixels_cannot_be_decoded_makes_room_for_the_next_one(facts, tmp_path):
    known = facts(enhancing=True)
    plan = plan_from(known, SETTINGS, ())
    broken = plan.stack(Sequence.PVP)
    broken.frames[0].path.write_bytes(broken.frames[0].path.read_bytes()[:-2000])
    after, volumes = plan_with_volumes(plan, lambda: known, SETTINGS, ())
    assert after.stack(Sequence.PVP) is None
    assert after.refusal(Sequence.PVP).code == "E-DECODE"
    assert set(volumes) == {Sequence.T2WI, Sequence.DWI, Sequence.ADC}
    assert "E-DECODE" in next(
        each.reason for each in after.verdicts if each.series_instance_uid == broken.series_instance_uid
    )


@pytest.mark.parametrize(("fat", "used"), [(600, False), (60, True)])
def test_a_portal_venous_phase_whose_fat_is_bright_is_left_out_with_its_run(written_by, tmp_path, fat, used):
    instances = [copied(instance) for instance in written_by("Skyra").instances]
    for number, instance in enumerate(instances):
        if _dynamic(instance):
            _paint_layers(instance, fat=fat, muscle=250)
        elif "t2_tse_tra" in instance.SeriesDescription:
            _paint_layers(instance, fat=900, muscle=120)
        instance.save_as(tmp_path / f"{number:04d}.dcm")
    known = read_study(str(instances[0].StudyInstanceUID), sorted(tmp_path.glob("*.dcm")), SETTINGS)
    plan = plan_from(known, SETTINGS, ())
    assert plan.stack(Sequence.PVP) is not None
    after, volumes = plan_with_volumes(plan, lambda: known, SETTINGS, ())
    assert (Sequence.PVP in volumes) is used
    assert (after.stack(Sequence.PVP) is not None) is used
    if not used:
        assert after.refusal(Sequence.PVP).code == "E-FAT-BRIGHT"
        assert "2.4 times as bright as muscle" in after.refusal(Sequence.PVP).reason
        assert {key for key, _ in after.revealed.unusable} == {phase.key for phase in plan.dynamic.phases}
        assert from_json(to_json(after)) == after


def _paint_layers(instance: Dataset, fat: int, muscle: int) -> None:
    """An oval of muscle 160 mm wide under 20 mm of fat, with fat at its middle, in air."""
    instance.PixelSpacing = ["4", "4"]
    rows, columns = np.mgrid[: instance.Rows, : instance.Columns]
    distance = np.hypot(rows / instance.Rows - 0.5, columns / instance.Columns - 0.5)
    pixels = np.where(distance < 0.42, fat, 2)
    pixels[(distance < 0.32) & (distance > 0.1)] = muscle
    pixels = pixels + QUIET.normal(0, 1, pixels.shape)
    instance.PixelData = np.clip(pixels, 0, 4000).astype("<u2").tobytes()
