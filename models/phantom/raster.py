"""Anatomy painted onto a grid: per voxel the tissue on top, the one under it, and how much of the voxel it fills.

Shapes are evaluated on a lattice as coarse as their detail allows and interpolated, layer after layer, the later
ones over the earlier ones. Surfaces cross voxels smoothly: a voxel keeps two tissues and the share of the upper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.phantom.deformation import Deformation
from models.phantom.lattice import Array, Vector, covering, knots, linear_weights, separable
from models.phantom.shapes import Shape
from models.phantom.tissue import Tissue
from models.volume import Grid

Labels = npt.NDArray[np.uint8]
DEFORMATION_STEP_MM = 14.0


class Layer(Protocol):
    """Something to paint: a box, how fine it must be evaluated, and distances per tissue in painting order."""

    @property
    def detail(self) -> float:
        """Distance (mm) at which it is enough to evaluate the layer."""
        ...

    def box(self) -> tuple[Vector, Vector]:
        """Lower and upper corner in the anatomical frame, mm."""
        ...

    def bands(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Tissue, Array]]:
        """(tissue, signed distance) in painting order at points given as three arrays of one shape."""
        ...


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape with nested tissues: each (tissue, inset) fills the shape shrunk by `inset` mm."""

    shape: Shape
    tissues: tuple[tuple[Tissue, float], ...]
    detail: float = 4.0

    def box(self) -> tuple[Vector, Vector]:
        """Box of the shape."""
        return self.shape.box()

    def bands(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Tissue, Array]]:
        """The shape's distance, once an inset."""
        distance = self.shape.distance(x, y, z)
        for tissue, inset in self.tissues:
            yield tissue, distance + np.float32(inset)


@dataclass(frozen=True, slots=True)
class TissueMap:
    """Painted grid: arrays (z, y, x); `share` is the part (0-255) of a voxel that `top` fills, `under` the rest."""

    grid: Grid
    top: Labels
    under: Labels
    share: Labels

    def coverage(self, tissue: Tissue) -> Array:
        """Fraction of each voxel that is `tissue`."""
        share = self.share.astype(np.float32) / 255
        return np.where(self.top == tissue, share, 0) + np.where(self.under == tissue, 1 - share, 0)


def rasterise(layers: Sequence[Layer], deformation: Deformation, offset: Vector, grid: Grid) -> TissueMap:
    """Paint `layers`, deformed and moved by `offset` (mm) from the anatomical frame, onto `grid` (LPS)."""
    top = np.zeros(grid.size[::-1], dtype=np.uint8)
    under = np.zeros_like(top)
    share = np.full_like(top, 255)
    field = _DisplacementField(deformation, offset, grid)
    voxel = float(np.cbrt(np.prod(grid.spacing)))
    for layer in layers:
        reach = deformation.reach + voxel
        lower, upper = (np.asarray(corner) + offset for corner in layer.box())
        start, stop = covering(grid, lower - reach, upper + reach)
        if min(np.subtract(stop, start)) < 1:
            continue
        part = tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))
        positions = [
            a + knots(b - a, layer.detail / step) for a, b, step in zip(start, stop, grid.spacing, strict=True)
        ]
        weights = [
            linear_weights(known, np.arange(a, b, dtype=np.float32))
            for known, a, b in zip(positions, start, stop, strict=True)
        ]
        for tissue, distance in layer.bands(*field.points(positions)):
            fine = separable(np.ascontiguousarray(distance, dtype=np.float32), *weights[::-1])
            _paint(top[part], under[part], share[part], fine, tissue, voxel)
    return TissueMap(grid, top, under, share)


def _paint(top: Labels, under: Labels, share: Labels, distance: Array, tissue: Tissue, voxel: float) -> None:
    """Fill where `distance` is negative; within half a voxel of the surface in part."""
    half = np.float32(voxel / 2)
    inside = distance <= -half
    np.copyto(top, np.uint8(tissue), where=inside)
    np.copyto(share, np.uint8(255), where=inside)
    edge = np.nonzero(np.abs(distance) < half)
    if not len(edge[0]):
        return
    old = np.where(share[edge] >= 128, top[edge], under[edge])
    under[edge] = old
    top[edge] = tissue
    share[edge] = np.rint(255 * (0.5 - distance[edge] / (2 * half))).astype(np.uint8)


class _DisplacementField:
    """Anatomical coordinates of lattice points of a grid: the smooth displacement, sampled coarsely once."""

    def __init__(self, deformation: Deformation, offset: Vector, grid: Grid) -> None:
        self._grid = grid
        self._offset = np.asarray(offset)
        self._knots = [
            knots(size, DEFORMATION_STEP_MM / step) for size, step in zip(grid.size, grid.spacing, strict=True)
        ]
        self._coarse = deformation.displacement(*self._plain(self._knots))

    def _plain(self, positions: Sequence[Array]) -> tuple[Array, Array, Array]:
        x, y, z = (np.asarray(axis, dtype=np.float32) for axis in positions)
        step = (self._grid.axes * np.asarray(self._grid.spacing)).astype(np.float32)
        origin = (np.asarray(self._grid.origin) - self._offset).astype(np.float32)
        first, second, third = (
            origin[row]
            + step[row, 0] * x[None, None, :]
            + step[row, 1] * y[None, :, None]
            + step[row, 2] * z[:, None, None]
            for row in range(3)
        )
        return first, second, third

    def points(self, positions: Sequence[Array]) -> tuple[Array, Array, Array]:
        """Deformed anatomical x, y, z (each z-y-x) at the lattice of index `positions` along x, y, z."""
        weights = [linear_weights(known, wanted) for known, wanted in zip(self._knots, positions, strict=True)]
        x, y, z = (
            plain + separable(moved, *weights[::-1])
            for plain, moved in zip(self._plain(positions), self._coarse, strict=True)
        )
        return x, y, z
