"""Functions on `SimpleITK.Image`, the only volume type of `models`: LPS coordinates, mm, x-y-z index order.

Arrays taken from an image are in z-y-x order. Grids are *edge aligned*: two grids of one volume share the
outer edges of their first and last voxels, not the centres, so that a finer grid covers the same tissue.

Equal geometry has many spellings (`models.rounding`), so nothing here hangs on its last digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import sparse

from models.errors import VolumeError
from models.rounding import whole_above

Float32 = npt.NDArray[np.float32]

SAME_PLACE_MM = 1e-3
"""Points that are no further apart are taken for one: a micrometre."""
#: What spacing (mm), origin (mm) and direction cosines are whole multiples of in a settled grid. Powers of two: neither
#: decimals nor matrix sizes that divide a field of view lie half way between two multiples.
_SPACING_STEP, _ORIGIN_STEP, _COSINE_STEP = 2.0**-14, 2.0**-10, 2.0**-18


@dataclass(frozen=True, slots=True)
class Grid:
    """Where voxels lie: size in voxels, spacing and origin in mm (LPS, centre of the first voxel), all x-y-z.

    `direction` holds the row-major 3 x 3 matrix whose columns are the unit vectors of the three index axes.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        """Unit vectors of the index axes, as columns (3 x 3)."""
        return np.asarray(self.direction, dtype=np.float64).reshape(3, 3)


def settled(grid: Grid) -> Grid:
    """`grid` with its last digits taken away: of geometries that differ by less, all but a few in a thousand are equal.

    Places move by a hundredth of a millimetre at most. Networks amplify what is left of rounding errors, so they see
    volumes on settled grids.
    """
    spacing, origin, direction = (
        tuple((np.round(np.asarray(values) / step) * step).tolist())
        for values, step in (
            (grid.spacing, _SPACING_STEP),
            (grid.origin, _ORIGIN_STEP),
            (grid.direction, _COSINE_STEP),
        )
    )
    return Grid(grid.size, spacing, origin, direction)


def same_place(one: Grid, other: Grid) -> bool:
    """Whether two grids have equal sizes, and the centres of their corner voxels coincide (`SAME_PLACE_MM`)."""
    if one.size != other.size:
        return False
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (np.asarray(one.size) - 1)
    here, there = (
        np.asarray(grid.origin) + (corners * np.asarray(grid.spacing)) @ grid.axes.T for grid in (one, other)
    )
    return bool(np.linalg.norm(here - there, axis=1).max() <= SAME_PLACE_MM)


def grid_of(image: sitk.Image) -> Grid:
    """The grid of a 3D image. Raises VolumeError when the image is not 3D."""
    if image.GetDimension() != 3:
        raise VolumeError(f"a volume of 3 dimensions is needed, this image has {image.GetDimension()}")
    return Grid(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def on_grid(image: sitk.Image, grid: Grid) -> sitk.Image:
    """The voxels of `image` with the spacing, origin and direction of `grid`, which has its size."""
    return _placed(sitk.Image(image), grid)


def image_from(array: npt.NDArray[np.generic], grid: Grid) -> sitk.Image:
    """An image of `array` (z, y, x) on `grid`. Raises VolumeError when the shapes differ."""
    if array.shape != grid.size[::-1]:
        raise VolumeError(f"array of shape {array.shape} (z, y, x) does not fill a grid of {grid.size} (x, y, z)")
    return _placed(sitk.GetImageFromArray(array), grid)


def corners_of(image: sitk.Image) -> npt.NDArray[np.float64]:
    """The corners (8, 3) of a volume at the outer edges of its voxels, LPS, mm."""
    ends = product(*((-0.5, size - 0.5) for size in image.GetSize()))
    return np.array([image.TransformContinuousIndexToPhysicalPoint(end) for end in ends])


def check_volume(image: sitk.Image) -> None:
    """Raises VolumeError unless the image is 3D, not empty, one component a voxel and finite throughout."""
    grid = grid_of(image)
    if min(grid.size) < 1:
        raise VolumeError(f"the volume is empty: {grid.size} voxels (x, y, z)")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(f"one value a voxel is needed, found {image.GetNumberOfComponentsPerPixel()}")
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise VolumeError("the volume holds values that are not finite")


def divided(grid: Grid, parts: Sequence[float]) -> Grid:
    """`grid` with each voxel split into `parts` (x, y, z) pieces; factors below 1 merge voxels.

    Edge aligned: the first centre moves from `p0` to `p0 + d * (t - s) / 2`, where d is the axis, s the
    old and t the new spacing. A size that is no whole number is rounded up, so that no tissue is lost.
    """
    factors = np.asarray(parts, dtype=np.float64)
    old = np.asarray(grid.spacing)
    new = old / factors
    size = np.maximum(1, whole_above(np.asarray(grid.size) * factors))
    origin = np.asarray(grid.origin) + grid.axes @ ((new - old) / 2)
    return Grid(_size(size), _point(new), _point(origin), grid.direction)


def with_spacing(grid: Grid, spacing: Sequence[float]) -> Grid:
    """The edge-aligned grid over the same extent with `spacing` (x, y, z; mm)."""
    return divided(grid, [old / new for old, new in zip(grid.spacing, spacing, strict=True)])


def resample_onto(
    image: sitk.Image, grid: Grid, interpolator: int = sitk.sitkLinear, outside: float = 0.0
) -> sitk.Image:
    """`image` sampled at the voxel centres of `grid`, pixel type kept; `outside` where there is no image.

    Voxel centres in the outer half voxel of the image are inside: there the border value is continued. So are those on
    its very edge: the image is widened by `SAME_PLACE_MM` on each side.
    """
    return _resampled(on_grid(image, _widened(grid_of(image))), grid, interpolator, outside)


def average_onto(image: sitk.Image, grid: Grid) -> sitk.Image:
    """Mean of `image` over each voxel of `grid` (float32): keeps volume where `grid` is the coarser one.

    Each target voxel is divided into pieces no longer than a voxel of the image along the same direction; the
    pieces are interpolated linearly and averaged. Where `grid` is the finer one this is plain interpolation. Places are
    those of the settled grids.
    """
    own, target = settled(grid_of(image)), settled(grid)
    parts = [
        max(1, math.ceil(step / _pitch(own, axis) - 0.01))
        for step, axis in zip(target.spacing, target.axes.T, strict=True)
    ]
    # The volumes of a study are large beside what a machine has: no copy more than is needed.
    voxels = sitk.Cast(image, sitk.sitkFloat32)
    if target.direction == own.direction:
        return image_from(_averaged_by_axis(sitk.GetArrayViewFromImage(voxels), own, target, parts), grid)
    pieces = _resampled(_placed(voxels, _widened(own)), divided(target, parts), sitk.sitkLinear, 0.0)
    return image_from(_block_mean(sitk.GetArrayViewFromImage(pieces), parts[::-1]), grid)


def _averaged_by_axis(values: Float32, own: Grid, target: Grid, parts: Sequence[int]) -> Float32:
    """The mean (z, y, x) of values on their own grid where both have the same axes, along one axis after another."""
    widened, pieces = _widened(own), divided(target, parts)
    apart = (np.asarray(pieces.origin) - np.asarray(widened.origin)) @ widened.axes
    for axis in (2, 1, 0):
        positions = (apart[axis] + np.arange(pieces.size[axis]) * pieces.spacing[axis]) / widened.spacing[axis]
        weights = _mean_weights(positions, widened.size[axis], parts[axis])
        lines = np.moveaxis(values, 2 - axis, 0)
        means = weights @ lines.reshape(len(lines), -1)
        values = np.moveaxis(means.reshape(-1, *lines.shape[1:]), 0, 2 - axis)
    return np.ascontiguousarray(values)


def _mean_weights(positions: npt.NDArray[np.float64], size: int, parts: int) -> sparse.csr_array:
    """Of `size` voxels along an axis (targets, size): means of `parts` pieces each, interpolated as by `resample_onto`.

    `positions` are the centres of all pieces, in voxels.
    """
    inside = ((positions >= -0.5) & (positions <= size - 0.5)) / parts
    clipped = np.clip(positions, 0, size - 1)
    lower = np.minimum(np.floor(clipped), max(0, size - 2)).astype(np.int64)
    upper = np.minimum(lower + 1, size - 1)
    rows = np.tile(np.arange(len(positions)) // parts, 2)
    shares = np.concatenate([inside * (1 - (clipped - lower)), inside * (clipped - lower)])
    shape = (len(positions) // parts, size)
    return sparse.csr_array((shares.astype(np.float32), (rows, np.concatenate([lower, upper]))), shape=shape)


def volume_ml(mask: sitk.Image) -> float:
    """Volume of the non-zero voxels, ml."""
    voxel_mm3 = float(np.prod(mask.GetSpacing()))
    return float(np.count_nonzero(sitk.GetArrayViewFromImage(mask))) * voxel_mm3 / 1000.0


def _widened(grid: Grid) -> Grid:
    """`grid` scaled about its middle so that its edges lie `SAME_PLACE_MM` further out."""
    old = np.asarray(grid.spacing)
    new = old + 2 * SAME_PLACE_MM / np.asarray(grid.size)
    origin = np.asarray(grid.origin) - grid.axes @ ((np.asarray(grid.size) - 1) / 2 * (new - old))
    return Grid(grid.size, _point(new), _point(origin), grid.direction)


def _placed(image: sitk.Image, grid: Grid) -> sitk.Image:
    """`image` itself with the spacing, origin and direction of `grid`; one that shares its voxels gets its own."""
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def _resampled(image: sitk.Image, grid: Grid, interpolator: int, outside: float) -> sitk.Image:
    identity, pixels = sitk.Transform(3, sitk.sitkIdentity), image.GetPixelID()
    places = (grid.origin, grid.spacing, grid.direction)
    return sitk.Resample(image, grid.size, identity, interpolator, *places, outside, pixels)


def _pitch(grid: Grid, direction: npt.NDArray[np.float64]) -> float:
    """Length in mm of one voxel of `grid` along a unit vector."""
    along = grid.axes.T @ direction
    return float(1.0 / np.linalg.norm(along / np.asarray(grid.spacing)))


def _block_mean(array: Float32, parts: Sequence[int]) -> Float32:
    """Mean over blocks of `parts` (z, y, x) voxels."""
    z, y, x = (length // part for length, part in zip(array.shape, parts, strict=True))
    blocks = array.reshape(z, parts[0], y, parts[1], x, parts[2])
    mean: Float32 = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return mean


def _size(values: npt.NDArray[np.int64]) -> tuple[int, int, int]:
    x, y, z = values.tolist()
    return int(x), int(y), int(z)


def _point(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return float(x), float(y), float(z)
