"""Motion of patient, bowel and bladder between series, the belly between dynamic phases and within a series.

The axial T2 series is the reference: the truth lies where the patient lay then. Standard deviations of rectal and
prostatic points over 20 to 30 minutes are 0.7 to 1.0 mm with an empty rectum and 1.0 to 1.7 mm with a full one
(cine MRI, Ghilezan et al., Int J Radiat Oncol Biol Phys 2005;62:406-417); a bladder that fills moves its neighbours
little (Snoj et al., Radiol Oncol 2020;54:48-56). The patient's own shifts, the growth of the bladder and the motion of
the belly are assumptions of this simulation. Periodic motion gives ghosts along the phase encoding (Wood & Henkelman,
Med Phys 1985;12:143-151); their share and strength are assumptions, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.research.phantom.anatomy import Anatomy
from models.research.phantom.deformation import Swell
from models.research.phantom.lattice import Array, Vector, points, vector
from models.research.phantom.tissue import Tissue
from models.volume import Grid

REFERENCE = "T2WI"
BLADDER: Vector = (0.0, -38.0, 26.0)
BOWEL_WIDTH_MM = 22.0
GHOST_SHARE = 0.3


def at_measurement(anatomy: Anatomy, measurement: str, rng: np.random.Generator) -> Anatomy:
    """The anatomy as it lies during a measurement; that of the reference is unchanged."""
    if measurement == REFERENCE:
        return anatomy
    full = anatomy.rectum.content in (Tissue.GAS, Tissue.STOOL, Tissue.GEL)
    restless = rng.random() < 0.15
    patient = rng.normal(0, (0.7, 0.5, 1.0)) * (2.5 if restless else 1.0)
    bowel = rng.normal(0, 1.2 if full else 0.8, 3)
    lower, upper = np.asarray(anatomy.target_box())
    grows = float(rng.uniform(0.0, 0.08)) * (-1 if measurement in ("T2WI_SAG", "LOCALIZER") else 1)
    swells = (
        Swell(vector((lower + upper) / 2), 30.0, vector(bowel)),
        Swell(BLADDER, 30.0, (0.0, 0.0, 0.0), grows),
    )
    old = anatomy.deformation
    deformation = replace(old, offset=vector(np.asarray(old.offset) + patient), swells=swells)
    return replace(anatomy, deformation=deformation)


@dataclass(frozen=True, slots=True)
class Sway:
    """Motion from back to front (LPS y, mm) during one dynamic phase: of the belly, and of the bowel around a place."""

    belly_mm: float
    bowel_mm: float
    bowel: Vector
    spine_y: float

    def rows(self, grid: Grid) -> Array:
        """Displacement in rows at the voxels of a transversal grid (z, y, x)."""
        x, y, z = (points(grid, index)[:, axis] for axis, index in enumerate(_axes(grid)))
        front = self.belly_mm * np.clip((self.spine_y - y) / 120, 0, 1) ** 2
        near_x, near_y, near_z = (
            np.exp(-((line - place) ** 2) / (2 * BOWEL_WIDTH_MM**2)).astype(np.float32)
            for line, place in zip((x, y, z), self.bowel, strict=True)
        )
        plane = np.float32(self.bowel_mm / grid.spacing[1]) * near_y[:, None] * near_x[None, :]
        moved = near_z[:, None, None] * plane
        moved += (front / grid.spacing[1]).astype(np.float32)[None, :, None]
        return np.asarray(moved)


def draw_sway(anatomy: Anatomy, phase: str, rng: np.random.Generator) -> Sway | None:
    """Motion of a phase against the one before contrast."""
    if phase == "PRE":
        return None
    lower, upper = np.asarray(anatomy.target_box())
    place = anatomy.deformation.place((lower + upper) / 2)
    spine = float(anatomy.deformation.place((0.0, 60.0, 0.0))[1])
    return Sway(float(rng.normal(0, 1.6)), float(rng.normal(0, 0.7)), vector(place), spine)


@dataclass(frozen=True, slots=True)
class Ghost:
    """Copies of what breathes, `step` (share of the field of view) apart along the rows, of `strength`."""

    strength: float
    step: float
    front_y: float

    def added(self, image: Array, grid: Grid) -> Array:
        """The image (z, y, x) of the whole field of view with its ghosts."""
        middle = points(grid, [[0.0, row, 0.0] for row in range(grid.size[1])])[:, 1]
        moving = image * np.clip((self.front_y - middle) / 50, 0.1, 1).astype(np.float32)[None, :, None]
        away = round(self.step * grid.size[1])
        result = image - np.float32(self.strength) * moving
        for order in (1, 2):
            weight = np.float32(self.strength / order**2)
            result += weight * (np.roll(moving, order * away, axis=1) + np.roll(moving, -order * away, axis=1))
        return result


def draw_ghost(anatomy: Anatomy, rng: np.random.Generator) -> Ghost | None:
    """Ghosts of a series, in some."""
    seen, strength, step = rng.random() < GHOST_SHARE, float(rng.uniform(0.02, 0.09)), float(rng.uniform(0.12, 0.42))
    front = float(anatomy.deformation.place((0.0, -40.0, 0.0))[1])
    return Ghost(strength, step, front) if seen else None


def _axes(grid: Grid) -> tuple[Array, Array, Array]:
    """Indices (n, 3) along each axis of a grid through its middle."""
    middle = (np.asarray(grid.size) - 1) / 2
    lines = []
    for axis, size in enumerate(grid.size):
        index = np.tile(middle, (size, 1))
        index[:, axis] = np.arange(size)
        lines.append(index.astype(np.float32))
    return lines[0], lines[1], lines[2]
