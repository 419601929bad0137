"""One patient's pelvis: layers in painting order, in an anatomical frame (LPS axes, mm, hips at z = 0)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.phantom.deformation import Deformation, draw_deformation
from models.phantom.lattice import Vector
from models.phantom.raster import Layer, Solid
from models.phantom.shapes import Capsule, Ellipsoid
from models.phantom.streams import stream
from models.phantom.tissue import Tissue


@dataclass(frozen=True, slots=True)
class TumourForm:
    """Site and shape: height above the anal verge and length along the bowel in mm; clock position in hours
    (12 anterior, 3 the patient's left); share of the circumference."""

    kind: str
    height_mm: float
    length_mm: float
    clock: float
    share: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Layers in painting order with the deformation and the position of the patient in the scanner.

    `tumour_box`, `body_box` and `rectum_centre` are in the anatomical frame; add `offset` for LPS.
    """

    layers: tuple[Layer, ...]
    deformation: Deformation
    offset: Vector
    tumour: TumourForm
    tumour_box: tuple[Vector, Vector]
    body_box: tuple[Vector, Vector]
    rectum_centre: Vector


def draw_anatomy(seed: int) -> Anatomy:
    """The pelvis of patient `seed`."""
    rng = stream(seed, "anatomy")
    width, depth = float(rng.uniform(165, 190)), float(rng.uniform(100, 120))
    fat = float(rng.uniform(14, 28))
    body = Ellipsoid((0, 0, 0), (width, depth, 420))
    inner = Ellipsoid((0, 0, 0), (width - fat, depth - fat, 400))
    height = float(rng.uniform(-15, 35))
    radius = float(rng.uniform(14, 19))
    angle = float(rng.uniform(0, 2 * np.pi))
    half_length = float(rng.uniform(9, 24))
    size = float(rng.uniform(8, 15))
    rectum_y = 38.0
    centre = (radius * np.sin(angle), rectum_y - radius * np.cos(angle), height)
    tumour = Ellipsoid((float(centre[0]), float(centre[1]), height), (size, size * 0.8, half_length))
    layers: list[Layer] = [
        Solid(body, ((Tissue.SKIN, 0), (Tissue.FAT, 2)), 6),
        Solid(inner, ((Tissue.MUSCLE, 0),), 6),
        Solid(Ellipsoid((0, 10, 10), (62, 66, 110)), ((Tissue.FAT, 0),), 5),
        Solid(Ellipsoid((0, -30, 35), (38, 28, 30)), ((Tissue.BLADDER_WALL, 0), (Tissue.URINE, 4)), 3),
        Solid(Ellipsoid((0, -18, -28), (25, 17, 21)), ((Tissue.PERIPHERAL_ZONE, 0), (Tissue.TRANSITION_ZONE, 6)), 3),
        Solid(Ellipsoid((0, 84, 45), (45, 14, 70)), ((Tissue.CORTICAL_BONE, 0), (Tissue.MARROW, 2)), 4),
    ]
    for side in (-1, 1):
        layers.append(
            Solid(Ellipsoid((side * 88, -5, 0), (25, 25, 25)), ((Tissue.CORTICAL_BONE, 0), (Tissue.MARROW, 2)), 3)
        )
    rectum = Capsule((0, rectum_y, -70), (0, rectum_y, 110), radius, radius + 2)
    mesorectum = Capsule((0, rectum_y + 6, -20), (0, rectum_y + 4, 100), 32, 34)
    layers += [
        Solid(mesorectum, ((Tissue.FASCIA, 0), (Tissue.MESORECTAL_FAT, 1.2)), 3),
        Solid(rectum, ((Tissue.MUSCULARIS, 0), (Tissue.MUCOSA, 2.5), (Tissue.STOOL, 4.5)), 2),
        Solid(tumour, ((Tissue.TUMOUR, 0),), 2),
    ]
    return Anatomy(
        layers=tuple(layers),
        deformation=draw_deformation(stream(seed, "deformation")),
        offset=(float(rng.uniform(-10, 10)), float(rng.uniform(-12, 12)), float(rng.uniform(-15, 15))),
        tumour=TumourForm("polypoid", height + 75, 2 * half_length, angle * 6 / np.pi, 0.3),
        tumour_box=tumour.box(),
        body_box=((-width, -depth, -200.0), (width, depth, 200.0)),
        rectum_centre=(0, rectum_y, 15),
    )
