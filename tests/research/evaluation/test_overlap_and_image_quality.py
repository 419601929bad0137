"""Overlap of masks and quality of images against values worked out by hand."""

import numpy as np
import pytest
import SimpleITK as sitk

from models.errors import VolumeError
from models.research.evaluation.image_quality import compare_images
from models.research.evaluation.overlap import compare


def _mask(voxels):
    array = np.zeros((6, 6, 6), np.uint8)
    array[voxels] = 1
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((2.0, 2.0, 5.0))
    return image


def test_half_overlapping_boxes():
    overlap = compare(_mask(np.s_[1:3, 1:3, 1:3]), _mask(np.s_[2:4, 1:3, 1:3]))
    assert overlap.dice == 0.5
    assert overlap.sensitivity == 0.5
    assert overlap.hausdorff_95_mm == pytest.approx(5.0)
    assert overlap.volume_ml == pytest.approx(8 * 20 / 1000)


def test_two_empty_masks_agree_and_have_no_distance():
    overlap = compare(_mask(np.s_[0:0]), _mask(np.s_[0:0]))
    assert (overlap.dice, overlap.sensitivity, overlap.hausdorff_95_mm) == (1.0, 1.0, None)


def test_a_missed_tumour_has_no_overlap():
    overlap = compare(_mask(np.s_[0:0]), _mask(np.s_[1:3, 1:3, 1:3]))
    assert (overlap.dice, overlap.sensitivity) == (0.0, 0.0)


def test_masks_of_different_size_are_refused():
    with pytest.raises(VolumeError, match="cannot be compared"):
        compare(_mask(np.s_[0:0]), sitk.Image(3, 3, 3, sitk.sitkUInt8))


def test_an_error_of_a_tenth_of_the_range_is_twenty_decibels():
    true = np.zeros((12, 12, 12), np.float32)
    true[:, :, 6:] = 100.0
    quality = compare_images(true + 10, true)
    assert quality.psnr_db == pytest.approx(20.0, abs=0.01)
    assert quality.ssim < 1


def test_an_equal_image_is_perfectly_similar():
    true = np.random.default_rng(0).random((12, 12, 12)).astype(np.float32)
    assert compare_images(true, true).ssim == pytest.approx(1.0, abs=1e-5)


def test_a_volume_of_four_slices_has_a_similarity_too():
    true = np.random.default_rng(0).random((4, 12, 12)).astype(np.float32)
    assert compare_images(true, true).ssim == pytest.approx(1.0, abs=1e-5)
    assert compare_images(true[:, ::-1].copy(), true).ssim < 0.5


def test_a_constant_truth_is_refused():
    with pytest.raises(VolumeError, match="no meaning"):
        compare_images(np.zeros((8, 8, 8), np.float32), np.zeros((8, 8, 8), np.float32))
