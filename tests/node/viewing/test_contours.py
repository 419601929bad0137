"""A contour lies where highdicom reads the segmentation, on an oblique stack."""

from __future__ import annotations

import re
import struct

import highdicom as hd
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from node.errors import PermanentError, TransientError
from node.viewing import contours as drawing
from node.viewing.contours import contours, read_grid, read_segmentation
from node.viewing.lattice import planes
from node.viewing.stacks import read_series

from ..results.conftest import VENDORS, write_series


def rings(data):
    """The closed lines of SVG path data, each (points, 2)."""
    for ring in re.findall(r"M([^Z]*)Z", data):
        yield np.array([[float(value) for value in point.split(",")] for point in ring.split()])


def enclosed(data, points):
    """Which points (n, 2) a path encloses, by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    for ring in rings(data):
        inside ^= Polygon(ring).contains_points(points)
    return inside


@pytest.mark.parametrize("role", ["segmentation-t2wi", "segmentation-super-resolved-t2wi", "segmentation-dwi"])
def test_contours_enclose_exactly_the_voxels_that_highdicom_reads_in_every_plane(siemens, role):
    file = siemens.first(role).path
    volume = hd.seg.segread(file).get_volume(combine_segments=True)
    voxels = np.argwhere(volume.array > 0)
    centres = volume.map_indices_to_reference(voxels.astype(float))
    everything = volume.map_indices_to_reference(np.argwhere(np.ones(volume.spatial_shape, bool)).astype(float))
    found = read_segmentation(file)
    assert len(voxels) == np.count_nonzero(found.mask) > 50
    for plane in planes(found.lattice):
        counted = 0
        for drawn in contours(found, plane):
            in_slice = np.abs(everything @ plane.through - drawn.position) < plane.step / 2
            points = everything[in_slice] @ np.transpose([plane.right, plane.down])
            wanted = (np.abs(centres @ plane.through - drawn.position)) < plane.step / 2
            inside = enclosed(drawn.path, points)
            assert {tuple(point) for point in points[inside].round(2)} == {
                tuple(point) for point in (centres[wanted] @ np.transpose([plane.right, plane.down])).round(2)
            }
            counted += inside.sum()
        assert counted == len(voxels)


def test_the_contour_on_the_acquired_grid_lies_on_the_images_to_a_hundredth_of_a_pixel(siemens, tmp_path):
    written = write_series(tmp_path, VENDORS["siemens"], "T2WI")
    (stack,) = read_series(written.series_instance_uid, sorted(tmp_path.iterdir())).stacks
    found = read_segmentation(siemens.first("segmentation-t2wi").path)
    assert found.lattice.is_parallel(stack.lattice)
    for plane, own in zip(planes(stack.lattice), planes(found.lattice), strict=True):
        assert own.orientation is plane.orientation
        pixel = plane.width / plane.columns
        assert abs(own.left - plane.left) < 0.01 * pixel
        assert abs(own.top - plane.top) < 0.01 * pixel
        assert abs(own.first - plane.first) < 0.01 * plane.step


def test_the_grid_is_read_without_the_pixels(siemens, tmp_path):
    file = siemens.first("segmentation-t2wi").path
    dataset = dcmread(file)
    del dataset.PixelData
    dataset.save_as(tmp_path / "header")
    assert read_grid(tmp_path / "header") == read_segmentation(file).lattice


def test_a_segmentation_of_another_orientation_is_not_drawn_over_images(siemens, tmp_path):
    written = write_series(tmp_path, VENDORS["siemens"], "T2WI", lambda ds, _: turned(ds))
    (stack,) = read_series(written.series_instance_uid, sorted(tmp_path.iterdir())).stacks
    assert not read_segmentation(siemens.first("segmentation-t2wi").path).lattice.is_parallel(stack.lattice)


def turned(image):
    """Rows and columns exchanged."""
    x = image.ImageOrientationPatient
    image.ImageOrientationPatient = [*x[3:], *[-float(value) for value in x[:3]]]


def of_three_colours(dataset):
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.PlanarConfiguration = 3, 8, 0


def of_one_large_image(dataset):
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.BitsAllocated = dataset.BitsStored = 8
    siz = (
        b"\xff\x4f\xff\x51" + struct.pack(">2H8LH", 41, 0, 2**15, 2**15, 0, 0, 2**15, 2**15, 0, 0, 1) + b"\x07\x01\x01"
    )
    dataset.PixelData = encapsulate([siz] * dataset.NumberOfFrames)
    dataset["PixelData"].VR = "OB"


TOO_LARGE = {
    "frames that nothing describes": (lambda it: setattr(it, "NumberOfFrames", 2**20), "states 1048576 frames"),
    "colours": (of_three_colours, "3 samples of 8 bits"),
    "wide cells": (lambda it: setattr(it, "BitsAllocated", 64), "1 samples of 64 bits"),
    "a frame coded larger than it is": (of_one_large_image, "codes 32768 × 32768 pixels"),
}


@pytest.mark.parametrize("fault", TOO_LARGE)
def test_what_would_unpack_to_more_than_its_grid_is_never_decoded(siemens, tmp_path, monkeypatch, fault):
    change, sentence = TOO_LARGE[fault]
    dataset = dcmread(siemens.first("segmentation-t2wi").path)
    change(dataset)
    dataset.save_as(tmp_path / "large")
    monkeypatch.delattr(drawing, "pixel_array")
    with pytest.raises(PermanentError, match=sentence):
        read_segmentation(tmp_path / "large")


def test_where_memory_is_short_a_sentence_says_so(siemens, monkeypatch):
    def short(_dataset):
        raise MemoryError

    monkeypatch.setattr(drawing, "pixel_array", short)
    with pytest.raises(TransientError, match="memory is short"):
        read_segmentation(siemens.first("segmentation-t2wi").path)


def test_what_is_no_segmentation_is_refused_by_name(tmp_path, siemens):
    with pytest.raises(PermanentError, match="has no frame"):
        read_segmentation(siemens.first("report").path)
    (tmp_path / "broken").write_bytes(siemens.first("segmentation-t2wi").path.read_bytes()[:-400])
    with pytest.raises(PermanentError, match="cannot be drawn"):
        read_segmentation(tmp_path / "broken")
