"""Results on real scanner files: classic Siemens and Philips series, Enhanced MR of Siemens and Philips."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from models.sequence import Sequence
from models.volume import divided, grid_of, resample_onto
from node.recognition.record import FrameRef, Stack
from node.results.encode import encode
from node.results.findings import StudyResults
from node.results.identity import Identity, Site
from node.results.kinds import kind_of
from node.results.source import read_frames, read_header
from tests.parts.readers import READERS, faults_of_all

from .conftest import EVERYTHING, OF_SEQUENCES

UID_ROOT = "1.2.826.0.1.3680043.10.1599."
IDENTITY = Identity(Site(UID_ROOT), "1.2.3", "", "", datetime(2024, 3, 15, tzinfo=UTC), ())


def geometry_of(ds: pydicom.Dataset, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position, orientation and spacing of a frame, classic or enhanced; independent of the code under test."""
    if "PerFrameFunctionalGroupsSequence" not in ds:
        return tuple(
            np.asarray(ds[k].value, float) for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
        )
    own, shared = ds.PerFrameFunctionalGroupsSequence[frame], ds.SharedFunctionalGroupsSequence[0]

    def first(macro: str, keyword: str) -> np.ndarray:
        group = own if macro in own else shared
        return np.asarray(group[macro][0][keyword].value, float)

    return (
        first("PlanePositionSequence", "ImagePositionPatient"),
        first("PlaneOrientationSequence", "ImageOrientationPatient"),
        first("PixelMeasuresSequence", "PixelSpacing"),
    )


def stack_and_image(files: list[Path], every: int = 1) -> tuple[Stack, sitk.Image]:
    """A stack sorted along its normal, with the real pixels."""
    found = []
    for path in files:
        ds = pydicom.dcmread(path)
        pixels = ds.pixel_array if "NumberOfFrames" in ds else ds.pixel_array[None]
        found += [(geometry_of(ds, k), path, k, ds, pixels[k]) for k in range(0, len(pixels), every)]
    orientation, spacing = found[0][0][1], found[0][0][2]
    normal = np.cross(orientation[:3], orientation[3:])
    found.sort(key=lambda entry: float(normal @ entry[0][0]))
    step = float(normal @ (found[1][0][0] - found[0][0][0]))
    image = sitk.GetImageFromArray(np.stack([entry[4] for entry in found]).astype(np.float32))
    image.SetOrigin(found[0][0][0].tolist())
    image.SetSpacing((float(spacing[1]), float(spacing[0]), step))
    image.SetDirection(np.stack([orientation[:3], orientation[3:], normal], 1).ravel().tolist())
    first = found[0][3]
    stack = Stack(
        role=Sequence.T2WI,
        series_instance_uid=first.SeriesInstanceUID,
        frames=tuple(FrameRef(p, k, ds.SOPInstanceUID, ds.SOPClassUID) for _, p, k, ds, _ in found),
        b_value=None,
        phase_time_s=None,
        origin=tuple(found[0][0][0]),
        row_direction=tuple(orientation[:3]),
        column_direction=tuple(orientation[3:]),
        normal=tuple(normal),
        pixel_spacing=(float(spacing[0]), float(spacing[1])),
        slice_step_mm=step,
        frame_of_reference_uid=first.FrameOfReferenceUID,
        rows=first.Rows,
        columns=first.Columns,
    )
    return stack, image


def block_mask(image: sitk.Image) -> sitk.Image:
    """A box, off centre on every axis so that a flip would show."""
    array = np.zeros(image.GetSize()[::-1], np.uint8)
    slices, rows, columns = array.shape
    array[slices // 4 : slices // 2, rows // 3 : rows // 2, columns // 5 : columns // 3] = 1
    mask = sitk.GetImageFromArray(array)
    mask.CopyInformation(image)
    return mask


CASES = {
    "siemens classic": ("siemens_TrioTim_ProstateX-0218/05_t2_tse_tra", 1),
    "philips classic": ("philips_Achieva_T2_prostate/MIP-0001", 1),
    "siemens enhanced": ("siemens_XA30_enhanced/12_DWI_dir80_PA_TRACEW", 1),
    "siemens enhanced, every third frame": ("siemens_XA30_enhanced/12_DWI_dir80_PA_TRACEW", 3),
}


def results_on(stack: Stack, image: sitk.Image, template: StudyResults) -> StudyResults:
    """Results of a study of one real series, with a box for the tumour."""
    mask = block_mask(image)
    fine = resample_onto(image, divided(grid_of(image), (1, 1, 2)))
    result = replace(
        template.sequences[0],
        stack=stack,
        acquired=image,
        super_resolved=fine,
        mask=mask,
        mask_super=resample_onto(mask, grid_of(fine), sitk.sitkNearestNeighbor),
        super_ml=1.0,
        probability=sitk.Cast(mask, sitk.sitkFloat32),
    )
    return replace(
        template,
        study_instance_uid=str(pydicom.dcmread(stack.frames[0].path).StudyInstanceUID),
        sequences=(result,),
        plan=replace(template.plan, stacks=(stack,)),
    )


@pytest.mark.parametrize("case", sorted(CASES))
def test_results_on_a_real_series_are_valid_and_in_place(case, shared_data, siemens, tmp_path):
    folder, every = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack, image = stack_and_image(sorted((shared_data / folder).glob("*.dcm")), every)
    results = results_on(stack, image, siemens.results)
    mask = results.sequences[0].mask
    # A name of one component makes highdicom warn, and its warnings hold the name.
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        objects = encode(results, tmp_path, Site(UID_ROOT))
    name = str(read_header(stack.frames[0].path).PatientName)
    assert [str(it.message) for it in said if name in str(it.message)] == []
    assert {str(pydicom.dcmread(it.path).PatientName) for it in objects} == {name}
    segmentation = hd.seg.segread(next(it.path for it in objects if it.role == "segmentation-t2wi"))
    found = np.argwhere((volume := segmentation.get_volume(combine_segments=True)).array > 0)
    centre = volume.map_indices_to_reference(found.mean(axis=0, keepdims=True))[0]
    inside = np.argwhere(sitk.GetArrayViewFromImage(mask) > 0)
    assert len(found) == len(inside)
    wanted = image.TransformContinuousIndexToPhysicalPoint(inside.mean(axis=0)[::-1].tolist())
    np.testing.assert_allclose(centre, wanted, atol=0.01)
    _references_exist(segmentation, stack)
    if READERS:
        assert faults_of_all(it.path for it in objects) == {}


@pytest.mark.skipif(not READERS, reason="dicom3tools and DCMTK are not installed")
@pytest.mark.parametrize("case", ["siemens classic", pytest.param("siemens enhanced", marks=pytest.mark.interop)])
def test_no_reader_finds_a_fault_in_any_kind_on_a_real_series(case, shared_data, siemens, tmp_path):
    folder, every = CASES[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stack, image = stack_and_image(sorted((shared_data / folder).glob("*.dcm")), every)
        results = results_on(stack, image, siemens.results)
        objects = encode(results, tmp_path, Site(UID_ROOT), kinds=OF_SEQUENCES, selections=(EVERYTHING,))
    assert {kind_of(it.sop_class_uid, it.role) for it in objects} == EVERYTHING
    assert faults_of_all(it.path for it in objects) == {}


def _references_exist(segmentation: pydicom.Dataset, stack: Stack) -> None:
    """Each frame of the segmentation refers to the object, and frame within it, at its own position."""
    wanted = {(frame.sop_instance_uid, frame.frame + 1): frame for frame in stack.frames}
    first = stack.frames[0].path
    sources = {first: pydicom.dcmread(first, stop_before_pixels=True)}
    multi_frame = "NumberOfFrames" in sources[first]
    seen = set()
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        (reference,) = item.DerivationImageSequence[0].SourceImageSequence
        number = reference.get("ReferencedFrameNumber", 1)
        assert ("ReferencedFrameNumber" in reference) is multi_frame
        frame = wanted[(reference.ReferencedSOPInstanceUID, int(number))]
        assert reference.ReferencedSOPClassUID == frame.sop_class_uid
        if frame.path not in sources:
            sources[frame.path] = pydicom.dcmread(frame.path, stop_before_pixels=True)
        position, _, _ = geometry_of(sources[frame.path], frame.frame)
        np.testing.assert_allclose(
            np.asarray(item.PlanePositionSequence[0].ImagePositionPatient, float), position, atol=1e-3
        )
        seen.add((reference.ReferencedSOPInstanceUID, int(number)))
    assert seen == set(wanted)


def test_enhanced_headers_become_classic_ones(shared_data):
    stack, image = stack_and_image(sorted((shared_data / CASES["siemens enhanced"][0]).glob("*.dcm")))
    frames = read_frames(stack, IDENTITY)
    assert len(frames) == image.GetSize()[2] == 39
    first = frames[0].header
    np.testing.assert_allclose(np.asarray(first.ImagePositionPatient, float), image.GetOrigin(), atol=1e-4)
    assert (float(first.RepetitionTime), float(first.EchoTime)) == (3516.0, 68.0)
    assert "PerFrameFunctionalGroupsSequence" not in first


@pytest.mark.parametrize(
    ("name", "expected"),
    [("chrX1.dcm", "Wang^XiaoDong=王^小東"), ("chrGerm.dcm", "Äneas^Rüdiger"), ("chrFren.dcm", "Buc^Jérôme")],
)
def test_names_of_other_makers_files_survive(shared_data, name, expected):
    assert str(read_header(shared_data / "charsets" / name).PatientName).rstrip("=") == expected
