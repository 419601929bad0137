"""Preparation of image and mask for pyradiomics: geometry check, scaling, stretch, resampling, cut.

pyradiomics filters and resamples whole volumes. Its values hang on the surroundings of the tumour alone, so only these
are touched here, on exactly the grid that pyradiomics would choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import distance_transform_edt

from models.errors import VolumeError
from models.radiomics.settings import RadiomicsSettings
from models.rounding import at_least, beyond, whole_above, whole_below
from models.volume import SAME_PLACE_MM, Grid, grid_of, image_from, on_grid, settled

#: Voxels kept beside what a cubic B-spline is evaluated on. Its coefficients are recursive and forget a voxel's
#: distance by a factor of 2 - sqrt(3): after 24 voxels 2e-14 is left (Unser, IEEE Signal Process Mag 1999;16(6):22-38).
REACH_VOXELS = 24

#: Of a tumour's core, below which intensities are measured in the whole tumour.
LEAST_CORE_ML = 0.5
#: Of a bin width that is a share of the median: texture matrices grow with its square.
MOST_BINS = 128

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Box:
    """First and last voxel (x, y, z) of a part of a volume, both inside."""

    first: Index
    last: Index

    def grown(self, voxels: int | Index, grid: Grid) -> Box:
        """With `voxels` more on every side, where the grid has them."""
        size = np.array(grid.size)
        return Box(np.maximum(self.first - voxels, 0), np.minimum(self.last + voxels, size - 1))

    def of(self, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """That part of an array (z, y, x)."""
        x, y, z = (slice(first, last + 1) for first, last in zip(self.first, self.last, strict=True))
        return array[z, y, x]

    def cut(self, image: sitk.Image) -> sitk.Image:
        """That part of an image."""
        return sitk.RegionOfInterest(image, (self.last - self.first + 1).tolist(), self.first.tolist())

    @property
    def interleaved(self) -> Index:
        """First and last of x, of y and of z, as pyradiomics has bounding boxes."""
        return np.stack([self.first, self.last], axis=1).ravel()

    def grid(self, grid: Grid) -> Grid:
        """The grid of that part."""
        origin = np.asarray(grid.origin) + grid.axes @ (self.first * np.asarray(grid.spacing))
        x, y, z = (self.last - self.first + 1).tolist()
        return Grid((x, y, z), grid.spacing, (float(origin[0]), float(origin[1]), float(origin[2])), grid.direction)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Image and mask of one tumour as pyradiomics is given them.

    Attributes:
        image: float32, scaled.
        core: 0/1 uint8 on the grid of `image`: where intensities are measured.
        whole: 0/1 uint8, the whole tumour, on the same or a larger part of the same grid: what has the shape.
        bin_width: in the intensities of `image`; None where the settings give it.
    """

    image: sitk.Image
    core: sitk.Image
    whole: sitk.Image
    bin_width: float | None


def scaled(image: sitk.Image, mask: sitk.Image, settings: RadiomicsSettings, stretch: float = 1.0) -> Prepared:
    """Image and masks on exactly one grid, whole: written as NIfTI, plain pyradiomics calls with
    `settings.pyradiomics(bin_width)`, on `image` and `whole` for shape and on `image` and `core` for the rest, give the
    values of `features_of`. `stretch`: of deviations from the tumour's median (`models.radiomics.t2_contrast`).

    Raises `VolumeError` when the grids differ by more than a micrometre or the mask is empty.
    """
    grid, inside, box = _checked(image, mask)
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    core = _core(inside, grid, settings.eroded_mm)
    scale = _Scale(_factor(values, inside, box, grid, settings), stretch, values[core])
    kept, whole = (image_from(it.view(np.uint8), grid) for it in (core, inside))
    return Prepared(image_from(scale.of(values), grid), kept, whole, _bin_width(scale.of(values[core]), settings))


def prepare(image: sitk.Image, mask: sitk.Image, settings: RadiomicsSettings, stretch: float = 1.0) -> Prepared:
    """`scaled` as pyradiomics resamples it before it filters, with `pad_voxels` around the tumour.

    Raises `VolumeError` as `scaled` does.
    """
    grid, inside, box = _checked(image, mask)
    values = sitk.GetArrayViewFromImage(image)
    core = _core(inside, grid, settings.eroded_mm)
    tumour = values[core].astype(np.float32)
    scale = _Scale(_factor(values, inside, box, grid, settings), stretch, tumour)
    around = _around(values, scale, core, grid, settings)
    bin_width = _bin_width(scale.of(tumour), settings)
    return Prepared(around, _mask_around(core, grid, settings), _mask_around(inside, grid, settings), bin_width)


class _Scale:
    """Intensities as they are measured: times `factor`, then deviations from the tumour's median times `stretch`."""

    def __init__(self, factor: np.float32, stretch: float, tumour: npt.NDArray[np.float32]) -> None:
        self.factor, self.stretch = factor, np.float32(stretch)
        self.median = np.float32(np.median(tumour * factor))

    def of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """`values` as they are measured."""
        within = values * self.factor
        return within if self.stretch == 1 else self.median + (within - self.median) * self.stretch


def _around(
    values: npt.NDArray[np.generic],
    scale: _Scale,
    core: npt.NDArray[np.bool_],
    grid: Grid,
    settings: RadiomicsSettings,
) -> sitk.Image:
    """The scaled image as it is filtered."""
    box = box_of(core)
    target = resampled_grid(grid, box, settings)
    near = box.grown(settings.pad_voxels, grid) if target is None else _source(grid, target).grown(REACH_VOXELS, grid)
    part = image_from(scale.of(near.of(values).astype(np.float32)), near.grid(grid))
    return part if target is None else _resampled(part, target, getattr(sitk, settings.interpolator))


def _mask_around(inside: npt.NDArray[np.bool_], grid: Grid, settings: RadiomicsSettings) -> sitk.Image:
    """A mask as the image around it is resampled."""
    box = box_of(inside)
    target = resampled_grid(grid, box, settings)
    if target is None:
        near = box.grown(settings.pad_voxels, grid)
        return image_from(np.ascontiguousarray(near.of(inside)).view(np.uint8), near.grid(grid))
    # It stays whole: where a voxel lies half way between two others, the last bit of its index decides.
    return _resampled(image_from(inside.view(np.uint8), grid), target, sitk.sitkNearestNeighbor)


def resampled_grid(grid: Grid, box: Box, settings: RadiomicsSettings) -> Grid | None:
    """The grid on which `radiomics.imageoperations.resampleImage` samples a tumour in `box`; None where it does not.

    It begins at the outer corner of the whole volume, and keeps `pad_voxels` around the tumour; an axis along which
    the tumour has one voxel keeps its spacing.
    """
    old, size = np.asarray(grid.spacing), np.asarray(grid.size)
    wanted = np.asarray(settings.resampled_spacing_mm)
    new = np.where((wanted == 0) | (box.first == box.last), old, wanted)
    if not wanted.any() or np.allclose(old, new):
        return None
    ratio = old / new
    first = np.maximum(whole_below((box.first - 0.5) * ratio - settings.pad_voxels), 0)
    last = np.minimum(whole_above((box.last + 0.5) * ratio + settings.pad_voxels), whole_above(size * ratio) - 1)
    x, y, z = (last - first + 1).tolist()
    corner = 0.5 * (new - old) / old + first / ratio
    empty = on_grid(sitk.Image(1, 1, 1, sitk.sitkUInt8), grid)
    origin = empty.TransformContinuousIndexToPhysicalPoint(corner.tolist())
    return Grid((x, y, z), (float(new[0]), float(new[1]), float(new[2])), origin, grid.direction)


def box_of(inside: npt.NDArray[np.bool_]) -> Box:
    """Of the True voxels (z, y, x), of which there are some."""
    along = [np.flatnonzero(inside.any(axis=others)) for others in ((0, 1), (0, 2), (1, 2))]
    return Box(np.array([found[0] for found in along]), np.array([found[-1] for found in along]))


def require_same_grid(image: sitk.Image, mask: sitk.Image) -> None:
    """Raise `VolumeError` unless size, origin, spacing and direction agree within the tolerance."""
    if image.GetSize() != mask.GetSize():
        raise VolumeError(f"mask has size {mask.GetSize()}, its image {image.GetSize()}")
    last = [size - 1 for size in image.GetSize()]
    for index in ([0, 0, 0], last):
        here = image.TransformIndexToPhysicalPoint(index)
        there = mask.TransformIndexToPhysicalPoint(index)
        distance = float(np.linalg.norm(np.subtract(here, there)))
        if distance > SAME_PLACE_MM:
            raise VolumeError(f"mask and image are {distance:.3g} mm apart at voxel {tuple(index)}")


def _checked(image: sitk.Image, mask: sitk.Image) -> tuple[Grid, npt.NDArray[np.bool_], Box]:
    """Grid of both, which voxels are inside (z, y, x), and their box.

    The grid is the image's: pyradiomics accepts 1e-6 mm at most, and its own tolerance setting changes ITK for the
    whole process. Its last digits are taken away (`settled`): where a resampled voxel lies half way between two others,
    they would decide. What is left has the precision of NIfTI, so that an exported volume is the same volume.
    """
    require_same_grid(image, mask)
    inside = sitk.GetArrayViewFromImage(mask) > 0
    if not inside.any():
        raise VolumeError("the mask is empty")
    return settled(grid_of(image)), inside, box_of(inside)


def _factor(
    values: npt.NDArray[np.generic], inside: npt.NDArray[np.bool_], box: Box, grid: Grid, settings: RadiomicsSettings
) -> np.float32:
    """Factor that gives `surroundings_percentile` the value `scale` in the box around the tumour, without the tumour;
    1 where intensities stay as they are, or all is dark."""
    if settings.surroundings_mm is None:
        return np.float32(1)
    margin = whole_above(settings.surroundings_mm / np.asarray(grid.spacing))
    wide = box.grown(margin, grid)
    part, outside = wide.of(values).astype(np.float32), wide.of(inside) == 0
    around = part[outside] if outside.any() else part.ravel()
    if not np.isfinite(around).all():
        raise VolumeError("the image has values that are not finite around the tumour")
    bright = float(np.percentile(around, settings.surroundings_percentile))
    return np.float32(settings.scale / bright) if bright > 0 else np.float32(1)


def _core(inside: npt.NDArray[np.bool_], grid: Grid, depth_mm: float) -> npt.NDArray[np.bool_]:
    """The voxels further than `depth_mm` from the nearest voxel outside; all of it where that is less than
    `LEAST_CORE_ML`.

    Distances are those of centres: the end slices of a tumour stay where slices are thick, and go with its rim where
    they are thin.
    """
    if depth_mm == 0:
        return inside
    box = box_of(inside).grown(1, grid)
    distance = distance_transform_edt(np.pad(box.of(inside), 1), grid.spacing[::-1])[1:-1, 1:-1, 1:-1]
    deep = beyond(distance, depth_mm)
    if not at_least(deep.sum() * float(np.prod(grid.spacing)), 1000 * LEAST_CORE_ML):
        return inside
    core = np.zeros_like(inside)
    box.of(core)[:] = deep
    return core


def _bin_width(values: npt.NDArray[np.float32], settings: RadiomicsSettings) -> float | None:
    """`bin_share` of the median, wider where the range would take more than `MOST_BINS`."""
    if settings.bin_share is None:
        return None
    width = max(settings.bin_share * float(np.median(values)), float(np.ptp(values)) / MOST_BINS)
    return width if width > 0 else 1.0


def _source(grid: Grid, target: Grid) -> Box:
    """The voxels of `grid` among which the centres of `target` lie; both have the same axes."""
    spacing = np.asarray(grid.spacing)
    start = grid.axes.T @ (np.asarray(target.origin) - np.asarray(grid.origin)) / spacing
    stop = start + (np.asarray(target.size) - 1) * np.asarray(target.spacing) / spacing
    return Box(np.floor(start).astype(np.int64), np.ceil(stop).astype(np.int64))


def _resampled(image: sitk.Image, grid: Grid, interpolator: int) -> sitk.Image:
    identity = sitk.Transform(3, sitk.sitkIdentity)
    return sitk.Resample(image, grid.size, identity, interpolator, grid.origin, grid.spacing, grid.direction)
