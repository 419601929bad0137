"""Implicit shapes: signed distances (mm, negative inside) at points of the anatomical frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.research.phantom.lattice import Array, Vector, vector


class Shape(Protocol):
    """Anything with a box around it and a (pseudo) signed distance."""

    def box(self) -> tuple[Vector, Vector]:
        """Lower and upper corner, mm."""
        ...

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points given as three arrays of one shape."""
        ...


def rotation(degrees: Vector) -> tuple[Vector, Vector, Vector]:
    """Rows of the rotation about x, then y, then z by `degrees`."""
    a, b, c = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    first, second, third = about_z @ about_y @ about_x
    return vector(first), vector(second), vector(third)


UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """Ellipsoid with half axes (mm) along the columns of `turned`."""

    centre: Vector
    half: Vector
    turned: tuple[Vector, Vector, Vector] = UPRIGHT

    def box(self) -> tuple[Vector, Vector]:
        """Tight box: the half extent along axis i is the length of (R_ij half_j)."""
        reach = np.linalg.norm(np.asarray(self.turned) * np.asarray(self.half), axis=1)
        return vector(np.asarray(self.centre) - reach), vector(np.asarray(self.centre) + reach)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """First-order distance k0 (k0 - 1) / k1 to the surface: exact on it, good near it."""
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        columns = np.asarray(self.turned, dtype=np.float32).T
        near = np.zeros_like(dx)
        slope = np.zeros_like(dx)
        for (a, b, c), half in zip(columns, self.half, strict=True):
            along = (dx if a == 1 else dy if b == 1 else dz if c == 1 else a * dx + b * dy + c * dz) / np.float32(half)
            square = along * along
            near += square
            slope += square / np.float32(half) ** 2
        near = np.sqrt(near)
        # At the centre both vanish; minus the smallest half axis is the limit.
        centre = slope < 1e-12
        result = near * (near - 1) / np.sqrt(np.where(centre, 1, slope))
        return np.where(centre, np.float32(-min(self.half)), result)


@dataclass(frozen=True, slots=True)
class Capsule:
    """Round cone from `start` (radius `first`) to `end` (radius `last`), mm."""

    start: Vector
    end: Vector
    first: float
    last: float

    def box(self) -> tuple[Vector, Vector]:
        """Box of the two end spheres."""
        ends = np.array([self.start, self.end])
        radii = np.array([[self.first], [self.last]])
        return vector((ends - radii).min(axis=0)), vector((ends + radii).max(axis=0))

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the axis minus the radius there."""
        axis = np.subtract(self.end, self.start).astype(np.float32)
        dx, dy, dz = x - self.start[0], y - self.start[1], z - self.start[2]
        along = (dx * axis[0] + dy * axis[1] + dz * axis[2]) / np.float32(max(axis @ axis, 1e-6))
        along = np.clip(along, 0, 1)
        dx, dy, dz = dx - along * axis[0], dy - along * axis[1], dz - along * axis[2]
        return np.sqrt(dx * dx + dy * dy + dz * dz) - (self.first + np.float32(self.last - self.first) * along)


@dataclass(frozen=True, slots=True)
class Tube:
    """Upright tube of elliptical cross-section: `heights` (mm, increasing) with centre and half axes at each.

    `nodes` holds one (centre x, centre y, half x, half y) a height; between heights they are interpolated linearly.
    `power` 2 is an ellipse, larger ones are fuller.
    """

    heights: tuple[float, ...]
    nodes: tuple[tuple[float, float, float, float], ...]
    power: float = 2.0

    def box(self) -> tuple[Vector, Vector]:
        """Box around all cross-sections."""
        x, y, a, b = np.asarray(self.nodes).T
        lower = (x - a).min(), (y - b).min(), self.heights[0]
        upper = (x + a).max(), (y + b).max(), self.heights[-1]
        return vector(lower), vector(upper)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """First-order distance in the cross-section, cut off at both ends."""
        columns = np.asarray(self.nodes).T
        cx, cy, a, b = (np.interp(z, self.heights, column).astype(np.float32) for column in columns)
        u, v = np.abs(x - cx) / a, np.abs(y - cy) / b
        if self.power == 2:
            near = np.sqrt(u * u + v * v)
            slope = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        else:
            near = (u**self.power + v**self.power) ** np.float32(1 / self.power)
            slope = near / np.maximum(np.hypot(x - cx, y - cy), 1e-3)
        # In the middle both vanish; there minus the smaller half axis is near enough.
        across = np.where(near < 0.05, -np.minimum(a, b), near * (near - 1) / np.maximum(slope, 1e-6))
        if self.power != 2:
            across = np.where(near < 0.05, across, (near - 1) / np.maximum(slope, 1e-6))
        ends = np.maximum(np.float32(self.heights[0]) - z, z - np.float32(self.heights[-1]))
        return np.maximum(across, ends).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Flattened:
    """A shape cut off behind `limit` (mm along y), as a body lying on a table."""

    shape: Shape
    limit: float

    def box(self) -> tuple[Vector, Vector]:
        """Box of the shape."""
        return self.shape.box()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The shape's distance or that to the cutting plane, rounded over 24 mm."""
        return -smooth_minimum(-self.shape.distance(x, y, z), np.float32(self.limit) - y, 24.0)


@dataclass(frozen=True, slots=True)
class Union:
    """Several shapes blended over `blend` mm into one."""

    parts: tuple[Shape, ...]
    blend: float = 6.0

    def box(self) -> tuple[Vector, Vector]:
        """Box around all parts."""
        boxes = np.array([part.box() for part in self.parts])
        margin = self.blend / 2
        return vector(boxes[:, 0].min(axis=0) - margin), vector(boxes[:, 1].max(axis=0) + margin)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Polynomial smooth minimum of the parts' distances."""
        result = self.parts[0].distance(x, y, z)
        for part in self.parts[1:]:
            result = smooth_minimum(result, part.distance(x, y, z), self.blend)
        return result


def smooth_minimum(first: Array, second: Array, blend: float) -> Array:
    """Minimum whose kink is rounded over `blend` mm (quadratic polynomial). Both (mm) have one shape."""
    overlap = np.maximum(np.float32(blend) - np.abs(first - second), 0)
    return np.minimum(first, second) - overlap * overlap * np.float32(0.25 / blend)


def stretches(pieces: tuple[Capsule, ...]) -> tuple[Union, ...]:
    """A chain of capsules as shapes of two neighbours each: fewer to paint, and still in small boxes."""
    return tuple(Union(pieces[index : index + 2], 0.5) for index in range(0, len(pieces), 2))


def curve(path: npt.ArrayLike, first: float, last: float) -> tuple[Capsule, ...]:
    """A tube along a path (n, 3) in mm as a chain of capsules, its radius running from `first` to `last`."""
    nodes = np.asarray(path, dtype=np.float64)
    radii = np.linspace(first, last, len(nodes))
    return tuple(
        Capsule(vector(a), vector(b), float(ra), float(rb))
        for a, b, ra, rb in zip(nodes[:-1], nodes[1:], radii[:-1], radii[1:], strict=True)
    )
