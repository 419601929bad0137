"""Masks as other readers would have drawn them: near the first one, each another, always the same."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.analysis import mask_on
from models.research.training.prediction.mask_perturbation import LARGEST_MOVE_MM, perturbed
from models.volume import Grid, divided, grid_of, image_from, resample_onto, volume_ml

GRID = Grid((50, 44, 12), (1.2, 1.2, 5.0), (-31.0, 12.0, 80.0), (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0))
RADIUS_MM = 14.0


def ball_on(grid: Grid) -> np.ndarray:
    z, y, x = np.indices(grid.size[::-1])
    centre = [(count - 1) / 2 for count in grid.size]
    return sum(((a - c) * s) ** 2 for a, c, s in zip((x, y, z), centre, grid.spacing, strict=True)) < RADIUS_MM**2


def ball() -> sitk.Image:
    return image_from(ball_on(GRID).astype(np.uint8), GRID)


@pytest.fixture(scope="module")
def others():
    return perturbed(ball(), 12, seed=5)


def test_the_contour_moves_by_about_a_millimetre(others):
    volumes = np.array([volume_ml(mask) for mask in others])
    radii = RADIUS_MM * (volumes / volume_ml(ball())) ** (1 / 3)
    assert np.abs(radii - RADIUS_MM).max() < LARGEST_MOVE_MM + 0.5
    assert radii.min() < RADIUS_MM - 0.3 < RADIUS_MM + 0.3 < radii.max()
    for mask in others:
        both = sitk.LabelOverlapMeasuresImageFilter()
        both.Execute(mask_on(mask, GRID), ball())
        assert 0.7 < both.GetDiceCoefficient() < 1


def test_the_same_seed_gives_the_same_masks_and_another_seed_others(others):
    def arrays(masks):
        return [sitk.GetArrayFromImage(mask) for mask in masks]

    again, different = perturbed(ball(), 2, seed=5), perturbed(ball(), 2, seed=6)
    assert all(map(np.array_equal, arrays(again), arrays(others[:2])))
    assert not any(map(np.array_equal, arrays(different), arrays(others[:2])))


def test_one_mask_covers_the_same_tissue_on_finer_and_coarser_grids(others):
    fine = divided(GRID, (1, 1, 4))
    refined = mask_on(ball(), fine)
    assert grid_of(refined) == fine
    assert volume_ml(refined) == pytest.approx(volume_ml(ball()), rel=0.05)
    coarse = divided(GRID, (0.5, 0.5, 1))
    for mask in (refined, ball(), *others[:3]):
        # A voxel of which just half is inside counts whole, which shows on so small a ball.
        assert volume_ml(mask_on(mask, coarse)) == pytest.approx(volume_ml(mask), rel=0.1)


def test_between_thick_slices_the_surface_is_oblique_and_no_stair():
    fine = divided(GRID, (1, 1, 4))
    stairs = sitk.GetArrayFromImage(resample_onto(ball(), fine, sitk.sitkNearestNeighbor)) > 0
    refined = sitk.GetArrayFromImage(mask_on(ball(), fine)) > 0
    true = ball_on(fine)
    assert np.count_nonzero(refined ^ true) < 0.7 * np.count_nonzero(stairs ^ true)


def test_a_mask_outside_a_grid_is_empty_there():
    far = Grid(GRID.size, GRID.spacing, (500.0, 12.0, 80.0), GRID.direction)
    assert volume_ml(mask_on(ball(), far)) == 0
    nothing = sitk.Image(ball()) * 0
    assert volume_ml(mask_on(nothing, far)) == 0
