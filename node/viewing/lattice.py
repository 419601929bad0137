"""The grid of a volume in the patient, and the three planes that it is looked at in; LPS, mm.

Planes are those of the grid itself, oblique ones too, so that each pixel of a slice is one voxel as it is stored. What
lies in a plane is drawn in patient coordinates along its axes: x = point · right, y = point · down, and the position
of a slice = point · through.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

Vector = tuple[float, float, float]

#: How far the axes of two grids may turn against each other to be drawn over one another.
_SAME_DIRECTION = 2e-3
#: How far the voxels of one grid may lie beside those of the same grid, in voxels.
_SAME_PLACE = 0.1
_HALF = 0.5


class Orientation(StrEnum):
    """A plane by the axis of the patient that it is nearest to be across."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"


#: Which axes of the patient (0: left, 1: posterior, 2: head) lie across and down a picture, and which sign they have
#: there: the left of the patient is on the right, the front on the left or above, the head above.
_ACROSS = {Orientation.SAGITTAL: 1, Orientation.CORONAL: 0, Orientation.AXIAL: 0}
_SIGN_IN_PICTURE = (1, 1, -1)
_ORIENTATIONS = tuple(Orientation)


@dataclass(frozen=True, slots=True)
class Lattice:
    """A regular grid of voxels.

    Attributes:
        origin: centre of the first voxel.
        axes: unit vectors along a row, along a column, and from slice to slice, which is row × column.
        spacing: of the voxel centres along each of them, mm.
        size: voxels along each of them: columns, rows, slices.
        frame_of_reference_uid: empty where the images state none.
    """

    origin: Vector
    axes: tuple[Vector, Vector, Vector]
    spacing: Vector
    size: tuple[int, int, int]
    frame_of_reference_uid: str

    def is_parallel(self, other: Lattice) -> bool:
        """Whether both have the same axes in the same frame of reference, wherever they lie and whatever their size.

        Where none is stated nothing tells that both are of one.
        """
        apart = np.abs(np.subtract(self.axes, other.axes)).max()
        same_frame = self.frame_of_reference_uid == other.frame_of_reference_uid != ""
        return same_frame and bool(apart <= _SAME_DIRECTION)

    def is_same_grid(self, other: Lattice) -> bool:
        """Whether the voxels of both lie on one another, the first and the last, to a tenth of a voxel."""
        if not self.is_parallel(other) or self.size != other.size:
            return False
        extent = np.subtract(self.size, 1)
        over_all = np.abs(np.subtract(self.spacing, other.spacing)) * extent
        apart = np.abs(np.asarray(self.axes) @ np.subtract(self.origin, other.origin))
        return bool((apart + over_all <= _SAME_PLACE * np.asarray(self.spacing)).all())

    def place_in(self, whole: Lattice) -> tuple[int, int, int] | None:
        """At which voxel of a grid this one begins that is a part of it (columns, rows, slices); None: it is none.

        Objects may leave out slices in which nothing is marked; one that has a single slice has no distance of its own.
        """
        if not self.is_parallel(whole):
            return None
        spacing, size = np.asarray(whole.spacing), np.asarray(self.size)
        from_first = np.asarray(whole.axes) @ np.subtract(self.origin, whole.origin) / spacing
        begins = np.rint(from_first)
        over_all = np.abs(np.subtract(self.spacing, whole.spacing)) / spacing * (size - 1)
        beside = np.abs(from_first - begins) + over_all > _SAME_PLACE
        if beside.any() or (begins < 0).any() or (begins + size > whole.size).any():
            return None
        columns, rows, slices = begins.astype(int).tolist()
        return columns, rows, slices


@dataclass(frozen=True, slots=True)
class PlaneShown:
    """How slices across one axis of a lattice are drawn.

    Attributes:
        acquired: whether these are the slices as they were stored, which keep their own way up.
        right, down, through: unit vectors of the picture and across it.
        columns, rows, slices: size in voxels.
        left, top: the outer edges of the first pixel, in patient coordinates of the picture, mm.
        width, height: of the picture, mm.
        first, step: position of the first slice and distance of slices, mm; positions rise.
        sides: of the patient that are at the left, the right, the top and the bottom of the picture.
    """

    orientation: Orientation
    acquired: bool
    right: Vector
    down: Vector
    through: Vector
    columns: int
    rows: int
    slices: int
    left: float
    top: float
    width: float
    height: float
    first: float
    step: float
    sides: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Plane(PlaneShown):
    """A plane, and which axes of the lattice lie in it and across it, by which slices are cut from volumes."""

    _axes: tuple[int, int, int]
    _flips: tuple[bool, bool, bool]

    def position(self, index: int) -> float:
        """Where a slice lies along `through`, mm."""
        return self.first + index * self.step

    def cut(self, volume: np.ndarray, index: int) -> np.ndarray:
        """A slice (rows, columns) of a volume (slices, rows, columns of the lattice), as the picture shows it."""
        across, down, through = self._axes
        flip_across, flip_down, flip_through = self._flips
        number = self.slices - 1 - index if flip_through else index
        found = np.take(volume, number, axis=2 - through)
        if across > down:  # of the two axes left, that with the greater number comes first in the array
            found = found.T
        return found[:: -1 if flip_down else 1, :: -1 if flip_across else 1]


def planes(lattice: Lattice) -> tuple[Plane, Plane, Plane]:
    """The three planes of a lattice, that of the stored slices first."""
    names = _orientations(lattice)
    return tuple(_plane(lattice, through, names) for through in (2, 1, 0))  # type: ignore[return-value]


def letters(direction: np.ndarray) -> str:
    """Sides of the patient that a direction (3,) points to, the strongest first; weak ones are left out."""
    order = np.argsort(-np.abs(direction))
    return "".join("RLAPFH"[2 * axis + int(direction[axis] > 0)] for axis in order[:2] if abs(direction[axis]) > 0.35)


def _orientations(lattice: Lattice) -> tuple[Orientation, ...]:
    """The name of the plane across each axis: each name once, such that axes and names fit best together."""
    strength = np.abs(np.asarray(lattice.axes))
    best = max(
        itertools.permutations(range(3)), key=lambda order: sum(strength[axis, order[axis]] for axis in range(3))
    )
    return tuple(_ORIENTATIONS[name] for name in best)


def _plane(lattice: Lattice, through: int, names: tuple[Orientation, ...]) -> Plane:
    acquired, name = through == 2, names[through]
    across, down = (0, 1) if acquired else _in_picture(name, through, names)
    flips = (
        not acquired and _is_backward(lattice, across, names),
        not acquired and _is_backward(lattice, down, names),
        lattice.axes[through][_ORIENTATIONS.index(name)] < 0,
    )
    directions = tuple(_directions(lattice, (across, down, through), flips))
    starts = [
        _start(lattice, axis, flip, direction)
        for axis, flip, direction in zip((across, down, through), flips, directions, strict=True)
    ]
    spacing, size = lattice.spacing, lattice.size
    return Plane(
        orientation=name,
        acquired=acquired,
        right=directions[0],
        down=directions[1],
        through=directions[2],
        columns=size[across],
        rows=size[down],
        slices=size[through],
        left=starts[0] - _HALF * spacing[across],
        top=starts[1] - _HALF * spacing[down],
        width=size[across] * spacing[across],
        height=size[down] * spacing[down],
        first=starts[2],
        step=spacing[through],
        sides=_sides(np.asarray(directions[0]), np.asarray(directions[1])),
        _axes=(across, down, through),
        _flips=flips,
    )


def _sides(right: np.ndarray, down: np.ndarray) -> tuple[str, str, str, str]:
    return letters(-right), letters(right), letters(-down), letters(down)


def _in_picture(name: Orientation, through: int, names: tuple[Orientation, ...]) -> tuple[int, int]:
    """Which of the two axes left lie across and down the picture."""
    wanted = _ORIENTATIONS[_ACROSS[name]]
    one, other = (axis for axis in range(3) if axis != through)
    return (one, other) if names[one] is wanted else (other, one)


def _is_backward(lattice: Lattice, axis: int, names: tuple[Orientation, ...]) -> bool:
    """Whether an axis points to the side of the patient that is at the left, or at the top, of a picture."""
    of_patient = _ORIENTATIONS.index(names[axis])
    return lattice.axes[axis][of_patient] * _SIGN_IN_PICTURE[of_patient] < 0


def _directions(lattice: Lattice, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Iterator[Vector]:
    for axis, flip in zip(axes, flips, strict=True):
        x, y, z = lattice.axes[axis]
        yield (-x, -y, -z) if flip else (x, y, z)


def _start(lattice: Lattice, axis: int, flip: bool, direction: Vector) -> float:
    """Where the voxel centres along an axis begin in the picture, mm along `direction`."""
    first = float(np.dot(lattice.origin, direction))
    return first - (lattice.size[axis] - 1) * lattice.spacing[axis] if flip else first
