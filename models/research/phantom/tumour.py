"""The tumour: an adenocarcinoma of the rectal wall, polypoid, ulcerating or growing around the bowel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from models.research.phantom.deformation import Texture, draw_texture
from models.research.phantom.lattice import Array, Vector
from models.research.phantom.raster import Nested
from models.research.phantom.rectum import Rectum
from models.research.phantom.tissue import Tissue

TUMOUR_ONLY: Nested = ((Tissue.TUMOUR, 0.0),)


class Growth(StrEnum):
    """How a tumour grows."""

    POLYPOID = "polypoid"
    ULCERATING = "ulcerating"
    SEMICIRCUMFERENTIAL = "semicircumferential"
    CIRCUMFERENTIAL = "circumferential"


@dataclass(frozen=True, slots=True)
class TumourForm:
    """Site and shape in clinical terms.

    height_mm: lower edge above the anal verge along the bowel; length_mm along the bowel; clock: position of its middle
    in hours (12 in front, 3 on the patient's left); circumference: share of it that is taken; thickness_mm into the
    lumen; invasion_mm: depth beyond the muscular wall (0: T1/T2).
    """

    growth: Growth
    height_mm: float
    length_mm: float
    clock: float
    circumference: float
    thickness_mm: float
    invasion_mm: float


@dataclass(frozen=True, slots=True)
class Tumour:
    """A tumour on its rectum; `border` makes its surface irregular."""

    form: TumourForm
    rectum: Rectum
    border: Texture
    detail: float = 1.2

    def box(self) -> tuple[Vector, Vector]:
        """Box around every point that may be tumour."""
        low, high = self._span()
        rows = (self.rectum.heights >= low) & (self.rectum.heights <= high)
        reach = float(self.rectum.radius[rows].max()) * 1.15 + self.rectum.wall_mm + self.form.invasion_mm + 5
        x, y = self.rectum.centre_x[rows], self.rectum.centre_y[rows]
        lower = (float(x.min()) - reach, float(y.min()) - reach, low - 3)
        upper = (float(x.max()) + reach, float(y.max()) + reach, high + 3)
        return lower, upper

    def surfaces(self, x: Array, y: Array, z: Array) -> Iterable[tuple[Array, Nested]]:
        """The tumour alone: everything between its surface in the lumen and its front in or beyond the wall."""
        form, rectum = self.form, self.rectum
        r, angle = rectum.polar(x, y, z)
        rough = self.border.values(x, y, z).clip(-2, 2)
        along = (rectum.arc_at(z) - np.float32(form.height_mm + form.length_mm / 2)) / np.float32(form.length_mm / 2)
        around = self._around(angle)
        spread = np.maximum(np.sqrt(along**2 + around**2) + np.float32(0.07) * rough, 0)
        lumen, outer = rectum.at(rectum.radius, z), rectum.outer(z)
        front = outer - 1 + (1 + np.float32(form.invasion_mm)) * self._swell(spread, 1.6)
        front = front + np.float32(0.8 if form.invasion_mm else 0.3) * rough
        if form.growth is Growth.POLYPOID:
            return ((np.maximum(self._polyp(x, y, z) + np.float32(0.9) * rough, r - front), TUMOUR_ONLY),)
        rise = self._swell(spread, 1.1) * np.float32(form.thickness_mm + 1.5) - np.float32(1.5)
        if form.growth is Growth.ULCERATING:
            # Raised, rolled edges around a crater.
            rise = rise - np.float32(0.85 * form.thickness_mm) * np.exp(-((spread / np.float32(0.42)) ** 2))
        surface = np.maximum(lumen - rise, np.float32(1.6)) - np.float32(0.6) * rough
        return ((np.maximum(surface - r, r - front), TUMOUR_ONLY),)

    def _around(self, angle: Array) -> Array:
        """Angular distance from the middle, 1 at the edge; 0 all around for a circumferential tumour."""
        if self.form.growth is Growth.CIRCUMFERENTIAL:
            return np.zeros_like(angle)
        away = angle - np.float32(self.form.clock * np.pi / 6)
        away = np.abs((away + np.pi) % (2 * np.pi) - np.pi)
        return np.asarray(away / np.float32(np.pi * self.form.circumference), dtype=np.float32)

    @staticmethod
    def _swell(spread: Array, power: float) -> Array:
        """1 in the middle, 0 at the edge, falling on outside."""
        return 1 - spread ** np.float32(2 * power)

    def _polyp(self, x: Array, y: Array, z: Array) -> Array:
        """A lobulated ellipsoid that sits on the wall."""
        form, rectum = self.form, self.rectum
        low, high = self._span()
        middle = np.float32((low + high) / 2)
        theta = form.clock * np.pi / 6
        radius = float(np.interp(middle, rectum.heights, rectum.radius))
        seat = radius - 0.38 * form.thickness_mm
        dx = x - np.float32(np.interp(middle, rectum.heights, rectum.centre_x) + seat * np.sin(theta))
        slope = np.interp(middle + 4, rectum.heights, rectum.centre_y) - np.interp(
            middle - 4, rectum.heights, rectum.centre_y
        )
        dz = z - middle
        dy = y - np.float32(np.interp(middle, rectum.heights, rectum.centre_y) - seat * np.cos(theta))
        dy = dy - np.float32(slope / 8) * dz
        outward = dx * np.float32(np.sin(theta)) - dy * np.float32(np.cos(theta))
        sideways = dx * np.float32(np.cos(theta)) + dy * np.float32(np.sin(theta))
        half = (
            0.72 * form.thickness_mm,
            max(0.62 * form.thickness_mm, np.pi * form.circumference * radius),
            (high - low) / 2,
        )
        scaled = np.sqrt((outward / half[0]) ** 2 + (sideways / half[1]) ** 2 + (dz / half[2]) ** 2)
        return np.asarray((scaled - 1) * min(half), dtype=np.float32)

    def volume_ml(self) -> float:
        """Volume by counting on a lattice of some 30 points along the longest edge of the box."""
        lower, upper = (np.asarray(corner) for corner in self.box())
        step = max(0.8, float((upper - lower).max()) / 30)
        x, y, z = (np.arange(a, b, step, dtype=np.float32) for a, b in zip(lower, upper, strict=True))
        grid = np.meshgrid(z, y, x, indexing="ij")
        ((distance, _),) = self.surfaces(grid[2], grid[1], grid[0])
        return float(np.count_nonzero(distance < 0)) * step**3 / 1000

    def _span(self) -> tuple[float, float]:
        """Heights z (mm) of the lower and upper edge."""
        edges = (self.form.height_mm, self.form.height_mm + self.form.length_mm)
        low, high = np.interp(edges, self.rectum.arc, self.rectum.heights)
        return float(low), float(high)


def draw_border(rng: np.random.Generator) -> Texture:
    """Irregularity of the surface."""
    return draw_texture(rng, 7.0)
