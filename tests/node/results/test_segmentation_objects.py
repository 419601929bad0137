"""Segmentations lie where the tumour is, in patient coordinates, on the images that they refer to."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk


def points_of(volume: hd.Volume) -> np.ndarray:
    """Patient coordinates of the voxels inside, rounded to a hundredth of a mm."""
    index = np.argwhere(volume.array > 0)
    return np.round(volume.map_indices_to_reference(index), 2)


def points_of_mask(mask: sitk.Image) -> np.ndarray:
    k, j, i = np.nonzero(sitk.GetArrayViewFromImage(mask))
    index = np.stack([i, j, k], -1) * np.array(mask.GetSpacing())
    return np.round(index @ np.reshape(mask.GetDirection(), (3, 3)).T + np.array(mask.GetOrigin()), 2)


def read(encoded, role: str) -> hd.seg.Segmentation:
    (entry,) = [entry for entry in encoded.objects if entry.role == role]
    return hd.seg.segread(entry.path)


CASES = [
    ("segmentation-t2wi", "T2WI", False),
    ("segmentation-dwi", "DWI", False),
    ("segmentation-pvp", "PVP", False),
    ("segmentation-super-resolved-t2wi", "T2WI", True),
]


@pytest.mark.parametrize(("role", "sequence", "super_resolved"), CASES)
def test_the_mask_read_back_covers_exactly_the_same_points_of_the_patient(encoded, role, sequence, super_resolved):
    result = next(it for it in encoded.results.sequences if it.sequence == sequence)
    wanted = points_of_mask(result.mask_super if super_resolved else result.mask)
    found = points_of(read(encoded, role).get_volume(combine_segments=True))
    assert len(found) == len(wanted) > 50
    order = lambda points: points[np.lexsort(points.T)]  # noqa: E731
    np.testing.assert_allclose(order(found), order(wanted), atol=0.02)


@pytest.mark.parametrize(("role", "sequence"), [(role, sequence) for role, sequence, fine in CASES if not fine])
def test_each_frame_refers_to_the_source_slice_at_its_own_position(encoded, role, sequence):
    stack = next(it.stack for it in encoded.results.sequences if it.sequence == sequence)
    positions = {}
    for frame in stack.frames:
        header = pydicom.dcmread(frame.path, stop_before_pixels=True)
        positions[header.SOPInstanceUID] = np.asarray(header.ImagePositionPatient, float)
    segmentation = read(encoded, role)
    assert segmentation.NumberOfFrames == len(stack.frames)
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        (reference,) = item.DerivationImageSequence[0].SourceImageSequence
        assert reference.SpatialLocationsPreserved == "YES"
        np.testing.assert_allclose(
            positions.pop(reference.ReferencedSOPInstanceUID),
            np.asarray(item.PlanePositionSequence[0].ImagePositionPatient, float),
            atol=1e-4,
        )
    assert positions == {}


def test_the_fine_segmentation_refers_to_the_derived_series(siemens):
    segmentation = read(siemens, "segmentation-super-resolved-t2wi")
    derived = {entry.sop_instance_uid for entry in siemens.objects if entry.role == "super-resolved-t2wi"}
    referenced = {
        item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for item in segmentation.PerFrameFunctionalGroupsSequence
    }
    assert referenced == derived
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == next(
        entry.series_instance_uid for entry in siemens.objects if entry.role == "super-resolved-t2wi"
    )


def test_both_segmentations_and_the_report_track_the_same_tumour(siemens):
    segments = [read(siemens, role).SegmentSequence[0] for role, _, _ in CASES]
    assert len({segment.TrackingUID for segment in segments}) == 1
    tumours = [(segment.TrackingID, segment.TrackingUID) for segment in segments]
    (entry,) = (it for it in siemens.objects if it.role == "report")
    groups = hd.sr.srread(entry.path).content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 3
    assert {(it.tracking_identifier, it.tracking_uid) for it in groups} == set(tumours)


def test_the_frame_of_reference_is_that_of_the_source(encoded):
    source = pydicom.dcmread(encoded.results.plan.stacks[0].frames[0].path)
    for role, _, _ in CASES:
        assert read(encoded, role).FrameOfReferenceUID == source.FrameOfReferenceUID


def test_the_segment_is_coded_and_names_its_algorithm(siemens):
    segmentation = read(siemens, "segmentation-t2wi")
    (segment,) = segmentation.SegmentSequence
    assert segmentation.SegmentationType == "BINARY"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert segment.AnatomicRegionSequence[0].CodeValue == "34402009"
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("unet++", "0.4.1")
    assert "Not for diagnosis" in algorithm.AlgorithmParameters


def test_no_region_is_coded_where_the_location_was_not_established(not_located):
    (segment,) = read(not_located, "segmentation-t2wi").SegmentSequence
    assert "AnatomicRegionSequence" not in segment
    assert segment.SegmentLabel == "Tumour (AI, research), location not established"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"


def test_an_empty_mask_gives_no_segmentation(without_tumour):
    roles = {entry.role for entry in without_tumour.objects}
    assert roles == {
        "super-resolved-t2wi",
        "super-resolved-dwi",
        "super-resolved-pvp",
        "report",
        "summary",
        "summary-pdf",
    }
