"""Body outline and muscles in the anatomical frame: x left, y back, z up (mm)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from models.research.phantom.lattice import Array, Vector, vector
from models.research.phantom.raster import Layer, Nested, Solid
from models.research.phantom.sex import Sex
from models.research.phantom.shapes import Capsule, Ellipsoid, Flattened, Shape, Tube, Union, curve, rotation
from models.research.phantom.tissue import Tissue


@dataclass(frozen=True, slots=True)
class Build:
    """A patient's build: half width and front of the trunk, subcutaneous fat, muscle bulk (1 = average)."""

    half_width: float
    front: float
    fat: float
    bulk: float


def draw_build(rng: np.random.Generator, sex: Sex) -> Build:
    """Slim to stout; women have thicker subcutaneous fat about the pelvis (ranges: assumptions)."""
    fat = float(rng.uniform(14, 40) if sex is Sex.FEMALE else rng.uniform(8, 35))
    return Build(
        half_width=float(rng.uniform(150, 158) + fat),
        front=float(-88 - fat * rng.uniform(0.6, 0.9)),
        fat=fat,
        bulk=float(rng.uniform(0.8, 1.0) if sex is Sex.FEMALE else rng.uniform(0.86, 1.1)),
    )


@dataclass(frozen=True, slots=True)
class Outline:
    """Skin around fat, and muscle from `fat` mm below the skin."""

    shape: Shape
    fat: float
    detail: float = 5.0

    def box(self) -> tuple[Vector, Vector]:
        """Box of the body."""
        return self.shape.box()

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """Skin and fat; then the compartment of the muscles, which is deeper at the buttocks."""
        distance = self.shape.distance(x, y, z)
        yield distance, ((Tissue.SKIN, 0), (Tissue.FAT, 2))
        behind = np.clip((y - np.float32(20)) / np.float32(60), 0, 1)
        yield distance + np.float32(self.fat) * (1 + np.float32(0.35) * behind), ((Tissue.MUSCLE, 0),)


@dataclass(frozen=True, slots=True)
class Outside:
    """Air around a shape: takes away whatever sticks out of the body."""

    shape: Shape
    detail: float = 5.0

    def box(self) -> tuple[Vector, Vector]:
        """Box of the shape and 20 mm around it."""
        lower, upper = self.shape.box()
        return vector(np.asarray(lower) - 20), vector(np.asarray(upper) + 20)

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """Air outside."""
        return ((-self.shape.distance(x, y, z), ((Tissue.AIR, 0),)),)


def body(build: Build) -> Shape:
    """Trunk, buttocks and thighs; flat where the body lies on the table."""
    width, back = build.half_width, 88 + 0.5 * build.fat
    centre, half = (back + build.front) / 2, (back - build.front) / 2
    trunk = Tube(
        (-96, -70, -30, 30, 100, 240),
        (
            (0, -14, width * 0.30, half * 0.40),
            (0, -14, width * 0.74, half * 0.84),
            (0, centre - 4, width * 0.96, half * 0.96),
            (0, centre, width, half),
            (0, centre + 7, width * 0.95, half + 7),
            (0, centre - 2, width * 0.88, half),
        ),
        2.5,
    )
    parts: list[Shape] = [trunk]
    for side in (-1, 1):
        buttock = (width * 0.52, 64 + build.fat, 90.0)
        parts.append(Ellipsoid((side * width * 0.44, 42 + 0.3 * build.fat, -12), buttock))
        parts.append(Capsule((side * width * 0.52, -4, -60), (side * width * 0.48, 0, -300), width * 0.5, width * 0.42))
    return Flattened(Union(tuple(parts), 18), 102 + 0.9 * build.fat)


def cavities(build: Build) -> list[Layer]:
    """Fat where no muscle is: abdominal and pelvic cavity, ischioanal fossae, groins."""
    wall = build.front + build.fat + 16
    rows = (
        (-96, 26, 20, 26.0),
        (-78, 26, 34, 40.0),
        (-40, 24, 46, 38.0),
        (-10, 62, 54, wall + 8),
        (30, 74, 58, wall),
        (60, 72, 66, wall),
        (100, 60, build.half_width - build.fat - 32, wall),
        (240, 60, build.half_width - build.fat - 30, wall),
    )
    nodes = tuple(
        (0.0, (back + front) / 2 if front < 0 else back, float(half), (back - front) / 2 if front < 0 else front)
        for _, back, half, front in rows
    )
    layers: list[Layer] = [Solid(Tube(tuple(float(row[0]) for row in rows), nodes, 2.6), ((Tissue.FAT, 0),), 4)]
    cleft = Tube((-92, -60, -20, 24), ((0, 70, 14, 60), (0, 66, 34, 56), (0, 78, 26, 44), (0, 96, 8, 20)))
    layers.append(Solid(cleft, ((Tissue.FAT, 0),), 4))
    behind_pubis = Tube((-92, -60, -30, 0), ((0, 0, 20, 34), (0, -20, 24, 30), (0, -26, 30, 30), (0, -30, 44, 34)), 2.6)
    layers.append(Solid(behind_pubis, ((Tissue.FAT, 0),), 4))
    for side in (-1, 1):
        groin = Union(
            curve([(side * 50, wall, 60), (side * 64, -72, 10), (side * 72, -74, -60), (side * 74, -64, -140)], 14, 13),
            5,
        )
        layers.append(Solid(groin, ((Tissue.FAT, 0),), 4))
    return layers


def outer_muscles(build: Build, rng: np.random.Generator) -> list[Layer]:
    """Muscles outside the true pelvis, both sides."""
    layers: list[Layer] = []
    for side in (-1, 1):
        bulk = build.bulk * float(rng.uniform(0.96, 1.04))
        layers += [_muscle(shape) for shape in _hip(side, bulk)]
        layers += [_muscle(shape) for shape in _thigh(side, bulk)]
        layers += [_muscle(shape) for shape in _abdominal_wall(side, build, bulk)]
    return layers


def inner_muscles(build: Build) -> list[Layer]:
    """Obturator internus, piriformis; then the levator funnel, which holds fat again."""
    layers: list[Layer] = []
    for side in (-1, 1):
        layers.append(_muscle(_belly(side, (55, 4, -16), (8, 40, 40), (0, 0, -6 * side), build.bulk)))
        bend = curve([(side * 57, 34, -14), (side * 74, 54, -16), (side * 98, 44, -18), (side * 130, 16, -18)], 8, 5)
        layers.append(_muscle(Union(bend, 4)))
        pear = curve([(side * 30, 78, 56), (side * 56, 70, 46), (side * 86, 54, 28), (side * 126, 16, 2)], 13, 6)
        layers.append(_muscle(Union(pear, 6)))
    rows = ((14, 15, 17), (13, 20, 25), (12, 30, 35), (14, 41, 46), (18, 49, 54))
    heights = (-50.0, -40.0, -28.0, -14.0, 2.0)
    sheet = Tube(heights, tuple((0.0, float(y), float(a), float(b)) for y, a, b in rows))
    # The fat above the sheet reaches higher than the sheet, which so has no lid.
    above = Tube((-46.0, *heights[1:4], 8.0), tuple((0.0, float(y), a - 3.6, b - 3.6) for y, a, b in rows))
    layers += [Solid(sheet, ((Tissue.MUSCLE, 0),), 3), Solid(above, ((Tissue.FAT, 0),), 3)]
    return layers


def _muscle(shape: Shape) -> Solid:
    """A muscle in its sheath of fat."""
    return Solid(shape, ((Tissue.FAT, -0.55), (Tissue.MUSCLE, 0)), 4)


def _belly(side: int, centre: Vector, half: Vector, turn: Vector, bulk: float) -> Ellipsoid:
    mirrored = (side * centre[0], centre[1], centre[2])
    grown = (half[0] * bulk, half[1] * bulk, half[2])
    return Ellipsoid(mirrored, grown, rotation(turn))


def _hip(side: int, bulk: float) -> tuple[Shape, ...]:
    return (
        Union(
            (
                _belly(side, (82, 72, -4), (70, 25, 84), (0, 0, -24 * side), bulk),
                _belly(side, (60, 84, -26), (44, 18, 58), (0, 0, -10 * side), bulk),
            ),
            8,
        ),
        _belly(side, (116, 4, 68), (18, 44, 56), (0, 12 * side, 12 * side), bulk),
        _belly(side, (122, -12, 26), (15, 30, 44), (0, 0, 0), bulk),
        Union(
            curve([(side * 46, -2, 130), (side * 66, -26, 70), (side * 80, -46, 25), (side * 92, -42, -12)], 24, 15), 5
        ),
        _belly(side, (90, -14, 92), (14, 34, 40), (0, 14 * side, 34 * side), bulk),
        _belly(side, (34, 92, 110), (26, 16, 70), (0, 0, 0), bulk),
    )


def _thigh(side: int, bulk: float) -> tuple[Shape, ...]:
    def rod(ax: float, ay: float, az: float, bx: float, by: float, bz: float, a: float, b: float) -> Capsule:
        return Capsule((side * ax, ay, az), (side * bx, by, bz), a * bulk, b * bulk)

    return (
        rod(126, -52, 70, 142, -40, -50, 11, 9),
        rod(112, -68, 60, 84, -70, -120, 8, 10),
        rod(100, -56, 30, 104, -52, -140, 11, 19),
        rod(28, -44, -50, 104, 18, -36, 12, 8),
        rod(34, -66, -22, 106, -22, -76, 11, 11),
        rod(22, -58, -56, 70, -30, -180, 15, 30),
        rod(20, -44, -64, 60, 0, -180, 12, 28),
        rod(68, 32, -54, 124, 18, -44, 9, 9),
        rod(128, -16, -80, 122, -24, -240, 26, 36),
        rod(64, 34, -80, 82, 36, -240, 11, 30),
    )


def _abdominal_wall(side: int, build: Build, bulk: float) -> tuple[Shape, ...]:
    front = build.front + build.fat + 4
    rectus = curve(
        [
            (side * 14, front + 12, -12),
            (side * 20, front + 8, 30),
            (side * 28, front + 8, 90),
            (side * 32, front + 8, 240),
        ],
        7,
        9,
    )
    wide = tuple(
        Capsule((side * (x + 11), front + 8 + lean, z), (side * (x + 13), front + 8 + lean, z + 50), 6.5, 7)
        for x, z, lean in ((16, 20, 1), (22, 70, 2), (24, 120, 3))
    )
    flank = curve(
        [
            (side * 62, front + 18, 100),
            (side * (build.half_width - build.fat - 34), front + 46, 106),
            (side * (build.half_width - build.fat - 22), -10, 122),
        ],
        7 * bulk,
        10 * bulk,
    )
    upper = curve(
        [
            (side * 62, front + 12, 160),
            (side * (build.half_width - build.fat - 34), front + 40, 170),
            (side * (build.half_width - build.fat - 20), 0, 180),
        ],
        12 * bulk,
        16 * bulk,
    )
    return (Union(rectus + wide, 5), Union(flank, 8), Union(upper, 8))
