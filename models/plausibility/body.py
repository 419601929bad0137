"""Where the body lies at each height, along the axes of the patient (LPS, mm), as far as the fields of view show it.

The surface is where tissue meets the air outside. It is looked for on images whose muscle is clearly brighter than air
(T2WI, dynamic T1WI), on a lattice along the axes of the patient, so that tilted stacks and stacks of several fields of
view say the same. What a field of view cuts off is unknown, not air.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from models.rounding import whole_above, whole_nearest
from models.sequence import Sequence
from models.volume import Float32, Grid, corners_of, grid_of, image_from, resample_onto

CONTRASTS = (Sequence.T2WI, Sequence.PVP)
"""Where muscle is clearly brighter than air; DWI of high b-values hardly shows muscle, and suppresses fat."""
LATTICE_MM = 4.0
"""Distance of the points at which the body is known."""
AIR_SHARE = 0.04
"""Of the 99th percentile, below which a pixel is dark: muscle has a tenth of the brightest fat on T2WI, air a
hundredth."""
NARROWEST_AIR_MM = 12.0
"""Dark parts that are narrower are no air: flow voids, cortical bone, noise between bright pixels."""
NEAR_MIDLINE_MM = 60.0
"""Front and back of the body are its extreme points this near to the midline."""
LEAST_SEEN = 0.5
"""Share of the lines to a surface that must end in air."""
REACH_MM = 40.0
"""A surface that is cut off at a height is taken from the nearest height that shows it within this distance."""
SHIFT_MM = 30.0
"""The midline is looked for this far from the middle of what is seen."""

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Body:
    """Tissue and air on a lattice along LPS axes; arrays are (z, y, x), positions mm.

    tissue, air: what images show; neither where none reaches. depth_mm: in-plane distance from air, infinite where a
    height shows none. front_mm, back_mm: y of the surface at each height, NaN where it is not known. first_mm, last_mm:
    y of the outermost tissue that is seen. midline_mm: x at each height.
    """

    grid: Grid
    tissue: Mask
    air: Mask
    depth_mm: Float32
    front_mm: Values
    back_mm: Values
    first_mm: Values
    last_mm: Values
    midline_mm: Values

    def level(self, height_mm: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Index of the nearest height. `height_mm`: (points,)."""
        index = np.round((np.asarray(height_mm) - self.grid.origin[2]) / self.grid.spacing[2])
        return np.clip(index, 0, self.grid.size[2] - 1).astype(np.int64)


def body_of(images: Iterable[sitk.Image]) -> Body | None:
    """The body on images of one frame of reference; None without images."""
    volumes = [in_plane_binned(image) for image in images]
    if not volumes:
        return None
    grid = _lattice(volumes)
    shown, dark = np.zeros(grid.size[::-1], np.int8), np.zeros(grid.size[::-1], np.int8)
    mirrored: list[Float32] = []
    for volume in volumes:
        outside = image_from(air_outside(volume).astype(np.float32) + 1, grid_of(volume))
        label = sitk.GetArrayFromImage(resample_onto(outside, grid, sitk.sitkNearestNeighbor))
        shown += label > 0
        dark += label == 2
        mirrored.append(sitk.GetArrayFromImage(resample_onto(volume, grid)))
    air = (dark > 0) & (dark == shown)
    tissue = (shown > 0) & ~air
    return _described(grid, tissue, air, _symmetry_mm(mirrored, grid))


def in_plane_binned(image: sitk.Image) -> sitk.Image:
    factors = [max(1, int(whole_nearest(LATTICE_MM / step))) for step in image.GetSpacing()[:2]]
    return sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), [*factors, 1])


def _lattice(volumes: list[sitk.Image]) -> Grid:
    corners = np.concatenate([corners_of(volume) for volume in volumes])
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, z = (int(size) for size in np.maximum(1, whole_above((high - low) / LATTICE_MM)))
    first = low + LATTICE_MM / 2
    origin = (float(first[0]), float(first[1]), float(first[2]))
    return Grid((x, y, z), (LATTICE_MM,) * 3, origin, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def air_outside(image: sitk.Image) -> Mask:
    """Dark parts of each slice that hold a corner of the image, and what they cut off from the body.

    Gas in a rectum that the field of view cuts reaches its edge, but no corner.
    """
    values = ndimage.median_filter(sitk.GetArrayViewFromImage(image), (1, 3, 3))  # single bright pixels are noise
    dark = values < AIR_SHARE * np.percentile(values, 99)
    radius = max(1, round(NARROWEST_AIR_MM / 2 / image.GetSpacing()[0]))
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = (rows**2 + columns**2 <= (radius + 0.5) ** 2)[None]
    wide = ndimage.binary_opening(np.pad(dark, ((0, 0), (radius, radius), (radius, radius)), mode="edge"), disc)
    wide = wide[:, radius:-radius, radius:-radius]
    return np.stack([~_largest(~_at_a_corner(part)) for part in wide])


def _at_a_corner(dark: Mask) -> Mask:
    labels, _ = ndimage.label(dark)
    corners = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    return np.isin(labels, corners[corners > 0])


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]) if count else mask


def _symmetry_mm(volumes: list[Float32], grid: Grid) -> float:
    """x about which the images are most alike to their mirror images."""
    middle = (grid.size[0] - 1) / 2
    reach = int(SHIFT_MM / LATTICE_MM)
    shifts = np.arange(-2 * reach, 2 * reach + 1)  # of the mirror, in half points
    likeness = [np.mean([_likeness(values, int(shift)) for values in volumes]) for shift in shifts]
    return float(grid.origin[0] + (middle + shifts[int(np.argmax(likeness))] / 2) * LATTICE_MM)


def _likeness(values: Float32, shift: int) -> float:
    """Correlation of an image with its mirror image about the middle of x plus `shift` half points."""
    columns = values.shape[2]
    here = values[:, :, max(0, shift) : columns + min(0, shift)]
    there = here[:, :, ::-1]
    both = (here > 0) & (there > 0)
    if both.sum() < 0.3 * here.size or not both.any():
        return -1.0
    a, b = np.log(here[both]), np.log(there[both])
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 else -1.0


def _described(grid: Grid, tissue: Mask, air: Mask, symmetry_mm: float) -> Body:
    x = np.asarray(grid.origin[0] + LATTICE_MM * np.arange(grid.size[0]), np.float64)
    midline = np.array([_midline(t, a, x, symmetry_mm) for t, a in zip(tissue, air, strict=True)])
    surfaces = [
        _front_and_back(t[:, near], a[:, near], grid)
        for t, a, near in zip(tissue, air, np.abs(x[None] - midline[:, None]) <= NEAR_MIDLINE_MM, strict=True)
    ]
    front, back, first, last = np.array(surfaces).T
    depth = np.stack([_depth(a) for a in air])
    return Body(grid, tissue, air, depth, _continued(front), _continued(back), first, last, midline)


def _midline(tissue: Mask, air: Mask, x: Values, otherwise_mm: float) -> float:
    """Half way between both sides of the body where a height shows them."""
    sides = [_end(tissue[:, ::step].T, air[:, ::step].T) for step in (1, -1)]
    if None in sides:
        return otherwise_mm
    left, right = x[sides[0]], x[::-1][sides[1]]
    return float(left + right) / 2


def _front_and_back(tissue: Mask, air: Mask, grid: Grid) -> tuple[float, float, float, float]:
    """y of front and back, NaN where they are cut off, and of the first and the last tissue."""
    y = grid.origin[1] + LATTICE_MM * np.arange(grid.size[1])
    rows = np.flatnonzero(tissue.any(axis=1))
    if not len(rows):
        return (float("nan"),) * 4
    front, back = _end(tissue, air), _end(tissue[::-1], air[::-1])
    return (
        float("nan") if front is None else float(y[front]),
        float("nan") if back is None else float(y[::-1][back]),
        float(y[rows[0]]),
        float(y[rows[-1]]),
    )


def _end(tissue: Mask, air: Mask) -> int | None:
    """First row of tissue, counted from the first axis' begin; None where too few columns have air before it."""
    with_tissue = tissue.any(axis=0)
    if not with_tissue.any():
        return None
    first = tissue.argmax(axis=0)
    seen = with_tissue & air[np.maximum(first - 1, 0), np.arange(tissue.shape[1])] & (first > 0)
    if seen.sum() < LEAST_SEEN * with_tissue.sum():
        return None
    return int(np.percentile(first[seen], 10))


def _depth(air: Mask) -> Float32:
    if not air.any():
        return np.full(air.shape, np.inf, np.float32)
    return ndimage.distance_transform_edt(~air, sampling=LATTICE_MM).astype(np.float32)


def _continued(surface: Values) -> Values:
    """Heights without a surface get that of the nearest height within `REACH_MM`."""
    known = np.flatnonzero(~np.isnan(surface))
    if not len(known):
        return surface
    heights = np.arange(len(surface))
    nearest = known[np.abs(heights[:, None] - known[None]).argmin(axis=1)]
    return np.where(np.abs(nearest - heights) * LATTICE_MM <= REACH_MM, surface[nearest], np.nan)
