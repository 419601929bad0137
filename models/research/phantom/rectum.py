"""The rectum: a curved tube with layered wall, folds and content, and the mesorectum around it (mm)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from models.research.phantom.lattice import Array, Vector
from models.research.phantom.raster import Layer, Nested, Solid
from models.research.phantom.shapes import Tube, Union, curve
from models.research.phantom.tissue import Tissue

VERGE_MM, TOP_MM, SPHINCTER_MM = -78.0, 112.0, -46.0
"""Heights of the anal verge, of the top of the modelled bowel, and of the anorectal junction."""
_HEIGHTS = np.array([-78, -60, -46, -30, -12, 8, 28, 48, 70, 92, 112], dtype=np.float64)
_BACK = np.array([27, 17, 11, 15, 28, 40, 47, 48, 42, 27, 8], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Fold:
    """A transverse fold (valve of Houston): height (mm), direction (rad), depth (mm)."""

    height: float
    direction: float
    depth: float


# content: share, least and largest lumen radius (mm)
_FILLINGS = {
    "collapsed": (0.2, (4.0, 7.0)),
    "stool": (0.38, (8.0, 19.0)),
    "fluid": (0.12, (7.0, 14.0)),
    "gel": (0.15, (13.0, 20.0)),
    "gas": (0.15, (9.0, 20.0)),
}
_CONTENT = {
    "collapsed": Tissue.FLUID,
    "stool": Tissue.STOOL,
    "fluid": Tissue.FLUID,
    "gel": Tissue.GEL,
    "gas": Tissue.GAS,
}
NO_GAS_MM = -99.0
BUBBLE_SHARE, OEDEMA_SHARE = 0.25, 0.12


@dataclass(frozen=True, slots=True)
class Rectum:
    """Tables over height z (mm, 1 mm apart): centre, slope, lumen radius; then folds, wall and content.

    Angles run clockwise as seen from the feet: 0 in front (12 o'clock), pi/2 on the patient's left (3 o'clock).
    """

    heights: Array
    centre_x: Array
    centre_y: Array
    tilt: Array
    radius: Array
    arc: Array
    folds: tuple[Fold, ...]
    muscle_mm: float
    inner_mm: float
    submucosa: Tissue
    content: Tissue
    gas_level_mm: float
    squeeze: float
    detail: float = 1.3

    @property
    def wall_mm(self) -> float:
        """Thickness of the whole wall."""
        return self.muscle_mm + self.inner_mm

    @property
    def holds_gas(self) -> bool:
        """Whether there is gas in the lumen."""
        return self.content is Tissue.GAS or self.gas_level_mm > NO_GAS_MM

    def box(self) -> tuple[Vector, Vector]:
        """Box around lumen, wall and sphincter."""
        reach = float(self.radius.max()) * 1.25 + self.wall_mm + 8
        lower = (float(self.centre_x.min()) - reach, float(self.centre_y.min()) - reach, VERGE_MM)
        upper = (float(self.centre_x.max()) + reach, float(self.centre_y.max()) + reach, TOP_MM)
        return lower, upper

    def stretch(self, low: float, high: float) -> tuple[Vector, Vector]:
        """Box around the wall between two heights (mm)."""
        rows = (self.heights >= low) & (self.heights <= high)
        reach = float(self.radius[rows].max()) * 1.1 + self.wall_mm
        x, y = self.centre_x[rows], self.centre_y[rows]
        lower = (float(x.min()) - reach, float(y.min()) - reach, low)
        return lower, (float(x.max()) + reach, float(y.max()) + reach, high)

    def polar(self, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
        """Distance from the centre line (mm) and angle (rad) of points. The coordinates (mm) have one shape."""
        dx = x - self.at(self.centre_x, z)
        dy = (y - self.at(self.centre_y, z)) * self.at(self.tilt, z)
        # A wider than deep lumen: distances count less along x.
        return np.hypot(dx / np.float32(self.squeeze), dy * np.float32(self.squeeze)), np.arctan2(dx, -dy)

    def lumen(self, angle: Array, z: Array) -> Array:
        """Radius of the lumen (mm), folds included. `angle` (rad) and `z` (mm) have one shape."""
        radius = self.at(self.radius, z)
        for fold in self.folds:
            near = np.exp(-(((z - np.float32(fold.height)) / np.float32(3.0)) ** 2))
            facing = np.maximum(np.cos(angle - np.float32(fold.direction)), 0)
            radius = radius - np.minimum(np.float32(fold.depth), 0.6 * radius) * near * facing
        # A narrow lumen is collapsed into a star of mucosal folds.
        narrow = np.clip((np.float32(9) - radius) / np.float32(9), 0, 1)
        return radius * (1 + np.float32(0.45) * narrow * np.cos(5 * angle + np.float32(0.05) * z))

    def outer(self, z: Array) -> Array:
        """Outer radius of the muscular wall (mm), folds left out. `z` (mm) may have any shape."""
        return self.at(self.radius, z) + np.float32(self.wall_mm)

    def arc_at(self, z: Array) -> Array:
        """Length along the bowel from the anal verge (mm). `z` (mm) may have any shape."""
        return self.at(self.arc, z)

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """Sphincter; muscular layer and submucosa; mucosa and content; gas."""
        r, angle = self.polar(x, y, z)
        ends = np.maximum(VERGE_MM - z, z - TOP_MM)
        outer = np.maximum(r - self.outer(z), ends)
        sphincter = np.maximum(outer - np.float32(6), np.abs(z - np.float32(-60)) - np.float32(15))
        yield np.maximum(sphincter, ends), ((Tissue.MUSCLE, 0),)
        yield outer, ((Tissue.MUSCULARIS, 0), (self.submucosa, self.muscle_mm))
        inner = np.maximum(r - self.lumen(angle, z), ends)
        yield inner, ((Tissue.MUCOSA, -0.8), (self.content, 0))
        level = y - self.at(self.centre_y, z) - np.float32(self.gas_level_mm)
        yield np.maximum(inner, level), ((Tissue.GAS, 0),)

    def at(self, table: Array, z: Array) -> Array:
        """One of the tables at heights z, continued by its ends. `table`: (heights,); `z` (mm) may have any shape."""
        place = np.clip(z - self.heights[0], 0, np.float32(len(table) - 1))
        low = np.minimum(place.astype(np.intp), len(table) - 2)
        below = table[low]
        return np.asarray(below + (table[low + 1] - below) * (place - low), dtype=np.float32)


def draw_rectum(rng: np.random.Generator) -> Rectum:
    """Course, calibre, wall and content of a patient's rectum.

    Some sites fill the rectum with gel, most do not. About a third of the patients has gas, as content or as a bubble
    on top of it; gas spoilt 24 % of the DWI at 1.5 T without preparation (335 examinations, van Griethuysen et al.,
    Eur J Radiol 2018;99:131-137). Shares of the fillings and of an oedematous, thick and bright submucosa are
    assumptions.
    """
    z = np.arange(VERGE_MM, TOP_MM + 1)
    sway = float(rng.uniform(-9, 9))
    x_nodes = np.array([0, 0, 0, 0.3 * sway, 0.6 * sway, sway, 0.4 * sway, -0.6 * sway, 0, 8, 22])
    x_nodes[3:] += rng.uniform(-2.5, 2.5, len(x_nodes) - 3)
    y_nodes = _BACK + np.concatenate([np.zeros(3), rng.uniform(-2.5, 2.5, len(_BACK) - 3)])
    centre_x, centre_y = PchipInterpolator(_HEIGHTS, x_nodes)(z), PchipInterpolator(_HEIGHTS, y_nodes)(z)
    slope_x, slope_y = np.gradient(centre_x, z), np.gradient(centre_y, z)
    filling = str(rng.choice(list(_FILLINGS), p=[share for share, _ in _FILLINGS.values()]))
    wide = float(rng.uniform(*_FILLINGS[filling][1]))
    spread = rng.uniform(0.7, 1.25, 7)
    nodes = np.array(
        [1.2, 1.4, 2.0, *(wide * spread[:2] * (0.62, 0.92)), *(wide * spread[2:5]), *(wide * 0.75 * spread[5:]), 6.0]
    )
    radius = PchipInterpolator(_HEIGHTS, np.clip(nodes, 1.2, 24))(z)
    left = 1 if rng.random() < 0.8 else -1
    folds = tuple(
        Fold(height + float(rng.uniform(-5, 5)), left * sign * np.pi / 2, float(rng.uniform(3, 8)))
        for height, sign in ((2, 1), (24, -1), (50, 1))
    )
    oedema = bool(rng.random() < OEDEMA_SHARE)
    bubble = bool(rng.random() < BUBBLE_SHARE)
    distension = np.clip(wide / 17, 0.4, 1)
    return Rectum(
        heights=z.astype(np.float32),
        centre_x=centre_x.astype(np.float32),
        centre_y=centre_y.astype(np.float32),
        tilt=(1 / np.sqrt(1 + slope_y**2)).astype(np.float32),
        radius=radius.astype(np.float32),
        arc=np.concatenate([[0.0], np.cumsum(np.sqrt(1 + slope_x**2 + slope_y**2)[1:])]).astype(np.float32),
        folds=folds,
        muscle_mm=float(rng.uniform(1.6, 2.4) * (1.4 - 0.4 * distension)),
        inner_mm=float(rng.uniform(1.5, 2.6) * (1.5 - 0.6 * distension) * (rng.uniform(1.5, 2.4) if oedema else 1)),
        submucosa=Tissue.OEDEMA if oedema else Tissue.SUBMUCOSA,
        content=_CONTENT[filling],
        gas_level_mm=-wide * float(rng.uniform(0.2, 0.9)) if bubble else NO_GAS_MM,
        squeeze=float(rng.uniform(1.0, 1.12)),
    )


def sigmoid(rectum: Rectum, rng: np.random.Generator) -> list[Solid]:
    """The bowel going on from the top of the rectum: forward and to the left."""
    x, y = float(rectum.centre_x[-1]), float(rectum.centre_y[-1])
    path = [(x, y, TOP_MM - 2), (x + 14, y - 14, 124), (x + 26, y - 26, 122), (x + 40, y - 22, 134), (56, y - 8, 160)]
    radius = 6.0 + rectum.wall_mm
    bent = [(a + float(rng.uniform(-3, 3)) * (index > 0), b, c) for index, (a, b, c) in enumerate(path)]
    loop = Union(curve(bent, radius, radius + 3), 4)
    return [
        Solid(loop, ((Tissue.MUSCULARIS, 0), (Tissue.MUCOSA, rectum.muscle_mm), (rectum.content, rectum.wall_mm)), 2)
    ]


@dataclass(frozen=True, slots=True)
class Mesorectum:
    """The envelope of mesorectal fat: an upright tube behind and around the rectum."""

    tube: Tube

    def fascia(self) -> Layer:
        """The fascia, 1 mm thick."""
        return Solid(self.tube, ((Tissue.FASCIA, 0),), 2.5)

    def filling(self) -> Layer:
        """The fat within; it reaches further up and down than the fascia, which so has no lid."""
        heights = (self.tube.heights[0] - 4, *self.tube.heights[1:-1], self.tube.heights[-1] + 4)
        nodes = tuple((x, y, a - 1.0, b - 1.0) for x, y, a, b in self.tube.nodes)
        return Solid(Tube(heights, nodes, self.tube.power), ((Tissue.MESORECTAL_FAT, 0),), 2.5)


def draw_mesorectum(rectum: Rectum, rng: np.random.Generator) -> Mesorectum:
    """Envelope 24 to 38 mm to either side of the rectum, tapering towards the pelvic floor."""
    bulk = float(rng.uniform(0.82, 1.15))
    heights = (-42.0, -26.0, -8.0, 12.0, 34.0, 58.0, 84.0, 106.0)
    backward = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0)
    half_x = (12.0, 19.0, 29.0, 36.0, 39.0, 38.0, 34.0, 24.0)
    half_y = (13.0, 18.0, 25.0, 28.0, 29.0, 28.0, 26.0, 18.0)
    nodes = []
    for z, back, a, b in zip(heights, backward, half_x, half_y, strict=True):
        centre = np.interp(z, rectum.heights, rectum.centre_y) + back
        least = float(np.interp(z, rectum.heights, rectum.radius)) + rectum.wall_mm + 3
        nodes.append((0.0, float(centre), max(a * bulk, least), max(b * bulk, least)))
    return Mesorectum(Tube(heights, tuple(nodes), 2.3))


def wall_point(
    rectum: Rectum, z: float, angle: float, distance: float | npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Point(s) (3) or (n, 3) at an angle and distance(s) (mm) from the centre line at height z."""
    x = np.interp(z, rectum.heights, rectum.centre_x) + distance * np.sin(angle)
    y = np.interp(z, rectum.heights, rectum.centre_y) - distance * np.cos(angle)
    return np.stack([x, y, np.full_like(x, z)], axis=-1)
