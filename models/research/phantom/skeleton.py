"""Bones of the pelvis in the anatomical frame: x left, y back, z up, femoral heads at z = 0 (mm)."""

from __future__ import annotations

import numpy as np

from models.research.phantom.raster import Solid
from models.research.phantom.sex import Sex
from models.research.phantom.shapes import Capsule, Ellipsoid, Shape, Tube, Union, rotation
from models.research.phantom.tissue import Tissue

HEAD = (88.0, -10.0, 0.0)
SACRUM_HEIGHTS = (-12.0, 0.0, 12.0, 28.0, 46.0, 68.0, 92.0, 116.0, 128.0)
# centre x, centre y, half width, half thickness: coccyx at the bottom, promontory on top
SACRUM = (
    (0.0, 64.0, 5.0, 4.0),
    (0.0, 72.0, 9.0, 5.0),
    (0.0, 79.0, 16.0, 6.0),
    (0.0, 86.0, 25.0, 8.0),
    (0.0, 88.0, 36.0, 11.0),
    (0.0, 82.0, 46.0, 15.0),
    (0.0, 68.0, 55.0, 19.0),
    (0.0, 50.0, 58.0, 22.0),
    (0.0, 40.0, 50.0, 20.0),
)


def sacrum_front(z: float) -> float:
    """y (mm) of the front of sacrum and coccyx at height z."""
    centre = np.interp(z, SACRUM_HEIGHTS, [node[1] for node in SACRUM])
    half = np.interp(z, SACRUM_HEIGHTS, [node[3] for node in SACRUM])
    return float(centre - half)


IMPLANT_SHARE = 0.04
"""Share of patients with a hip prosthesis: an assumption; 2.3 % of US adults from 50 years on had one in 2010, more
with age (Maradit Kremers et al., J Bone Joint Surg Am 2015;97:1386-1397)."""


def pelvic_bones(rng: np.random.Generator, sex: Sex) -> list[Solid]:
    """Both hip bones, symphysis, sacrum with coccyx, the lowest lumbar vertebrae, both femora."""
    cortex = float(rng.uniform(1.6, 2.6))
    layers: list[Solid] = []
    for side in (-1, 1):
        layers.append(_bone(_hip_bone(side, sex), cortex))
        head = (side * HEAD[0], HEAD[1], HEAD[2])
        layers.append(Solid(Ellipsoid(head, (27, 27, 27)), ((Tissue.CARTILAGE, 0),), 3))
        layers.append(_bone(_femur(side), cortex))
    layers.append(Solid(Ellipsoid((0, -62, -30), (3.5, 10, 19)), ((Tissue.CARTILAGE, 0),), 2))
    column = Tube((126, 160, 200, 240), ((0, 41, 24, 17), (0, 29, 24, 16), (0, 24, 24, 16), (0, 24, 24, 16)), 2.8)
    layers.append(Solid(column, ((Tissue.FASCIA, 0), (Tissue.DISC, 2.5)), 3))
    layers += [_bone(vertebra, cortex * 0.8) for vertebra in _lumbar_vertebrae()]
    layers += sacral_layers(cortex)
    return layers


def sacral_layers(cortex: float) -> list[Solid]:
    """Sacrum and coccyx with canal, foramina and remnant discs."""
    layers: list[Solid] = [_bone(Tube(SACRUM_HEIGHTS, SACRUM, 2.4), cortex)]
    canal = Tube((40, 70, 95, 130), ((0, 92, 4, 3), (0, 90, 8, 5), (0, 80, 11, 7), (0, 66, 12, 8)))
    layers.append(Solid(canal, ((Tissue.FAT, 0), (Tissue.FLUID, 2)), 2))
    for z, y, tilt in ((42, 85, -8), (62, 80, -16), (84, 70, -26), (106, 53, -34)):
        disc = Ellipsoid((0, y, z), (14, 8, 1.6), rotation((tilt, 0, 0)))
        layers.append(Solid(disc, ((Tissue.CARTILAGE, 0),), 1.5))
        for side in (-1, 1):
            foramen = Capsule((side * 20, y - 8, z - 8), (side * 15, y + 8, z), 4.0, 4.5)
            layers.append(Solid(foramen, ((Tissue.FAT, 0), (Tissue.CARTILAGE, 2.2)), 1.5))
    return layers


def _bone(shape: Shape, cortex: float) -> Solid:
    return Solid(shape, ((Tissue.CORTICAL_BONE, 0), (Tissue.MARROW, cortex)), 3)


def hip_prosthesis(rng: np.random.Generator) -> list[Solid]:
    """Head, neck and stem of a metal hip in few patients."""
    implanted, side = bool(rng.random() < IMPLANT_SHARE), int(rng.choice((-1, 1)))
    if not implanted:
        return []
    metal = Union(
        (
            Ellipsoid((side * HEAD[0], HEAD[1], HEAD[2]), (22, 22, 22)),
            Capsule((side * 90, -10, -2), (side * 128, 2, -26), 8, 8),
            Capsule((side * 132, 4, -22), (side * 130, -4, -150), 9, 6),
        ),
        4,
    )
    return [Solid(metal, ((Tissue.IMPLANT, 0),), 3)]


def _hip_bone(side: int, sex: Sex) -> Union:
    def beam(ax: float, ay: float, az: float, bx: float, by: float, bz: float, a: float, b: float) -> Capsule:
        return Capsule((side * ax, ay, az), (side * bx, by, bz), a, b)

    return Union(
        (
            Ellipsoid((side * 82, -4, 6), (27, 31, 30)),
            beam(80, 20, 2, 66, 38, -52, 14, 15),
            beam(66, 38, -52, 58, 30, -72, 14, 10),
            beam(68, 32, -10, 52, 46, -12, 7, 3),
            beam(84, -6, 28, 80, 18, 62, 17, 12),
            beam(80, 18, 62, 60, 54, 92, 12, 11),
            beam(84, -8, 34, 112, -40, 104, 13, 6),
            beam(80, 18, 62, 120, 0, 120, 11, 5),
            beam(60, 54, 92, 112, -8, 132, 9, 5),
            Ellipsoid((side * 90, 8, 90), (7, 58, 50), rotation((0, 8 * side, 31 * side))),
            beam(74, -28, -4, 18, -64, -20, 11, 8),
            beam(13, -62, -20, 12, -57, -44, 10, 9),
            # The pubic arch: wider in women.
            beam(13, -56, -46, 54, 22, -72, 7, 8) if sex is Sex.MALE else beam(17, -57, -44, 63, 22, -70, 6, 7),
        ),
        7,
    )


def _femur(side: int) -> Union:
    return Union(
        (
            Ellipsoid((side * HEAD[0], HEAD[1], HEAD[2]), (24, 24, 24)),
            Capsule((side * 90, -10, -2), (side * 128, 2, -26), 16, 14),
            Capsule((side * 136, 6, -18), (side * 138, 4, -58), 15, 16),
            Capsule((side * 136, 2, -58), (side * 126, -10, -230), 15, 14),
        ),
        6,
    )


def _lumbar_vertebrae() -> tuple[Tube, ...]:
    """L5, L4 and L3: upright blocks with hollowed edges left out."""
    rows = (((136, 160), 37.0, 29.0), ((168, 194), 27.0, 24.0), ((202, 228), 23.0, 23.0))
    return tuple(
        Tube((float(low), float(high)), ((0.0, first, 27.0, 18.0), (0.0, last, 26.0, 17.0)), 2.8)
        for (low, high), first, last in rows
    )
