"""Legacy Converted Enhanced MR (PS3.3 A.71), as highdicom converts it: used as the classic images that it was."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.legacy import LegacyConvertedEnhancedMRImage
from pydicom import Dataset, dcmread
from pydicom.uid import (
    JPEGLSLossless,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    generate_uid,
)

from models.sequence import Sequence
from node.recognition.header.facts import Fault
from node.recognition.header.frames import read_frames as read_frames_of
from node.recognition.header.words import words
from node.recognition.plan import recognise
from node.recognition.record import Stack, StudyPlan
from node.results.identity import Identity, Site
from node.results.source import read_frames
from node.settings import RecognitionSettings
from node.volumes import assembled

from ..copies import copied

SETTINGS = RecognitionSettings()
SCANNERS = ("Siemens Skyra", "GE MR750", "Philips Multiva", "UIH uMR 770")
#: highdicom 0.28 writes NONE in the place of the fourth value of Image Type, by which Siemens tells ADC maps.
LOST = {"Siemens Skyra": {Sequence.ADC}}
#: s; it copies Acquisition Duration (s) into Frame Acquisition Duration (ms); Philips' phases are timed by half of it.
DURATION_TOLERANCE_S = {"Philips Multiva": 3.0}


def series_of(instances: list[Dataset]) -> dict[str, list[Dataset]]:
    """The MR images by series; the screen capture stays behind."""
    found: dict[str, list[Dataset]] = {}
    for instance in instances:
        if instance.SOPClassUID == MRImageStorage:
            found.setdefault(instance.SeriesInstanceUID, []).append(instance)
    return found


def convert(images: list[Dataset], path: Path, syntax: str | None = None) -> Path:
    """One multi-frame image of a series, in its series."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Image Type has too much or too little
        whole = LegacyConvertedEnhancedMRImage(
            images,
            series_instance_uid=images[0].SeriesInstanceUID,
            series_number=int(images[0].SeriesNumber),
            sop_instance_uid=generate_uid(),
            instance_number=1,
            transfer_syntax_uid=syntax,
        )
    assert whole.SOPClassUID == LegacyConvertedEnhancedMRImageStorage
    whole.save_as(path)
    return path


@pytest.fixture(scope="module")
def plans(written_by, tmp_path_factory) -> Callable[[str], tuple[StudyPlan, StudyPlan]]:
    """The plans of a scanner's study: as classic images, and with each series converted."""

    @cache
    def made(name: str) -> tuple[StudyPlan, StudyPlan]:
        written = written_by(name)
        folder = tmp_path_factory.mktemp("converted")
        series = series_of([copied(instance) for instance in written.instances])
        paths = [convert(images, folder / f"{number}.dcm") for number, images in enumerate(series.values())]
        uid = str(written.instances[0].StudyInstanceUID)
        return recognise(uid, written.paths, SETTINGS), recognise(uid, paths, SETTINGS)

    return made


def facts(stack: Stack) -> Stack:
    """All that is known of a stack but for its files, and for the time, which is looked at by itself."""
    return replace(stack, frames=(), phase_time_s=None)


def pairs(plans, scanner: str) -> list[tuple[Stack, Stack]]:
    """The stacks of each role, before and after the conversion."""
    classic, converted = plans(scanner)
    assert {refusal.role for refusal in converted.refusals} == LOST.get(scanner, set())
    roles = [stack.role for stack in converted.stacks]
    assert set(roles) == {stack.role for stack in classic.stacks} - LOST.get(scanner, set())
    return [(classic.stack(role), converted.stack(role)) for role in roles]


@pytest.mark.parametrize("scanner", SCANNERS)
def test_the_same_stacks_are_found_with_the_same_facts(plans, scanner):
    found = pairs(plans, scanner)
    assert {Sequence.T2WI, Sequence.DWI, Sequence.PVP} <= {after.role for _, after in found}
    for before, after in found:
        assert facts(after) == facts(before)
    classic, converted = plans(scanner)
    assert converted.body_part == classic.body_part != ""


@pytest.mark.parametrize("scanner", SCANNERS)
def test_their_volumes_are_the_same(plans, scanner):
    for pair in pairs(plans, scanner):
        np.testing.assert_array_equal(*(sitk.GetArrayFromImage(assembled(stack).image) for stack in pair))


@pytest.mark.parametrize("scanner", SCANNERS)
def test_the_phases_of_the_dynamic_run_are_told_apart_and_timed(plans, scanner):
    classic, converted = plans(scanner)
    assert classic.dynamic is not None
    assert converted.dynamic is not None
    assert [(it.slices, it.chosen) for it in converted.dynamic.phases] == [
        (it.slices, it.chosen) for it in classic.dynamic.phases
    ]
    assert [it.after_injection_s for it in converted.dynamic.phases] == pytest.approx(
        [it.after_injection_s for it in classic.dynamic.phases], abs=DURATION_TOLERANCE_S.get(scanner, 0.0)
    )


@pytest.mark.parametrize("scanner", SCANNERS)
def test_results_inherit_what_was_acquired(plans, scanner):
    identity = Identity(Site("1.2.826.0.1.3680043.10.1599."), "1.2.3", "", "", datetime(2026, 12, 1, tzinfo=UTC), ())
    names = (
        "ScanningSequence",
        "SequenceVariant",
        "RepetitionTime",
        "EchoTime",
        "EchoTrainLength",
        "FlipAngle",
        "MRAcquisitionType",
        "MagneticFieldStrength",
        "PatientPosition",
        "ManufacturerModelName",
        "ImagePositionPatient",
        "PixelSpacing",
    )
    for pair in pairs(plans, scanner):
        headers = [[frame.header for frame in read_frames(stack, identity)] for stack in pair]
        for was, found in zip(*headers, strict=True):
            assert {name: found.get(name) for name in names} == {name: was.get(name) for name in names}


def test_a_compressed_one_holds_the_same_values(written_by, plans, tmp_path):
    images = series_of([copied(instance) for instance in written_by("Skyra").series("t2_tse_tra")])
    ((uid, slices),) = images.items()
    path = convert(slices, tmp_path / "whole.dcm", JPEGLSLossless)
    assert dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == JPEGLSLossless
    stack = recognise(str(slices[0].StudyInstanceUID), [path], SETTINGS).stack(Sequence.T2WI)
    before = plans("Skyra")[0].stack(Sequence.T2WI)
    assert stack is not None
    assert stack.series_instance_uid == uid
    np.testing.assert_array_equal(*(sitk.GetArrayFromImage(assembled(each).image) for each in (before, stack)))


def test_one_of_another_body_part_is_refused_as_its_images_would_be(written_by, tmp_path):
    """A conversion moves Body Part Examined into the functional groups (A.71.4), as a code."""
    images = [copied(image) for image in written_by("Skyra").series("t2_tse_tra")]
    for image in images:
        image.BodyPartExamined = "HEAD"
    path = convert(images, tmp_path / "whole.dcm")
    assert "BodyPartExamined" not in dcmread(path, stop_before_pixels=True)
    plan = recognise(str(images[0].StudyInstanceUID), [path], SETTINGS)
    assert [refusal.code for refusal in plan.refusals] == ["E-BODY-PART"]


def padded(image: Any) -> None:
    image.add_new("PixelPaddingValue", "US", 4095)


def test_padding_that_was_not_assigned_is_padding(written_by, tmp_path):
    """Other converters than highdicom's keep what belongs to no module of theirs among the unassigned elements."""
    images = [copied(image) for image in written_by("Skyra").series("t2_tse_tra")]
    for image in images:
        cells = np.frombuffer(image.PixelData, "<u2").copy()
        cells[:100] = 4095
        image.PixelData = cells.tobytes()
    path = convert(images, tmp_path / "whole.dcm")
    whole = dcmread(path)
    padded(whole.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence[0])
    whole.pop("PixelPaddingValue", None)
    whole.save_as(path)
    stack = recognise(str(images[0].StudyInstanceUID), [path], SETTINGS).stack(Sequence.T2WI)
    assert stack is not None
    assert sitk.GetArrayFromImage(assembled(stack).image).max() < 4095


@pytest.mark.parametrize("description", ["t2_tse_tra", "ep2d_diff_b0_800_tra"])
def test_damage_ends_as_facts_or_as_a_reason(written_by, tmp_path, description):
    """Bytes of the header are overwritten at random; a sequence whose representation is broken is among them."""
    images = [copied(image) for image in written_by("Skyra").series(description)]
    whole = convert(next(iter(series_of(images).values())), tmp_path / "whole.dcm").read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    for seed in range(40):
        dice, damaged = random.Random(seed), bytearray(whole)
        for _ in range(dice.randrange(1, 30)):
            damaged[dice.randrange(400, pixels)] = dice.randrange(256)
        groups = damaged.find(b"\x00\x52\x30\x92SQ")  # Per-frame Functional Groups Sequence
        if seed % 4 == 0 and groups > 0:
            damaged[groups + 4 : groups + 6] = b"AQ"
        (tmp_path / "damaged.dcm").write_bytes(damaged)
        found = read_frames_of(tmp_path / "damaged.dcm", words())
        assert isinstance(found, Fault) or found
