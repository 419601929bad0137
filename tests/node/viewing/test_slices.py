"""Slices equal the stored pixels after the stated window, in three planes of an oblique stack."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_modality_lut

from node.viewing.lattice import Lattice, Orientation, planes
from node.viewing.pixels import VolumeCache, Window, grey, png, read_values
from node.viewing.stacks import read_series

from ..results.conftest import VENDORS, write_series

WINDOW = Window(centre=480.3, width=613.0)  # where no value falls between two levels


def stack_of(folder, vendor="siemens", sequence="T2WI"):
    written = write_series(folder, VENDORS[vendor], sequence)
    found = read_series(written.series_instance_uid, sorted(folder.iterdir()))
    assert found.faults == ()
    return found.stacks


def stored(folder):
    """What pydicom reads of the images after their rescale, slice by slice along the normal (slices, rows, columns)."""
    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    normal = np.cross(images[0].ImageOrientationPatient[:3], images[0].ImageOrientationPatient[3:])
    images.sort(key=lambda image: np.dot(image.ImagePositionPatient, normal))
    return images, np.stack([apply_modality_lut(image.pixel_array, image) for image in images])


def as_windowed(values):
    """PS3.3 C.11.2.1.3.2 as it is written there, from 0 to 255."""
    low, high = WINDOW.centre - WINDOW.width / 2, WINDOW.centre + WINDOW.width / 2
    levels = np.where(values <= low, 0, np.where(values > high, 255, (values - low) / WINDOW.width * 255))
    return np.rint(levels)


@pytest.mark.parametrize("vendor", ["siemens", "philips"])
def test_a_slice_of_each_plane_has_the_stored_pixels_after_the_window(tmp_path, vendor):
    (stack,) = stack_of(tmp_path, vendor)
    _, values = stored(tmp_path)
    levels = as_windowed(values)
    shown = read_values(stack).values
    acquired, *others = planes(stack.lattice)
    assert acquired.acquired
    for plane in (acquired, *others):
        for index in range(plane.slices):
            picture = np.asarray(Image.open(io.BytesIO(png(grey(plane.cut(shown, index), WINDOW)))))
            expected = plane.cut(levels, index)
            assert picture.shape == (plane.rows, plane.columns)
            assert np.array_equal(picture, expected)


def test_each_pixel_of_each_plane_is_the_voxel_at_its_place_in_the_patient(tmp_path):
    """By the equation of the Image Plane module, PS3.3 C.7.6.2.1-1, from the headers."""
    (stack,) = stack_of(tmp_path)
    images, values = stored(tmp_path)
    orientation = np.asarray(images[0].ImageOrientationPatient, float)
    spacing = np.asarray(images[0].PixelSpacing, float)
    for plane in planes(stack.lattice):
        index, row, column = plane.slices // 2, plane.rows // 3, plane.columns // 4
        point = (
            np.asarray(plane.right) * (plane.left + (column + 0.5) * plane.width / plane.columns)
            + np.asarray(plane.down) * (plane.top + (row + 0.5) * plane.height / plane.rows)
            + np.asarray(plane.through) * plane.position(index)
        )
        places = [np.asarray(image.ImagePositionPatient, float) for image in images]
        normal = np.cross(orientation[:3], orientation[3:])
        k = int(np.argmin([abs(np.dot(point - place, normal)) for place in places]))
        i = np.dot(point - places[k], orientation[:3]) / spacing[1]
        j = np.dot(point - places[k], orientation[3:]) / spacing[0]
        assert abs(i - round(i)) < 0.01
        assert abs(j - round(j)) < 0.01
        assert plane.cut(values, index)[row, column] == values[k, round(j), round(i)]


def test_acquired_slices_keep_their_way_up_and_others_have_head_and_front_above(tmp_path):
    (stack,) = stack_of(tmp_path)
    found = {plane.orientation: plane.sides for plane in planes(stack.lattice)}
    assert found[Orientation.AXIAL][0].startswith("R")
    assert found[Orientation.SAGITTAL][0].startswith("A")
    assert found[Orientation.SAGITTAL][2].startswith("H")
    assert found[Orientation.CORONAL][0].startswith("R")
    assert found[Orientation.CORONAL][2].startswith("H")


def test_planes_are_named_by_what_they_are_nearest_to_each_name_once():
    """A stack at 45 degrees, whose normal is as near to one axis as to another."""
    half = 0.5**0.5
    axes = ((1.0, 0.0, 0.0), (0.0, half, half), (0.0, -half, half))
    lattice = Lattice((0.0, 0.0, 0.0), axes, (1.0, 1.0, 1.0), (4, 5, 6), "")
    assert sorted(plane.orientation for plane in planes(lattice)) == sorted(Orientation)


def test_grids_of_no_stated_frame_of_reference_are_not_drawn_over_one_another():
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    placed, nowhere = (Lattice((0.0, 0.0, 0.0), axes, (1.0, 1.0, 1.0), (4, 5, 6), uid) for uid in ("1.2.3", ""))
    assert placed.is_parallel(placed)
    assert not nowhere.is_parallel(nowhere)


def test_positions_rise_towards_head_left_and_back(tmp_path):
    (stack,) = stack_of(tmp_path)
    for plane in planes(stack.lattice):
        axis = ("sagittal", "coronal", "axial").index(plane.orientation)
        assert plane.through[axis] > 0


def test_b_values_are_parted_and_stepped_through_in_their_order(tmp_path):
    written = write_series(tmp_path, VENDORS["siemens"], "DWI")
    for path in list(tmp_path.iterdir()):
        for b_value in (0.0, 800.0):
            image = pydicom.dcmread(path)
            image.DiffusionBValue, image.DiffusionDirectionality = b_value, "ISOTROPIC" if b_value else "NONE"
            image.SOPInstanceUID = f"{image.SOPInstanceUID}.{int(b_value)}"
            image.save_as(tmp_path / f"{int(b_value)}-{path.name}")
        path.unlink()
    found = read_series(written.series_instance_uid, sorted(tmp_path.iterdir()))
    assert [stack.b_value for stack in found.stacks] == [0.0, 800.0]
    assert [stack.number for stack in found.stacks] == [0, 1]


def test_a_file_that_cannot_be_read_is_told_and_the_rest_shown(tmp_path):
    written = write_series(tmp_path, VENDORS["siemens"], "T2WI")
    (tmp_path / "zz.dcm").write_bytes(b"no image")
    found = read_series(written.series_instance_uid, sorted(tmp_path.iterdir()))
    assert len(found.stacks) == 1
    assert "E-DECODE" in found.faults[0]


def test_presets_begin_with_the_automatic_window_and_have_that_of_the_image(tmp_path):
    (stack,) = stack_of(tmp_path)
    presets = {preset.name: preset.window for preset in read_values(stack).presets}
    assert list(presets) == ["automatic", "narrow", "stored", "full"]
    # LINEAR (C.11.2.1.2.1) with centre 500 and width 900 is this exactly.
    assert presets["stored"] == Window(499.5, 899.0)


def test_what_was_looked_at_is_kept_up_to_a_number_of_bytes(tmp_path):
    (stack,) = stack_of(tmp_path)
    cache = VolumeCache(most_bytes=1)
    first = cache.values("one", stack)
    assert cache.values("one", stack) is first
    cache.values("two", stack)
    assert cache.values("one", stack) is not first
