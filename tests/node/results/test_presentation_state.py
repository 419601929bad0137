"""The contour of a presentation state lies on the border of the mask, in the pixels of the image that it names."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from node.results.contours import borders

from .conftest import OF_SEQUENCES
from .test_encoded_objects import errors_of, needs_dciodvfy

CASES = [
    ("presentation-state-t2wi", 0, False),
    ("presentation-state-dwi", 1, False),
    ("presentation-state-super-resolved-t2wi", 0, True),
]


def filled(lines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies within an odd number of closed lines: the rule of even and odd."""
    inside = np.zeros(shape, bool)
    rows = np.arange(shape[0]) + 0.5
    columns = np.arange(shape[1]) + 0.5
    for line in lines:
        for (x0, y0), (x1, y1) in pairwise(line):
            if x0 == x1:
                crossed = (rows > min(y0, y1)) & (rows < max(y0, y1))
                inside ^= crossed[:, None] & (columns > x0)[None, :]
    return inside


def annotations(encoded, role: str):
    for state in encoded.datasets(role):
        for item in state.get("GraphicAnnotationSequence", ()):
            lines = [np.reshape(it.GraphicData, (-1, 2)) for it in item.GraphicObjectSequence]
            yield item.ReferencedImageSequence[0].ReferencedSOPInstanceUID, lines, item


@pytest.mark.parametrize(("role", "index", "fine"), CASES)
def test_the_contour_encloses_exactly_the_mask_of_the_image_that_it_names(additional, role, index, fine):
    result = additional.results.sequences[index]
    mask = sitk.GetArrayViewFromImage(result.mask_super if fine else result.mask) > 0
    if fine:
        uids = [it.sop_instance_uid for it in additional.objects if it.role == "super-resolved-t2wi"]
    else:
        uids = [frame.sop_instance_uid for frame in result.stack.frames]
    found = {uid: lines for uid, lines, _ in annotations(additional, role)}
    assert set(found) == {uid for uid, inside in zip(uids, mask, strict=True) if inside.any()}
    for uid, lines in found.items():
        np.testing.assert_array_equal(filled(lines, mask.shape[1:]), mask[uids.index(uid)])


def test_in_patient_space_it_lies_within_half_a_pixel_of_the_border_on_an_oblique_stack(additional):
    """By the plane equation of the header named (C.7.6.2.1-1), in which 0.5, 0.5 is the centre of the first pixel."""
    result = additional.results.sequences[0]
    assert abs(abs(np.reshape(result.mask.GetDirection(), (3, 3))) - np.eye(3)).max() > 0.05
    headers = {it.sop_instance_uid: pydicom.dcmread(it.path, stop_before_pixels=True) for it in result.stack.frames}
    mask = sitk.GetArrayViewFromImage(result.mask) > 0
    for uid, lines, _ in annotations(additional, "presentation-state-t2wi"):
        header = headers[uid]
        right, down = np.reshape(np.asarray(header.ImageOrientationPatient, float), (2, 3))
        spacing = np.asarray(header.PixelSpacing, float)
        for column, row in np.concatenate(lines) - 0.5:
            point = (
                np.asarray(header.ImagePositionPatient, float) + right * spacing[1] * column + down * spacing[0] * row
            )
            x, y, z = result.mask.TransformPhysicalPointToContinuousIndex(point.tolist())
            around = mask[round(z), max(0, int(np.floor(y))) : int(np.ceil(y)) + 1, max(0, int(np.floor(x))) :][:, :2]
            assert abs(z - round(z)) < 0.1
            assert around.any()
            assert not around.all()


@needs_dciodvfy
@pytest.mark.parametrize(("role", "index", "fine"), CASES)
def test_dciodvfy_finds_no_error(additional, role, index, fine):
    for it in additional.objects:
        if it.role == role:
            assert errors_of(it.path) == []


def test_every_image_of_the_series_is_shown_in_the_window_of_the_volume(additional):
    result = additional.results.sequences[0]
    (state,) = additional.datasets("presentation-state-t2wi")
    (series,) = state.ReferencedSeriesSequence
    named = [it.ReferencedSOPInstanceUID for it in series.ReferencedImageSequence]
    assert named == [frame.sop_instance_uid for frame in result.stack.frames]
    (window,) = state.SoftcopyVOILUTSequence
    values = sitk.GetArrayViewFromImage(result.acquired)
    assert values.min() < window.WindowCenter < values.max()
    text = {
        item.TextObjectSequence[0].UnformattedTextValue
        for _, _, item in annotations(additional, "presentation-state-t2wi")
    }
    assert text == {"AI tumour contour. Research output. Not for diagnosis."}


def test_a_rescale_of_the_source_is_the_modality_lut_of_the_state(make_encoded):
    made = make_encoded("philips", ("T2WI",), kinds=OF_SEQUENCES)
    (state,) = made.datasets("presentation-state-t2wi")
    assert (float(state.RescaleSlope), float(state.RescaleIntercept)) == (made.vendor.slope, 0.0)


def test_parts_that_touch_at_a_corner_and_holes_have_lines_of_their_own():
    mask = np.array([[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0]], bool)
    lines = borders(mask)
    assert len(lines) == 3
    assert all((line[0] == line[-1]).all() for line in lines)
    np.testing.assert_array_equal(filled(lines, mask.shape), mask)
