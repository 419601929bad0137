"""The node recognises what it needs in the study of every scanner, and leaves the rest with a reason."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from models.sequence import Sequence
from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings
from node.volumes import assemble

ROUNDING = 0.51


@cache
def _plan(study_instance_uid: str, paths: tuple[Path, ...]) -> StudyPlan:
    return recognise(study_instance_uid, paths, RecognitionSettings())


@pytest.fixture
def plan(written) -> StudyPlan:
    """The plan of the hand-built study."""
    return _plan(written.instances[0].StudyInstanceUID, written.paths)


def _described(plan: StudyPlan, role: Sequence) -> str:
    stack = plan.stack(role)
    assert stack is not None
    return next(each.description for each in plan.verdicts if each.series_instance_uid == stack.series_instance_uid)


def _largest_difference(one: sitk.Image, other: sitk.Image) -> float:
    return float(np.abs(sitk.GetArrayFromImage(one) - sitk.GetArrayFromImage(other)).max())


def test_no_role_is_refused(plan):
    assert plan.refusals == ()
    assert {stack.role for stack in plan.stacks} == set(Sequence)


def test_t2_is_the_axial_and_not_the_sagittal_series(plan):
    assert "sag" not in _described(plan, Sequence.T2WI).lower()
    assert abs(plan.stack(Sequence.T2WI).normal[2]) > 0.9


def test_dwi_is_the_volume_of_the_high_b_value(plan):
    assert plan.stack(Sequence.DWI).b_value == 800


def test_adc_is_the_map(plan):
    text = _described(plan, Sequence.ADC).lower()
    assert "adc" in text or "apparent diffusion coefficient" in text


def test_pvp_is_the_phase_at_70_s(plan, written):
    stack = plan.stack(Sequence.PVP)
    source = next(series for series in written.study.series if series.phase_time_s == 70 and series.kind == "DCE")
    assert assemble(stack).GetSize() == source.image.GetSize()
    assert _largest_difference(assemble(stack), source.image) <= ROUNDING


@pytest.mark.parametrize(
    ("role", "kind", "b_value"),
    [(Sequence.T2WI, "T2WI", None), (Sequence.DWI, "DWI", 800.0), (Sequence.ADC, "ADC", None)],
)
def test_the_assembled_volume_is_the_phantom_that_was_measured(plan, written, role, kind, b_value):
    source = next(each for each in written.study.series if each.kind == kind and each.b_value == b_value)
    image = assemble(plan.stack(role))
    assert _largest_difference(image, source.image) <= ROUNDING
    assert image.GetOrigin() == pytest.approx(source.image.GetOrigin(), abs=1e-4)
    assert image.GetDirection() == pytest.approx(source.image.GetDirection(), abs=1e-6)
    assert image.GetSpacing() == pytest.approx(source.image.GetSpacing(), abs=1e-4)


@pytest.mark.parametrize("word", ["localizer", "survey", "sub", "screen save"])
def test_localizer_subtraction_and_screen_are_not_used(plan, word):
    assert not any(each.used for each in plan.verdicts if word in each.description.lower())


def test_siemens_b_values_are_found_in_the_csa_header_where_an_archive_removed_group_0019(written_by, tmp_path):
    written = written_by("Skyra")
    for number, path in enumerate(written.paths):
        instance = dcmread(path)
        if instance.SeriesDescription.endswith("TRACEW"):
            del instance[0x0019100C]
            del instance.SequenceName
            instance.save_as(tmp_path / f"{number}.dcm")
    plan = recognise(written.instances[0].StudyInstanceUID, sorted(tmp_path.iterdir()), RecognitionSettings())
    assert plan.verdicts[0].b_values == (0, 800)
