"""Fractional and label map segmentations hold, voxel for voxel, what the analysis found."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk

from .test_encoded_objects import errors_of, needs_dciodvfy

ROLES = [("t2wi", 0), ("dwi", 1), ("pvp", 2)]


def entry(encoded, role: str):
    (found,) = [it for it in encoded.objects if it.role == role]
    return found


def volume_of(path) -> tuple[np.ndarray, np.ndarray]:
    """Values and positions of the first and the last voxel."""
    volume = hd.seg.segread(path).get_volume(combine_segments=False)
    array = volume.array[..., 0]
    corners = np.array([[0, 0, 0], np.array(array.shape) - 1])
    return array, volume.map_indices_to_reference(corners)


def matched(array: np.ndarray, corners: np.ndarray, image: sitk.Image) -> np.ndarray:
    """The values in the order of an image: highdicom may turn the order of the slices round."""
    first, last = image.TransformIndexToPhysicalPoint((0, 0, 0)), [size - 1 for size in image.GetSize()]
    turned = np.linalg.norm(corners[0] - first) > 0.05
    expected = first if not turned else image.TransformIndexToPhysicalPoint((0, 0, last[2]))
    np.testing.assert_allclose(corners[0], expected, atol=0.02)
    return array[::-1] if turned else array


@pytest.mark.parametrize(("sequence", "index"), ROLES)
def test_a_fractional_segmentation_reads_back_as_the_probability_to_half_a_255th(additional, sequence, index):
    image = additional.results.sequences[index].probability
    found = matched(*volume_of(entry(additional, f"segmentation-fractional-{sequence}").path), image)
    np.testing.assert_allclose(found, sitk.GetArrayViewFromImage(image), atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(("sequence", "index"), ROLES)
def test_a_label_map_reads_back_as_the_mask(additional, sequence, index):
    mask = additional.results.sequences[index].mask
    found = matched(*volume_of(entry(additional, f"segmentation-labelmap-{sequence}").path), mask)
    np.testing.assert_array_equal(found, sitk.GetArrayViewFromImage(mask))


@needs_dciodvfy
@pytest.mark.parametrize(("sequence", "index"), ROLES)
def test_dciodvfy_finds_no_error_in_a_fractional_one(additional, sequence, index):
    # It does not know the Label Map Segmentation of Supplement 243; highdicom reads that one above.
    assert errors_of(entry(additional, f"segmentation-fractional-{sequence}").path) == []


def test_they_say_what_they_are_and_track_the_tumour_of_the_binary_one(additional):
    fractional, labelmap, binary = (
        hd.seg.segread(entry(additional, f"segmentation{kind}-t2wi").path) for kind in ("-fractional", "-labelmap", "")
    )
    assert (fractional.SegmentationType, fractional.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert fractional.MaximumFractionalValue == 255
    assert labelmap.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    tracked = {it.SegmentSequence[-1].TrackingUID for it in (fractional, labelmap, binary)}
    assert len(tracked) == 1
    assert {it.ReferencedSeriesSequence[0].SeriesInstanceUID for it in (fractional, labelmap, binary)} == {
        additional.results.sequences[0].stack.series_instance_uid
    }
