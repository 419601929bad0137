"""A tumour painted into a real image: the share of each voxel by the slice profile, texture and noise as its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from scipy import ndimage

from models.research.evaluation.pelvis.appearance import TEXTURE_GRAIN_MM, Appearance, Levels, signal_of
from models.research.evaluation.pelvis.outlines import indices_on
from models.research.phantom.deformation import Texture
from models.research.phantom.streams import stream
from models.sequence import Sequence
from models.super_resolution.consistency import PROFILE
from models.super_resolution.degradation import Factor, thicken
from models.volume import Float32, Grid, corners_of, divided, grid_of, image_from, resample_onto

#: Parts of a voxel along x, y, z in which a tumour is or is not.
_PARTS: Factor = (3, 3, 5)
_OUTSIDE_MM = 50.0
#: A surface of the tumour is soft over this distance, mm.
_SOFT_MM = 0.6
_MARGIN = 2


@dataclass(frozen=True, slots=True)
class Painted:
    """An image with a tumour, and its true mask on the same grid: voxels of which it fills half or more (uint8)."""

    image: sitk.Image
    mask: sitk.Image


@dataclass(frozen=True, slots=True)
class Patch:
    """A box of an image: its place (z, y, x), its grid, and the share of each of its voxels that the tumour fills."""

    place: tuple[slice, slice, slice]
    grid: Grid
    share: Float32


def paint(
    image: sitk.Image,
    sequence: Sequence,
    distance: sitk.Image,
    levels: Levels,
    appearance: Appearance,
    b_value: float | None,
    seed: int,
) -> Painted:
    """The image with the tumour whose surface `distance` gives (negative inside, in the same frame of reference).

    Of a voxel that the tumour fills in part the rest stays as it was, noise included; the noise of the tumour is added
    so that the deviation of both together is that of the image. Where the tumour lies off the image nothing changes.
    """
    grid = grid_of(image)
    values, mask = sitk.GetArrayFromImage(image), np.zeros(grid.size[::-1], np.uint8)
    patch = occupancy(distance, grid)
    if patch is not None:
        share, before = patch.share, values[patch.place]
        uneven = 1 + np.float32(appearance.heterogeneity) * _texture(appearance, patch.grid)
        signal = signal_of(sequence, levels, appearance, b_value) * levels.bias[patch.place] * uneven
        noise = _noise(stream(seed, "painted noise", sequence.value), share.shape, levels)
        made = (1 - share) * before + share * signal + np.sqrt(1 - (1 - share) ** 2) * noise
        values[patch.place] = np.where(share > 0, np.maximum(made, min(0.0, float(values.min()))), before)
        mask[patch.place] = share >= 0.5
    return Painted(image_from(values, grid), image_from(mask, grid))


def occupancy(distance: sitk.Image, grid: Grid) -> Patch | None:
    """Where the tumour lies on a grid, seen through the slice profile; None where it lies off it."""
    index = indices_on(_corners_of_inside(distance), grid)
    first = np.clip(np.floor(index.min(axis=0)).astype(int) - _MARGIN, 0, grid.size)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + _MARGIN + 1, 0, grid.size)
    if (last <= first).any():
        return None
    x, y, z = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    start = np.asarray(grid.origin) + grid.axes @ (first * np.asarray(grid.spacing))
    size = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    box = Grid(size, grid.spacing, (float(start[0]), float(start[1]), float(start[2])), grid.direction)
    fine = sitk.GetArrayFromImage(resample_onto(distance, divided(box, _PARTS), sitk.sitkLinear, _OUTSIDE_MM))
    inside = torch.from_numpy(np.clip(0.5 - fine / _SOFT_MM, 0, 1).astype(np.float32))[None, None]
    share = thicken(inside, _PARTS, PROFILE)[0, 0].numpy()
    return Patch((z, y, x), box, np.where(share < 1e-3, 0, share).astype(np.float32))


def _corners_of_inside(distance: sitk.Image) -> npt.NDArray[np.float64]:
    """The corners (8, 3; LPS, mm) of the box that holds all that is inside; of the whole image where nothing is."""
    inside = np.argwhere(sitk.GetArrayViewFromImage(distance) < _SOFT_MM)[:, ::-1]
    if not len(inside):
        return corners_of(distance)
    lower, upper = inside.min(axis=0).tolist(), inside.max(axis=0).tolist()
    return corners_of(distance[tuple(slice(a, b + 1) for a, b in zip(lower, upper, strict=True))])


def _noise(rng: np.random.Generator, shape: tuple[int, ...], levels: Levels) -> Float32:
    """Noise of the image's deviation and correlation in plane."""
    white = rng.standard_normal(shape).astype(np.float32)
    soft = ndimage.gaussian_filter(white, (0, levels.softness[1], levels.softness[0]))
    made: Float32 = soft * np.float32(levels.noise / soft.std())
    return made


def _texture(appearance: Appearance, grid: Grid) -> Float32:
    """The tumour's own unevenness (z, y, x), of unit variance, at the same place in every sequence."""
    z, y, x = np.indices(grid.size[::-1], np.float32)
    index = np.stack([x, y, z]).reshape(3, -1) * np.asarray(grid.spacing, np.float32)[:, None]
    points = (np.asarray(grid.origin)[:, None] + grid.axes @ index).astype(np.float32)
    made: Float32 = Texture(TEXTURE_GRAIN_MM, appearance.texture).values(*points).reshape(grid.size[::-1])
    return made
