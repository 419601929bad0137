"""The rectum outlined by hand on the real T2WI: lumen and outer wall, read twice.

`rectum_outlines.csv` holds a contour a line: points on one slice, written as Contour Data (3006,0050), that is
x, y, z in LPS, mm, parted by backslashes; the slice by its number from the first of the stack and, where the series is
DICOM, by its SOP Instance UID (0008,0018). A contour is the closed smooth curve through its points. The outer wall is
the outer border of the muscularis propria; the lumen holds gas, stool or the balloon of an endorectal coil, and has no
contour where the walls touch. The first slice is the lowest above the puborectal sling; with a coil every second or
third slice is outlined. How it was read, and how well both readings agree: docs/models/rectum-outlines.md.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.path import Path as Polygon
from scipy import ndimage
from scipy.interpolate import CubicSpline

from models.errors import VolumeError
from models.volume import Grid

READINGS = (1, 2)
#: A contour lies on a slice when its points are no further from its middle than this share of the slice distance.
_ON_SLICE = 0.25

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Structure(StrEnum):
    """What a contour encloses."""

    LUMEN = "lumen"
    OUTER_WALL = "outer wall"


@dataclass(frozen=True, slots=True)
class Contour:
    """One closed curve; points (n, 3) in LPS, mm, all on one slice; `image_uid` is empty where no DICOM was read."""

    patient: str
    reading: int
    structure: Structure
    slice: int
    image_uid: str
    points: Points

    def curve(self, count: int = 128) -> Points:
        """`count` points (count, 3) along the smooth curve: a periodic cubic spline over the square root of chords.

        Centripetal parametrisation makes no loops between points that lie close together (Lee, Comput Aided Des
        1989;21:363-370).
        """
        closed = np.vstack([self.points, self.points[:1]])
        steps = np.sqrt(np.linalg.norm(np.diff(closed, axis=0), axis=1))
        knots = np.concatenate([[0.0], np.cumsum(steps)])
        spline = CubicSpline(knots, closed, bc_type="periodic")
        return np.asarray(spline(np.linspace(0, knots[-1], count, endpoint=False)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Rectum:
    """A reading on the grid of an image (z, y, x); `slices`: those with an outlined outer wall, in order."""

    outer: Mask
    lumen: Mask
    slices: tuple[int, ...]

    @property
    def wall(self) -> Mask:
        """What lies between both contours; all of the bowel where its walls touch."""
        return self.outer & ~self.lumen


def contours(patient: str, reading: int) -> tuple[Contour, ...]:
    """The contours of a patient in one reading, slice by slice."""
    return tuple(it for it in _all() if (it.patient, it.reading) == (patient, reading))


def rectum_on(grid: Grid, drawn: Iterable[Contour], between: bool = False) -> Rectum:
    """A reading as masks on the grid that was outlined; with `between` slices that were left out are filled in.

    There the surface lies between those of the neighbouring outlined slices, by their distances.
    Raises VolumeError when a contour lies on no slice of the grid.
    """
    planes: dict[Structure, dict[int, Mask]] = {structure: {} for structure in Structure}
    for contour in drawn:
        number, inside = _on_slice(contour, grid)
        planes[contour.structure][number] = inside
    outer = planes[Structure.OUTER_WALL]
    empty = np.zeros(grid.size[1::-1], np.bool_)
    lumen = {number: planes[Structure.LUMEN].get(number, empty) & inside for number, inside in outer.items()}
    if between:
        outer, lumen = _filled(outer, grid), _filled(lumen, grid)
    return Rectum(_stacked(outer, grid), _stacked(lumen, grid), tuple(sorted(planes[Structure.OUTER_WALL])))


def indices_on(points: Points, grid: Grid) -> Points:
    """Points (n, 3; LPS, mm) as indices (x, y, z) of the grid, fractions kept."""
    return np.asarray((points - np.asarray(grid.origin)) @ grid.axes / np.asarray(grid.spacing), dtype=np.float64)


def _on_slice(contour: Contour, grid: Grid) -> tuple[int, Mask]:
    """The slice of a contour, and the pixels (y, x) whose centre it encloses."""
    index = indices_on(contour.curve(), grid)
    number = round(float(index[:, 2].mean()))
    if not 0 <= number < grid.size[2] or np.abs(index[:, 2] - number).max() > _ON_SLICE:
        raise VolumeError(
            f"the contour of {contour.structure} on slice {contour.slice} of {contour.patient} lies on no slice of "
            f"this volume of {grid.size} voxels (x, y, z): outlines belong to the series in series.csv"
        )
    rows, columns = np.mgrid[: grid.size[1], : grid.size[0]]
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    inside = Polygon(index[:, :2]).contains_points(centres).reshape(rows.shape)
    return number, inside


def _filled(planes: dict[int, Mask], grid: Grid) -> dict[int, Mask]:
    """Planes and, between each two that follow each other, those whose signed distance lies between both."""
    made = dict(planes)
    numbers = sorted(planes)
    depths = {number: _depth(planes[number], grid) for number in numbers}
    for low, high in pairwise(numbers):
        for number in range(low + 1, high):
            share = (number - low) / (high - low)
            made[number] = (1 - share) * depths[low] + share * depths[high] > 0
    return made


def _depth(inside: Mask, grid: Grid) -> npt.NDArray[np.float64]:
    """Distance (mm) from the border, negative outside; where nothing is inside, as far outside as a pixel."""
    if not inside.any():
        return np.full(inside.shape, -float(max(grid.spacing[:2])))
    spacing = grid.spacing[1::-1]
    within, without = (ndimage.distance_transform_edt(side, spacing) for side in (inside, ~inside))
    return np.asarray(within - without, dtype=np.float64)


def _stacked(planes: dict[int, Mask], grid: Grid) -> Mask:
    stack = np.zeros(grid.size[::-1], np.bool_)
    for number, inside in planes.items():
        stack[number] = inside
    return stack


@lru_cache(maxsize=1)
def _all() -> tuple[Contour, ...]:
    with resources.files(__package__).joinpath("rectum_outlines.csv").open(encoding="utf-8") as stream:
        return tuple(_contour(row) for row in csv.DictReader(stream))


def _contour(row: dict[str, str]) -> Contour:
    values = np.array([float(value) for value in row["contour_data"].split("\\")])
    return Contour(
        row["patient"],
        int(row["reading"]),
        Structure(row["structure"]),
        int(row["slice"]),
        row["sop_instance_uid"],
        values.reshape(-1, 3),
    )
