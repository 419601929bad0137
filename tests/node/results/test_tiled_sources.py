"""Results of a study whose DWI is tiled in sheets (Siemens MOSAIC, UIH VFRAME) lie where its slices lie."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from highdicom.sr import srread
from pydicom import Dataset

from models.sequence import Sequence
from models.volume import divided, grid_of, resample_onto
from node.recognition.plan import recognise
from node.recognition.record import Stack
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.identity import Identity, Site
from node.results.source import read_frames
from node.settings import RecognitionSettings
from node.volumes import assemble

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
IDENTITY = Identity(Site(UID_ROOT), "1.2.3", "", "", datetime(2024, 3, 15, tzinfo=UTC), ())
#: DWI is what is tiled, T2WI stands for what lies beside it.
ROLES = {"T2WI": Sequence.T2WI, "DWI": Sequence.DWI}

needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")


@dataclass(frozen=True)
class Answer:
    """The findings of a study, and the objects that they became."""

    stacks: dict[str, Stack]
    mask: sitk.Image
    objects: tuple[EncodedObject, ...]

    def datasets(self, role: str) -> list[Dataset]:
        """All objects of a role, read back."""
        return [pydicom.dcmread(each.path) for each in self.objects if each.role == role]

    @property
    def sheet_uid(self) -> str:
        """The one instance that holds all DWI slices."""
        (uid,) = {frame.sop_instance_uid for frame in self.stacks["DWI"].frames}
        return uid


def block_mask(image: sitk.Image) -> sitk.Image:
    """A box, off centre on every axis so that a flip would show."""
    array = np.zeros(image.GetSize()[::-1], np.uint8)
    slices, rows, columns = array.shape
    array[slices // 5 : slices // 2, rows // 3 : rows // 2, columns // 5 : columns // 3] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(image)
    return mask


@pytest.fixture(scope="module")
def answered(written_by, siemens, tmp_path_factory) -> Callable[..., Answer]:
    """Recognises, assembles and encodes the study of a scanner, with or without sheets."""

    @cache
    def answer(scanner: str, sheets: bool, with_tumour: bool) -> Answer:
        written = written_by(scanner, sheets=sheets)
        plan = recognise(str(written.instances[0].StudyInstanceUID), written.paths, RecognitionSettings())
        stacks = {name: plan.stack(role) for name, role in ROLES.items()}
        sequences = []
        for model in (it for it in siemens.results.sequences if it.sequence in ROLES):
            image = assemble(stacks[model.sequence])
            fine = resample_onto(image, divided(grid_of(image), (1, 1, 2)))
            mask = block_mask(image) if with_tumour else image < -1
            mask_super = resample_onto(mask, grid_of(fine), sitk.sitkNearestNeighbor)
            sequences.append(
                replace(
                    model,
                    stack=stacks[model.sequence],
                    acquired=image,
                    super_resolved=fine,
                    mask=mask,
                    mask_super=mask_super if model.sequence == "T2WI" else None,
                )
            )
        results = replace(
            siemens.results,
            study_instance_uid=plan.study_instance_uid,
            sequences=tuple(sequences),
            prediction=siemens.results.prediction if with_tumour else None,
            plan=plan,
        )
        objects = encode(results, tmp_path_factory.mktemp("answer"), Site(UID_ROOT))
        return Answer(stacks, next(each.mask for each in sequences if each.sequence == "DWI"), objects)

    # However its arguments are given, a study is encoded once.
    return lambda scanner, sheets=True, with_tumour=True: answer(scanner, sheets, with_tumour)


SCANNERS = ("Skyra", "uMR 560")
#: The ten slices of a sheet, twice as fine.
FINE_SLICES = 20


@pytest.fixture(params=SCANNERS)
def scanner(request) -> str:
    """One that writes MOSAIC, one that writes VFRAME."""
    return request.param


def below(item: Dataset) -> Iterator[Dataset]:
    """A content item and all below it."""
    yield item
    for child in item.get("ContentSequence", ()):
        yield from below(child)


def referenced_images(item: Dataset) -> list[Dataset]:
    """References of all IMAGE items below an item."""
    return [each.ReferencedSOPSequence[0] for each in below(item) if each.get("ValueType") == "IMAGE"]


def concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


@needs_dciodvfy
@pytest.mark.parametrize("with_tumour", [True, False])
def test_dciodvfy_finds_no_error(answered, scanner, with_tumour):
    first = {each.role: each for each in reversed(answered(scanner, with_tumour=with_tumour).objects)}
    assert len(first) == (8 if with_tumour else 5)
    for each in first.values():
        done = subprocess.run(["dciodvfy", "-new", each.path], capture_output=True, text=True, check=False)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


GEOMETRY = ("Rows", "Columns", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "SliceLocation")


def test_the_derived_series_is_that_of_the_single_slices(answered, scanner):
    tiled, single = (answered(scanner, sheets).datasets("super-resolved-dwi") for sheets in (True, False))
    assert len(tiled) == FINE_SLICES
    for one, other in zip(tiled, single, strict=True):
        assert one.PixelData == other.PixelData
        for keyword in GEOMETRY:
            assert one[keyword].value == other[keyword].value
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            np.testing.assert_allclose(np.float64(one[keyword].value), np.float64(other[keyword].value), atol=1e-3)


def test_the_derived_series_passes_on_nothing_that_may_speak_of_the_sheet(answered, scanner):
    images = answered(scanner).datasets("super-resolved-dwi")
    assert len(images) == FINE_SLICES
    for image in images:
        assert "AcquisitionMatrix" not in image
        assert "ReconstructionDiameter" not in image


def test_the_derived_series_refers_to_the_sheet_once_and_claims_no_common_pixels(answered, scanner):
    answer = answered(scanner)
    images = answer.datasets("super-resolved-dwi")
    assert len(images) == FINE_SLICES
    for image in images:
        (source,) = image.SourceImageSequence
        assert source.ReferencedSOPInstanceUID == answer.sheet_uid
        assert "ReferencedFrameNumber" not in source
        (series,) = image.ReferencedSeriesSequence
        assert [each.ReferencedSOPInstanceUID for each in series.ReferencedInstanceSequence] == [answer.sheet_uid]


def test_the_segmentation_lies_where_that_of_the_single_slices_lies(answered, scanner):
    tiled, single = (
        hd.seg.segread(next(each.path for each in answered(scanner, sheets).objects if each.role == "segmentation-dwi"))
        for sheets in (True, False)
    )
    assert (tiled.Rows, tiled.Columns, tiled.NumberOfFrames) == (48, 48, 10)
    one, other = (each.get_volume(combine_segments=True) for each in (tiled, single))
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-3)
    mask = answered(scanner).mask
    inside = np.argwhere(sitk.GetArrayViewFromImage(mask) > 0)
    middle = mask.TransformContinuousIndexToPhysicalPoint(inside.mean(axis=0)[::-1].tolist())
    found = one.map_indices_to_reference(np.argwhere(one.array > 0).mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(found, middle, atol=0.01)


def test_every_frame_of_the_segmentation_refers_to_the_sheet_without_a_frame_number(answered, scanner):
    answer = answered(scanner)
    (segmentation,) = answer.datasets("segmentation-dwi")
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = item.DerivationImageSequence[0].SourceImageSequence
        assert source.ReferencedSOPInstanceUID == answer.sheet_uid
        assert "ReferencedFrameNumber" not in source
        # A viewer that draws on the sheet what lies at a place of the slice would draw it at a wrong one.
        assert source.SpatialLocationsPreserved == "NO"
    (source,) = segmentation.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == answer.sheet_uid
    (series,) = segmentation.ReferencedSeriesSequence
    assert len(series.ReferencedInstanceSequence) == 1


def test_segmentations_of_other_sequences_still_claim_the_pixels_of_their_sources(answered, scanner):
    (segmentation,) = answered(scanner).datasets("segmentation-t2wi")
    assert {each.SpatialLocationsPreserved for each in segmentation.SourceImageSequence} == {"YES"}


@pytest.mark.parametrize("with_tumour", [True, False])
def test_no_part_of_the_report_names_the_sheet_twice(answered, scanner, with_tumour):
    answer = answered(scanner, with_tumour=with_tumour)
    (report,) = answer.datasets("report")
    groups = [each for each in below(report) if each.get("ValueType") == "CONTAINER"]
    named = [
        sum(
            reference.ReferencedSOPInstanceUID == answer.sheet_uid
            for child in group.get("ContentSequence", ())
            if child.ValueType == "IMAGE"
            for reference in child.ReferencedSOPSequence
        )
        for group in groups
    ]
    assert max(named) == 1
    assert sum(named) == 2  # image library and measurements
    assert not any("ReferencedFrameNumber" in each for each in referenced_images(report))
    evidence = [
        instance.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
    assert evidence.count(answer.sheet_uid) == 1


def test_the_image_library_describes_the_slices_and_not_the_sheet(answered, scanner):
    def described(sheets: bool) -> dict[str, float | str]:
        (report,) = answered(scanner, sheets).datasets("report")
        library = next(each for each in below(report) if concept(each) == "Image Library")
        groups = [each for each in library.ContentSequence if concept(each) == "Image Library Group"]
        return {
            concept(each): float(each.MeasuredValueSequence[0].NumericValue)
            for each in groups[list(ROLES).index("DWI")].ContentSequence
            if each.ValueType == "NUM"
        }

    tiled = described(sheets=True)
    assert len(tiled) > 6
    assert tiled == pytest.approx(described(sheets=False), abs=1e-6)


def test_an_independent_reader_takes_the_report(answered, scanner):
    report = srread(next(each.path for each in answered(scanner).objects if each.role == "report"))
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [len(group.referenced_segment) for group in groups][1] == 2  # the segment and the one sheet


def test_headers_of_slices_hold_the_place_of_each_and_the_physics_of_the_sheet(answered, scanner):
    stack, single = (answered(scanner, sheets).stacks["DWI"] for sheets in (True, False))
    wanted = {
        tuple(np.round(np.float64(each.header.ImagePositionPatient), 3)) for each in read_frames(single, IDENTITY)
    }
    frames = read_frames(stack, IDENTITY)
    assert {tuple(np.round(np.float64(each.header.ImagePositionPatient), 3)) for each in frames} == wanted
    sheet = pydicom.dcmread(Path(stack.frames[0].path))
    for frame in frames:
        assert (frame.header.Rows, frame.header.Columns) == (48, 48)
        assert frame.header.EchoTime == sheet.EchoTime
        assert frame.frame_number is None
