"""Where the pixels of every slice lie is where the phantom's image has them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset

TOLERANCE_MM = 1e-4


def _corners(instance: Dataset) -> np.ndarray:
    """Centres of the four corner pixels, LPS mm (PS3.3 C.7.6.2.1.1)."""
    origin = np.array(instance.ImagePositionPatient, dtype=float)
    row, column = np.reshape(np.array(instance.ImageOrientationPatient, dtype=float), (2, 3))
    row_spacing, column_spacing = (float(value) for value in instance.PixelSpacing)
    right = row * column_spacing * (instance.Columns - 1)
    down = column * row_spacing * (instance.Rows - 1)
    return np.array([origin, origin + right, origin + down, origin + right + down])


def _image_corners(image: sitk.Image, index: int) -> np.ndarray:
    columns, rows, _ = image.GetSize()
    return np.array(
        [image.TransformIndexToPhysicalPoint((x, y, index)) for y in (0, rows - 1) for x in (0, columns - 1)]
    )


@pytest.mark.parametrize("kind", ["LOCALIZER", "T2WI_SAG", "T2WI", "DWI", "ADC", "DCE", "SUBTRACTION"])
def test_every_slice_of_the_phantom_stands_in_a_file_at_its_place(written, kind):
    stored = np.array([_corners(each) for each in written.instances if "ImagePositionPatient" in each])
    for series in written.study.series:
        if series.kind != kind:
            continue
        for index in range(series.image.GetDepth()):
            distances = np.abs(stored - _image_corners(series.image, index)).max(axis=(1, 2))
            assert distances.min() < TOLERANCE_MM


def test_the_whole_study_has_one_frame_of_reference(written):
    assert len({each.FrameOfReferenceUID for each in written.instances if "FrameOfReferenceUID" in each}) == 1


def test_spacing_between_slices_is_absent_on_siemens_3d_series_only(written):
    siemens = written.study.scanner.manufacturer == "Siemens"
    for each in written.instances:
        if "MRAcquisitionType" in each:
            assert ("SpacingBetweenSlices" in each) != (siemens and each.MRAcquisitionType == "3D")


def test_uih_states_the_gap_that_its_slice_spacing_contains(written_by):
    written = written_by("uMR 560")
    instance = written.series("t2_fse_tra")[0]
    gap = float(instance.private_block(0x0065, "Image Private Header")[0x25].value)
    assert float(instance.SpacingBetweenSlices) == pytest.approx(float(instance.SliceThickness) + gap)


def test_philips_numbers_instances_neither_by_volume_nor_by_place(written_by):
    written = written_by("Multiva")
    dynamic = sorted((each for each in written.instances if each.SeriesNumber == 501), key=lambda i: i.InstanceNumber)
    phases = sum(series.kind == "DCE" for series in written.study.series)
    assert [int(each.TemporalPositionIdentifier) for each in dynamic[:phases]] == list(range(1, phases + 1))
    assert len({tuple(each.ImagePositionPatient) for each in dynamic[:phases]}) == 1
