"""Anatomy painted onto a grid: per voxel the tissue on top, the one under it, and how much of the voxel it fills.

Shapes are evaluated on a lattice as coarse as their detail allows and interpolated, layer after layer, the later
ones over the earlier ones. Surfaces cross voxels smoothly: a voxel keeps two tissues and the share of the upper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.research.phantom.deformation import Deformation
from models.research.phantom.lattice import Array, Positions, Vector, covering, every, interpolate, lattice
from models.research.phantom.shapes import Shape
from models.research.phantom.tissue import Tissue
from models.volume import Grid

Labels = npt.NDArray[np.uint8]
DEFORMATION_STEP_MM = 14.0
BLOCK_VOXELS = (24, 48, 64)
"""Size (z, y, x) of the blocks that are painted at once: small enough for the cache."""


Nested = tuple[tuple[Tissue, float], ...]
"""(tissue, inset) in painting order: the tissue fills what lies at least `inset` mm inside a surface."""


class Layer(Protocol):
    """Something to paint: a box, how fine it must be evaluated, and its surfaces in painting order."""

    @property
    def detail(self) -> float:
        """Distance (mm) at which it is enough to evaluate the layer."""
        ...

    def box(self) -> tuple[Vector, Vector]:
        """Lower and upper corner in the anatomical frame, mm."""
        ...

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """Signed distances in painting order at points given as three arrays of one shape, each with its tissues."""
        ...


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape with nested tissues."""

    shape: Shape
    tissues: Nested
    detail: float = 4.0

    def box(self) -> tuple[Vector, Vector]:
        """Box of the shape."""
        return self.shape.box()

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """The shape's own surface."""
        return ((self.shape.distance(x, y, z), self.tissues),)


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


def rasterise(layers: Sequence[Layer], deformation: Deformation, grid: Grid, ground: Tissue = Tissue.AIR) -> TissueMap:
    """Paint `layers`, deformed, onto `grid` (LPS), which is `ground` before."""
    shape = grid.size[::-1]
    painted = TissueMap(
        grid, np.full(shape, ground, np.uint8), np.full(shape, ground, np.uint8), np.full(shape, 255, np.uint8)
    )
    field = _DisplacementField(deformation, grid)
    voxel = float(np.cbrt(np.prod(grid.spacing)))
    for layer in layers:
        start, stop = covering(grid, *deformation.box(layer.box(), voxel))
        if min(np.subtract(stop, start)) < 1:
            continue
        size = (stop[0] - start[0], stop[1] - start[1], stop[2] - start[2])
        x, y, z = lattice(size, grid.spacing, layer.detail)
        known = (x + start[0], y + start[1], z + start[2])
        for distance, tissues in layer.surfaces(*field.points(known)):
            _paint_nested(painted, tissues, distance, known, voxel)
    return painted


def _paint_nested(painted: TissueMap, tissues: Nested, distance: Array, known: Positions, voxel: float) -> None:
    """Paint one distance field, given at knots, block by block: blocks far outside are skipped, inside filled."""
    half = voxel / 2
    near = distance + min(inset for _, inset in tissues) < half
    if not near.any():
        return
    z, y, x = (
        _reached(np.flatnonzero(near.any(axis=axes)), positions)
        for axes, positions in zip(((1, 2), (0, 2), (0, 1)), known[::-1], strict=True)
    )
    innermost, depth = tissues[-1]
    for part in product(*(_pieces(whole, size) for whole, size in zip((z, y, x), BLOCK_VOXELS, strict=True))):
        around = tuple(_around(piece, positions) for piece, positions in zip(part, known[::-1], strict=True))
        block = distance[around]
        if block.min() + min(inset for _, inset in tissues) >= half:
            continue
        top, under, share = (array[part] for array in (painted.top, painted.under, painted.share))
        if block.max() + depth <= -half:
            top[...], share[...] = innermost, 255
            continue
        wanted = every(*zip(*((piece.start, piece.stop) for piece in part[::-1]), strict=True))
        x_known, y_known, z_known = (k[a] for k, a in zip(known, around[::-1], strict=True))
        fine = interpolate(block, (x_known, y_known, z_known), wanted)
        done = 0.0
        for tissue, inset in tissues:
            fine += np.float32(inset - done)
            done = inset
            _paint(top, under, share, fine, tissue, voxel)


def _reached(near: npt.NDArray[np.intp], positions: Array) -> slice:
    """Index range between the knots around those at `near`: no voxel outside it can be painted."""
    first, last = max(near[0] - 1, 0), min(near[-1] + 1, len(positions) - 1)
    return slice(int(np.ceil(positions[first])), int(np.floor(positions[last])) + 1)


def _pieces(whole: slice, size: int) -> list[slice]:
    """A range cut into pieces of about `size`."""
    count = max(1, round((whole.stop - whole.start) / size))
    edges = np.linspace(whole.start, whole.stop, count + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def _around(piece: slice, positions: Array) -> slice:
    """The knots that the voxels of a piece lie between."""
    first = int(np.searchsorted(positions, piece.start, side="right")) - 1
    last = int(np.searchsorted(positions, piece.stop - 1, side="left"))
    return slice(max(first, 0), min(last, len(positions) - 1) + 1)


def _paint(top: Labels, under: Labels, share: Labels, distance: Array, tissue: Tissue, voxel: float) -> None:
    """Fill where `distance` is negative; within half a voxel of the surface in part."""
    half = np.float32(voxel / 2)
    touched = distance < half
    inside = distance <= -half
    np.copyto(top, np.uint8(tissue), where=inside)
    np.copyto(share, np.uint8(255), where=inside)
    np.logical_xor(touched, inside, out=touched)
    flat = np.flatnonzero(touched)
    if not len(flat):
        return
    edge = np.unravel_index(flat, distance.shape)
    upper, before = top[edge], share[edge]
    under[edge] = np.where(before >= 128, upper, under[edge])
    top[edge] = tissue
    share[edge] = np.rint(255 * (0.5 - distance.reshape(-1)[flat] / (2 * half))).astype(np.uint8)


class _DisplacementField:
    """Anatomical coordinates of lattice points of a grid: the smooth displacement, sampled coarsely once."""

    def __init__(self, deformation: Deformation, grid: Grid) -> None:
        self._grid = grid
        self._deformation = deformation
        self._knots = lattice(grid.size, grid.spacing, DEFORMATION_STEP_MM)
        self._coarse = deformation.displacement(*self._plain(self._knots))

    def _plain(self, positions: Positions) -> tuple[Array, Array, Array]:
        x, y, z = (np.asarray(axis, dtype=np.float32) for axis in positions)
        scale = np.asarray(self._deformation.scale)
        step = (self._grid.axes * np.asarray(self._grid.spacing) / scale[:, None]).astype(np.float32)
        origin = ((np.asarray(self._grid.origin) - self._deformation.offset) / scale).astype(np.float32)
        first, second, third = (
            origin[row]
            + step[row, 0] * x[None, None, :]
            + step[row, 1] * y[None, :, None]
            + step[row, 2] * z[:, None, None]
            for row in range(3)
        )
        return first, second, third

    def points(self, positions: Positions) -> tuple[Array, Array, Array]:
        """Deformed anatomical x, y, z (each z-y-x) at the lattice of index `positions` along x, y, z."""
        x, y, z = (
            plain + interpolate(moved, self._knots, positions)
            for plain, moved in zip(self._plain(positions), self._coarse, strict=True)
        )
        return x, y, z
