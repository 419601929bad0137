"""Points and windows of grids, and separable interpolation from a coarse lattice of knots to a grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.volume import Grid

Array = npt.NDArray[np.float32]
Vector = tuple[float, float, float]
Index = tuple[int, int, int]
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def vector(values: npt.ArrayLike) -> Vector:
    """Three floats from anything that holds three numbers."""
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
    corners = np.array(np.meshgrid(*zip(np.asarray(lower), np.asarray(upper), strict=True)))
    index = indices(grid, corners.reshape(3, -1).T)
    start = np.clip(np.floor(index.min(axis=0)), 0, grid.size).astype(int)
    stop = np.clip(np.ceil(index.max(axis=0)) + 1, start, grid.size).astype(int)
    return (int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2]))


def window(grid: Grid, start: Index, stop: Index) -> Grid:
    """The part of `grid` between two indices (stop excluded)."""
    size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
    return replace(grid, origin=vector(points(grid, start)), size=size)


def moved(grid: Grid, offset: npt.ArrayLike) -> Grid:
    """`grid` with its origin moved by `offset` (mm)."""
    return replace(grid, origin=vector(np.asarray(grid.origin) + np.asarray(offset)))


def knots(length: int, step: float) -> Array:
    """Positions 0 ... length - 1 at distances of at most `step` (all in voxels), both ends included."""
    count = min(length, int(np.ceil((length - 1) / max(step, 1.0))) + 1)
    return np.linspace(0, length - 1, count, dtype=np.float32)


def linear_weights(known: Array, wanted: Array) -> Array:
    """Matrix (wanted, known) that interpolates linearly between increasing positions, constant outside."""
    if len(known) == 1:
        return np.ones((len(wanted), 1), dtype=np.float32)
    upper = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    share = np.clip((wanted - known[upper - 1]) / (known[upper] - known[upper - 1]), 0, 1)
    weights = np.zeros((len(wanted), len(known)), dtype=np.float32)
    rows = np.arange(len(wanted))
    weights[rows, upper - 1] = 1 - share
    weights[rows, upper] += share
    return weights


def separable(values: Array, along_z: Array, along_y: Array, along_x: Array) -> Array:
    """One weight matrix an axis applied to `values` (z, y, x): interpolation as three matrix products."""
    depth, height, width = values.shape
    planes = (along_z @ values.reshape(depth, -1)).reshape(-1, height, width)
    return np.asarray(np.matmul(along_y, planes) @ along_x.T)
