"""Masks as other readers would have drawn them: the contour moved in or out, shifted and roughened.

After the volume adaptation, translation and contour randomisation of Zwanenburg et al., Sci Rep 2019;9:614; here on the
distance to the contour, so that a shift smaller than a pixel counts.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from models.radiomics.preparation import box_of
from models.volume import Float32, Grid, grid_of, image_from, resample_onto, with_spacing

#: A contour is moved by up to this, inwards or outwards (mm).
LARGEST_MOVE_MM = 1.0
#: Standard deviation of the shift along each axis of the slice (mm).
SHIFT_MM = 0.5
#: Standard deviation of the roughness (mm), and over how much of the contour it stays alike (mm).
ROUGHNESS_MM, ROUGHNESS_LENGTH_MM = 0.5, 4.0
#: Spacing of the masks that are made: in plane, and the longest across (mm).
IN_PLANE_MM, ACROSS_MM = 0.6, 1.5
_MARGIN_MM = 5.0


def perturbed(mask: sitk.Image, count: int, seed: int) -> tuple[sitk.Image, ...]:
    """`count` other contours of the tumour in `mask`, which is not empty (uint8, on a finer grid around it).

    The same arguments give the same masks.
    """
    distance = _distance(mask)
    return tuple(_redrawn(distance, np.random.default_rng([seed, number])) for number in range(count))


def _redrawn(distance: sitk.Image, random: np.random.Generator) -> sitk.Image:
    move = random.uniform(-LARGEST_MOVE_MM, LARGEST_MOVE_MM)
    x, y = random.normal(0, SHIFT_MM, 2)
    grid = grid_of(distance)
    shift = sitk.TranslationTransform(3, (grid.axes @ np.array([x, y, 0.0])).tolist())
    shifted = sitk.Resample(distance, distance, shift, sitk.sitkLinear, _MARGIN_MM)
    contour = sitk.GetArrayFromImage(shifted) - move + _roughness(grid, random)
    return image_from((contour <= 0).astype(np.uint8), grid)


def _roughness(grid: Grid, random: np.random.Generator) -> Float32:
    noise = image_from(random.normal(size=grid.size[::-1]).astype(np.float32), grid)
    smooth: Float32 = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(noise, ROUGHNESS_LENGTH_MM / 2))
    return (smooth * (ROUGHNESS_MM / smooth.std())).astype(np.float32)


def _distance(mask: sitk.Image) -> sitk.Image:
    """Distance to the contour (mm, float32, negative inside) around the tumour."""
    own = grid_of(mask)
    margin = np.ceil((_MARGIN_MM + LARGEST_MOVE_MM) / np.asarray(own.spacing)).astype(np.int64)
    near = box_of(sitk.GetArrayViewFromImage(mask) > 0).grown(margin, own)
    across = own.spacing[2] / np.ceil(own.spacing[2] / ACROSS_MM)
    grid = with_spacing(near.grid(own), (min(IN_PLANE_MM, own.spacing[0]), min(IN_PLANE_MM, own.spacing[1]), across))
    inside = resample_onto(sitk.Cast(mask > 0, sitk.sitkFloat32), grid) >= 0.5
    outwards, inwards = (
        sitk.SignedMaurerDistanceMap(it, squaredDistance=False, useImageSpacing=True)
        for it in (inside, sitk.BinaryNot(inside, 1, 0))
    )
    # Each map is 0 at the last voxel on its own side; the contour lies half way between both.
    return sitk.Cast((outwards - inwards) / 2, sitk.sitkFloat32)
