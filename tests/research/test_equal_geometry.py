"""Equal voxels in geometry that differs by rounding alone: equal network input, equal masks, equal features."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import models
from models.analysis import mask_on
from models.findings import find_tumours
from models.radiomics.settings import RadiomicsSettings
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import simulate_case
from models.segmentation.inference import load_segmenter
from models.segmentation.preprocessing import PreprocessingSettings, prepare_together
from models.sequence import ANALYSED, Sequence
from models.volume import Grid, divided, grid_of, image_from, resample_onto, with_spacing

from ..models.radiomics.measured import extract
from ..parts import processor

LENGTH_ERROR_MM, COSINE_ERROR = 1e-7, 1e-9


def _disturbed(image: sitk.Image, seed: int) -> sitk.Image:
    """The same voxels; spacing and origin (mm) and direction cosines with other last digits."""
    errors = np.random.default_rng(seed)
    it = sitk.Image(image)
    it.SetSpacing((np.array(image.GetSpacing()) + errors.uniform(-1, 1, 3) * LENGTH_ERROR_MM).tolist())
    it.SetOrigin((np.array(image.GetOrigin()) + errors.uniform(-1, 1, 3) * LENGTH_ERROR_MM).tolist())
    it.SetDirection((np.array(image.GetDirection()) + errors.uniform(-1, 1, 9) * COSINE_ERROR).tolist())
    return it


@pytest.fixture(scope="module")
def images():
    """A tumour and 20 mm around it."""
    return simulate_case(111, find_scanner("MR750"), region="tumour").images


def test_the_network_sees_the_same_whatever_the_last_digits_of_the_geometry(images):
    settings, order = PreprocessingSettings(n4_iterations=(3,)), ANALYSED
    channels, grid = prepare_together(images, order, settings)
    for seed in range(4):
        same = {sequence: _disturbed(image, seed) for sequence, image in images.items()}
        again, there = prepare_together(same, order, settings)
        assert there.size == grid.size
        assert np.abs(again - channels).max() < 1e-4


def test_the_shipped_bundle_outlines_the_same_on_both_grids_whatever_the_last_digits(images):
    bundle = Path(models.__file__).parent / "weights" / "segmentation"
    segmenter = load_segmenter(bundle, processor.installation())
    wanted = {sequence: images[sequence] for sequence in (Sequence.T2WI, Sequence.DWI)}
    first, *others = (_found(wanted if seed is None else _all_disturbed(wanted, seed), segmenter) for seed in (None, 1))
    assert all(mask.any() for masks in first.values() for mask in masks)
    for found in others:
        for sequence, masks in first.items():
            assert all(np.array_equal(*pair) for pair in zip(masks, found[sequence], strict=True))


def _all_disturbed(images, seed):
    return {sequence: _disturbed(image, seed) for sequence, image in images.items()}


def _found(images, segmenter):
    """Masks on the acquired and on a four times finer grid, by sequence."""
    finer = {
        sequence: resample_onto(sitk.Cast(image, sitk.sitkFloat32), divided(grid_of(image), (1, 1, 4)))
        for sequence, image in images.items()
    }
    return {
        sequence: (sitk.GetArrayFromImage(tumour.mask), sitk.GetArrayFromImage(tumour.mask_super))
        for sequence, tumour in find_tumours(images, finer, segmenter).tumours.items()
    }


def _ramp(size, spacing):
    values = np.random.default_rng(3).normal(500, 60, size[::-1]).astype(np.float32)
    return image_from(values, Grid(size, spacing, (-31.37, 12.61, 80.83), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)))


def test_the_size_of_a_grid_that_fits_is_the_same_whatever_the_last_digits():
    image = _ramp((400, 400, 24), (0.5, 0.5, 6.25))
    for seed in range(8):
        assert with_spacing(grid_of(_disturbed(image, seed)), (2.5, 2.5, 5.0)).size == (80, 80, 30)


def test_a_sample_on_the_edge_of_a_volume_has_its_border_value_whatever_the_last_digits():
    image = _ramp((8, 8, 21), (2.0, 2.0, 3.75)) + 1000
    edge = Grid((8, 8, 2), (2.0, 2.0, 78.75), (-31.37, 12.61, 80.83 - 1.875), image.GetDirection())
    for seed in range(8):
        sampled = sitk.GetArrayFromImage(resample_onto(_disturbed(image, seed), edge))
        assert sampled.min() > 1000


def test_a_mask_keeps_the_coarse_voxels_of_which_it_fills_half_whatever_the_last_digits():
    fine = np.zeros((16, 8, 8), np.uint8)
    fine[2:6, 2:6, 2:6] = 1
    mask = image_from(fine, divided(grid_of(_ramp((8, 8, 4), (1.0, 1.0, 4.0))), (1, 1, 4)))
    for seed in range(8):
        coarse = mask_on(_disturbed(mask, seed), grid_of(_disturbed(_ramp((8, 8, 4), (1.0, 1.0, 4.0)), seed + 50)))
        assert sitk.GetArrayFromImage(coarse).sum(axis=(1, 2)).tolist() == [16, 16, 0, 0]


@pytest.mark.parametrize("pixel_mm", [0.5, 0.7])
def test_features_are_the_same_whatever_the_last_digits(pixel_mm):
    """With these pixels, resampled ones of 1 mm lie half way between two others."""
    image = _ramp((60, 60, 9), (pixel_mm, pixel_mm, 3.0))
    inside = np.zeros((9, 60, 60), np.uint8)
    inside[2:7, 20:41, 18:43] = 1
    mask = image_from(inside, grid_of(image))
    settings = RadiomicsSettings(
        resampled_spacing_mm=(1.0, 1.0, 0.0), bin_share=0.06, eroded_mm=2.1, image_types={"Original": {}}
    )
    features = extract(image, mask, settings)
    for seed in range(6):
        assert extract(_disturbed(image, seed), _disturbed(mask, seed), settings) == features
