"""Points and windows of grids, and separable interpolation from a coarse lattice of knots to a grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.volume import Grid

Array = npt.NDArray[np.float32]
Vector = tuple[float, float, float]
Index = tuple[int, int, int]
Positions = tuple[Array, Array, Array]
SLAB_VOXELS = 1 << 16
"""Voxels of an interpolated slab: 256 KiB in float32."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def vector(values: npt.ArrayLike) -> Vector:
    """Three floats from anything that holds three numbers. The result is (3,), x, y, z."""
    x, y, z = (float(value) for value in np.asarray(values))
    return x, y, z


def points(grid: Grid, index: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """LPS points (mm, shape (..., 3)) of continuous x-y-z indices."""
    step = grid.axes * np.asarray(grid.spacing)
    return np.asarray(grid.origin) + np.asarray(index, dtype=np.float64) @ step.T


def indices(grid: Grid, point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Continuous x-y-z indices (shape (..., 3)) of LPS points in mm."""
    offset = np.asarray(point, dtype=np.float64) - np.asarray(grid.origin)
    return np.asarray(offset @ grid.axes / np.asarray(grid.spacing))


def covering(grid: Grid, lower: npt.ArrayLike, upper: npt.ArrayLike) -> tuple[Index, Index]:
    """Index range (start, stop excluded) of the part of `grid` that covers an LPS box; empty: start = stop."""
    middle = indices(grid, (np.asarray(lower) + np.asarray(upper)) / 2)
    half = np.abs(grid.axes.T) @ (np.asarray(upper) - np.asarray(lower)) / 2 / np.asarray(grid.spacing)
    start = np.clip(np.floor(middle - half), 0, grid.size).astype(int)
    stop = np.clip(np.ceil(middle + half) + 1, start, grid.size).astype(int)
    return (int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2]))


def isotropic(lower: npt.NDArray[np.float64], upper: npt.NDArray[np.float64], spacing_mm: float) -> Grid:
    """A grid of cubes along the axes of the patient that covers an LPS box. Corners are (3,), x, y, z in mm."""
    size = np.ceil((upper - lower) / spacing_mm).astype(int) + 1
    return Grid((int(size[0]), int(size[1]), int(size[2])), (spacing_mm,) * 3, vector(lower), IDENTITY)


def window(grid: Grid, start: Index, stop: Index) -> Grid:
    """The part of `grid` between two indices (stop excluded)."""
    size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return replace(grid, origin=vector(points(grid, start)), size=size)


def moved(grid: Grid, offset: npt.ArrayLike) -> Grid:
    """`grid` with its origin moved by `offset` (mm). `offset`: (3,), x, y, z."""
    return replace(grid, origin=vector(np.asarray(grid.origin) + np.asarray(offset)))


def knots(length: int, step: float) -> Array:
    """Positions 0 ... length - 1 at distances of at most `step` (all in voxels), both ends included."""
    count = min(length, int(np.ceil((length - 1) / max(step, 1.0))) + 1)
    return np.linspace(0, length - 1, count, dtype=np.float32)


def interpolate(values: Array, known: Positions, wanted: Positions) -> Array:
    """Linear interpolation of `values` (z, y, x) from evenly spaced knots to positions, each along x, y, z."""
    x, y, z = wanted
    result = np.empty((len(z), len(y), len(x)), dtype=np.float32)
    for part, slab in interpolated_slabs(values, known, wanted):
        result[part] = slab
    return result


def interpolated_slabs(values: Array, known: Positions, wanted: Positions) -> Iterator[tuple[slice, Array]]:
    """`interpolate` in slabs of a few z positions: (range of z, values), so that whatever follows stays in the cache.

    One axis after the other, the slowest one last: no gathering and no matrix products, whose threads would fight over
    shared cores; the same bytes on any number of them.
    """
    x, y, z = (_between(a, b) for a, b in zip(known, wanted, strict=True))
    lines = values[:, :, x[0]] + (values[:, :, x[1]] - values[:, :, x[0]]) * x[2]
    planes = lines[:, y[0]]
    planes += (lines[:, y[1]] - planes) * y[2][:, None]
    low, high, share = z
    depth = max(1, SLAB_VOXELS // max(1, planes[0].size))
    for start in range(0, len(low), depth):
        part = slice(start, min(start + depth, len(low)))
        slab = planes[high[part]]
        below = planes[low[part]]
        slab -= below
        slab *= share[part, None, None]
        slab += below
        yield part, slab


def _between(known: Array, wanted: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """For each wanted position the knots (evenly spaced) below and above it, and the share of the upper one."""
    if len(known) == 1:
        nothing = np.zeros(len(wanted), dtype=np.intp)
        return nothing, nothing, np.zeros(len(wanted), dtype=np.float32)
    place = (wanted - known[0]) / ((known[-1] - known[0]) / np.float32(len(known) - 1))
    low = np.minimum(np.maximum(place, 0).astype(np.intp), len(known) - 2)
    share = np.minimum(np.maximum(place - low, 0), 1).astype(np.float32)
    return low, low + 1, share


def lattice(size: Index, spacing: Vector, step_mm: float) -> Positions:
    """Knots along x, y, z of a grid, at most `step_mm` apart (in voxels)."""
    x, y, z = (knots(length, step_mm / voxel) for length, voxel in zip(size, spacing, strict=True))
    return x, y, z


def every(start: Index, stop: Index) -> Positions:
    """Every index from start to stop (excluded) along x, y, z."""
    x, y, z = (np.arange(a, b, dtype=np.float32) for a, b in zip(start, stop, strict=True))
    return x, y, z
