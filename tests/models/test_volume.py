"""Grids, resampling and volume preservation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from models.errors import VolumeError
from models.volume import (
    average_onto,
    check_volume,
    divided,
    grid_of,
    image_from,
    resample_onto,
    volume_ml,
    with_spacing,
)
from models.volume_files import read, write

OBLIQUE = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6, 0.0, 0.6, 0.8)


def _image(size=(20, 18, 10), spacing=(1.0, 1.0, 5.0), direction=OBLIQUE, value=7.0):
    image = sitk.Image(size, sitk.sitkFloat32) + value
    image.SetSpacing(spacing)
    image.SetOrigin((-31.0, 12.5, 80.25))
    image.SetDirection(direction)
    return image


def _corners(grid):
    reference = sitk.Image(grid.size, sitk.sitkUInt8)
    reference.SetSpacing(grid.spacing)
    reference.SetOrigin(grid.origin)
    reference.SetDirection(grid.direction)
    first = reference.TransformContinuousIndexToPhysicalPoint((-0.5, -0.5, -0.5))
    last = reference.TransformContinuousIndexToPhysicalPoint([n - 0.5 for n in grid.size])
    return np.array([first, last])


@pytest.mark.parametrize("parts", [(1, 1, 4), (2, 2, 1), (0.5, 0.5, 2)])
def test_dividing_voxels_keeps_the_outer_edges_of_an_oblique_grid(parts):
    grid = grid_of(_image())
    assert np.allclose(_corners(divided(grid, parts)), _corners(grid))


def test_a_spacing_that_does_not_fit_covers_all_tissue():
    grid = grid_of(_image())
    wider = with_spacing(grid, (3.0, 3.0, 4.0))
    assert wider.size == (7, 6, 13)
    assert np.allclose(_corners(wider)[0], _corners(grid)[0])


def test_a_ramp_resampled_to_another_spacing_stays_at_its_place():
    image = _image(direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    z, y, x = np.indices(image.GetSize()[::-1])
    ramp = image_from((10 + x + 2 * y + 3 * z * 5).astype(np.float32), grid_of(image))
    fine = resample_onto(ramp, with_spacing(grid_of(ramp), (0.5, 0.5, 2.5)))
    point = ramp.TransformContinuousIndexToPhysicalPoint((7.0, 8.0, 4.0))
    index = fine.TransformPhysicalPointToContinuousIndex(point)
    assert fine.EvaluateAtContinuousIndex(index) == pytest.approx(10 + 7 + 16 + 60, abs=1e-3)


def test_the_mean_over_coarser_voxels_keeps_the_volume_of_a_mask():
    fine = _image(size=(64, 64, 48), spacing=(1.0, 1.0, 1.0))
    z, y, x = np.indices((48, 64, 64))
    ball = ((x - 30) ** 2 + (y - 33) ** 2 + (z - 22) ** 2 < 14**2).astype(np.float32)
    mask = image_from(ball, grid_of(fine))
    share = average_onto(mask, with_spacing(grid_of(mask), (2.0, 2.0, 5.0)))
    voxel_ml = np.prod(share.GetSpacing()) / 1000
    assert sitk.GetArrayFromImage(share).sum() * voxel_ml == pytest.approx(volume_ml(mask), rel=0.01)
    halves = sitk.Cast(share >= 0.5, sitk.sitkUInt8)
    assert volume_ml(halves) == pytest.approx(volume_ml(mask), rel=0.05)


@pytest.mark.parametrize("moved_mm", [(0.0, 0.0, 0.0), (7.3, -4.0, 11.0), (500.0, 0.0, 0.0)])
@pytest.mark.parametrize("spacing", [(2.4, 3.1, 7.0), (0.7, 2.5, 2.0), (1.0, 1.0, 5.0)])
@pytest.mark.parametrize("size", [(20, 18, 10), (20, 18, 1)])
def test_the_mean_over_voxels_is_that_of_the_pieces_in_them_that_the_image_is_sampled_at(size, spacing, moved_mm):
    flat = _image(size)
    noise = np.random.default_rng(3).normal(100, 30, flat.GetSize()[::-1]).astype(np.float32)
    image = image_from(noise, grid_of(flat))
    grid = with_spacing(grid_of(image), spacing)
    grid = replace(grid, origin=tuple(np.add(grid.origin, moved_mm).tolist()))
    parts = [max(1, math.ceil(new / old - 0.01)) for new, old in zip(spacing, image.GetSpacing(), strict=True)]
    pieces = sitk.GetArrayFromImage(resample_onto(image, divided(grid, parts)))
    x, y, z = parts
    blocks = pieces.reshape(grid.size[2], z, grid.size[1], y, grid.size[0], x)
    found = sitk.GetArrayFromImage(average_onto(image, grid))
    # Grids are settled to a hundredth of a millimetre; at the edge of the image a piece may so fall out of it.
    near = np.isclose(found, blocks.mean(axis=(1, 3, 5)), atol=1.0)
    assert near.mean() > 0.99


def test_the_mean_over_voxels_does_not_hang_on_how_it_is_taken():
    """Along one axis after another where the axes are the same; turned by less than a micrometre they are not."""
    image = _image()
    noise = np.random.default_rng(5).normal(100, 30, image.GetSize()[::-1]).astype(np.float32)
    image = image_from(noise, grid_of(image))
    grid = with_spacing(grid_of(image), (2.4, 3.1, 7.0))
    cosine = 2.0**-17
    turned = replace(grid, direction=(*grid.direction[:5], grid.direction[5] + cosine, *grid.direction[6:]))
    one, other = (sitk.GetArrayFromImage(average_onto(image, each)) for each in (grid, turned))
    assert np.allclose(one, other, atol=0.05)
    assert not np.array_equal(one, other)


def test_outside_the_image_there_is_the_given_value():
    image = _image()
    elsewhere = divided(grid_of(image), (1, 1, 1))
    moved = type(elsewhere)(elsewhere.size, elsewhere.spacing, (500.0, 500.0, 500.0), elsewhere.direction)
    assert (sitk.GetArrayFromImage(resample_onto(image, moved, outside=-1.0)) == -1).all()


def test_an_array_of_another_shape_than_the_grid_is_refused():
    with pytest.raises(VolumeError, match="does not fill"):
        image_from(np.zeros((3, 4, 5), np.float32), grid_of(_image()))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_volume_that_is_not_finite_is_refused(bad):
    image = _image()
    image[3, 3, 3] = bad
    with pytest.raises(VolumeError, match="not finite"):
        check_volume(image)


def test_a_flat_image_is_refused():
    with pytest.raises(VolumeError, match="3 dimensions"):
        check_volume(sitk.Image(4, 4, sitk.sitkFloat32))


def test_a_written_volume_reads_back_equal(tmp_path):
    image = _image(value=1.25)
    write(image, tmp_path / "sub" / "volume.nii.gz")
    again = read(tmp_path / "sub" / "volume.nii.gz")
    assert np.array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
    assert np.allclose(_corners(grid_of(again)), _corners(grid_of(image)), atol=1e-3)


def test_a_file_that_is_no_volume_is_refused_by_name(tmp_path):
    (tmp_path / "broken.nii.gz").write_bytes(b"no volume")
    with pytest.raises(VolumeError, match=r"broken\.nii\.gz"):
        read(tmp_path / "broken.nii.gz")
