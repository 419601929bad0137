"""The outlined rectum as distances from its surfaces, on a lattice of 1 mm along the axes of its stack.

Distances are measured within the slices and are linear between them. Where the walls touch, the lumen is taken for a
narrow cleft in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Polygon
from scipy.interpolate import interp1d
from scipy.spatial import cKDTree

from models.research.evaluation.pelvis.outlines import Contour, Points, Structure, indices_on
from models.volume import Float32, Grid

LATTICE_MM = 1.0
REACH_MM = 32.0
"""So far beyond the outer wall the lattice goes in plane."""
CLEFT = 0.85
"""Share of the way from the outer wall to the middle at which a lumen begins whose walls touch."""


@dataclass(frozen=True, slots=True)
class Bowel:
    """Distances (z, y, x) in mm on `grid`: negative within the outer wall, and within the lumen.

    centre: (z, 2) middle of the bowel at each height, mm along x and y of the lattice; radius: (z,) of a circle of the
    same area.
    """

    grid: Grid
    outer: Float32
    lumen: Float32
    centre: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]

    @property
    def height_mm(self) -> float:
        """From the first to the last outlined slice."""
        return float((self.grid.size[2] - 1) * LATTICE_MM)


def bowel_of(drawn: tuple[Contour, ...], grid: Grid) -> Bowel:
    """The bowel of one reading; `grid`: of the series that was outlined."""
    curves = {(it.structure, it.slice): _along_axes(it, grid) for it in drawn}
    outers = {number: curve for (structure, number), curve in curves.items() if structure is Structure.OUTER_WALL}
    slices = sorted(outers)
    low, high = (
        function([function(curve[:, :2], axis=0) for curve in outers.values()], axis=0) for function in (np.min, np.max)
    )
    x, y = (np.arange(a - REACH_MM, b + REACH_MM, LATTICE_MM) for a, b in zip(low, high, strict=True))
    heights = np.array([outers[number][:, 2].mean() for number in slices])
    outer = np.stack([_signed(outers[number], x, y) for number in slices])
    lumen = np.stack(
        [
            _signed(curves[Structure.LUMEN, number], x, y) if (Structure.LUMEN, number) in curves else _cleft(depth)
            for number, depth in zip(slices, outer, strict=True)
        ]
    )
    z = np.arange(heights[0], heights[-1] + 1e-6, LATTICE_MM)
    outer, lumen = (interp1d(heights, it, axis=0)(z).astype(np.float32) for it in (outer, lumen))
    origin = np.asarray(grid.origin) + grid.axes @ np.array([x[0], y[0], z[0]])
    lattice = Grid((len(x), len(y), len(z)), (LATTICE_MM,) * 3, tuple(origin.tolist()), grid.direction)
    inside = outer < 0
    centre = np.array([_middle(it) for it in inside])
    return Bowel(lattice, outer, lumen, centre, np.sqrt(inside.sum(axis=(1, 2)) / np.pi) * LATTICE_MM)


def _along_axes(contour: Contour, grid: Grid) -> Points:
    """The curve in mm along columns, rows and slices from the first voxel of the grid."""
    return indices_on(contour.curve(), grid) * np.asarray(grid.spacing)


def _signed(curve: Points, x: Points, y: Points) -> npt.NDArray[np.float64]:
    """Distance (y, x) of lattice points from a closed curve, negative within."""
    points = np.column_stack([axis.ravel() for axis in np.meshgrid(x, y)])
    away, _ = cKDTree(curve[:, :2]).query(points)
    inside = Polygon(curve[:, :2]).contains_points(points)
    return np.where(inside, -away, away).reshape(len(y), len(x))


def _cleft(outer: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return outer - CLEFT * float(outer.min())


def _middle(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Centre of area, mm along x and y."""
    return np.asarray(np.argwhere(inside).mean(axis=0)[::-1] * LATTICE_MM, dtype=np.float64)
