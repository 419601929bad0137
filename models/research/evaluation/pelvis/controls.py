"""What a network has to beat: a mask without any image, and the brightest DWI beside the rectum.

Blind: what no image information gives. The rectum of the other patients, each laid with the middle of its field of view
on the middle of this one's: the voxels in which most of them have rectum, of the volume of a median tumour.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from models.analysis import mask_on
from models.research.evaluation.pelvis.cases import Pelvis
from models.research.phantom.tumour_form import MEDIAN_ML
from models.sequence import Sequence
from models.volume import Float32, Grid, grid_of, image_from, resample_onto

NEAR_MM = 10.0
"""A tumour touches the rectum widened by this."""

Masks = dict[Sequence, sitk.Image]
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def blind(pelvis: Pelvis, others: SequenceOf[Pelvis], wanted: SequenceOf[Sequence]) -> Masks:
    """The same in every image of a field of view."""
    here = _about_middle(pelvis.grid)
    share = np.mean([_laid_on(other, here) for other in others], axis=0)
    voxels = round(MEDIAN_ML * 1000 / float(np.prod(here.spacing)))
    least = np.partition(share.ravel(), -voxels)[-voxels]
    mask = image_from((share >= max(least, 1e-6)).astype(np.uint8), pelvis.grid)
    return {sequence: mask_on(mask, grid_of(pelvis.images[sequence])) for sequence in wanted}


def brightest_dwi(pelvis: Pelvis, images: Mapping[Sequence, sitk.Image], wanted: SequenceOf[Sequence]) -> Masks:
    """The largest component of what Otsu's threshold calls bright on DWI within the rectum widened by `NEAR_MM`."""
    dwi = images[Sequence.DWI]
    grid = grid_of(dwi)
    near = _widened(pelvis.brought_to(pelvis.rectum.outer, grid), grid)
    values = sitk.GetArrayFromImage(dwi)
    region = image_from(values[near].reshape(1, 1, -1), Grid((int(near.sum()), 1, 1), (1.0,) * 3, (0.0,) * 3, _UPRIGHT))
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(region)
    bright = near & (values > otsu.GetThreshold())
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(image_from(bright.astype(np.uint8), grid), True))
    largest = sitk.Cast(pieces == 1, sitk.sitkUInt8)
    return {sequence: mask_on(largest, grid_of(images[sequence])) for sequence in wanted}


def _widened(
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], grid: Grid
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray(ndimage.distance_transform_edt(~inside, grid.spacing[::-1]) <= NEAR_MM)


def _about_middle(grid: Grid) -> Grid:
    """The grid, upright, with the middle of its field of view at the origin."""
    x, y, z = (-(size - 1) / 2 * step for size, step in zip(grid.size, grid.spacing, strict=True))
    return Grid(grid.size, grid.spacing, (x, y, z), _UPRIGHT)


def _laid_on(other: Pelvis, here: Grid) -> Float32:
    image = image_from(other.rectum.outer.astype(np.float32), _about_middle(other.grid))
    return sitk.GetArrayFromImage(resample_onto(image, here))
