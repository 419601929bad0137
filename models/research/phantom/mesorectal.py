"""Contents of the mesorectal fat: lymph nodes and the superior rectal vessels."""

from __future__ import annotations

import numpy as np

from models.research.phantom.lattice import vector
from models.research.phantom.raster import Layer, Solid
from models.research.phantom.rectum import Mesorectum, Rectum, wall_point
from models.research.phantom.shapes import Ellipsoid, curve, rotation, stretches
from models.research.phantom.tissue import Tissue


def nodes(rectum: Rectum, mesorectum: Mesorectum, tumour_height: float | None, rng: np.random.Generator) -> list[Layer]:
    """6 to 14 benign nodes of 2 to 5 mm, and up to 4 suspicious ones of 5 to 10 mm near a tumour."""
    layers: list[Layer] = []
    for _ in range(int(rng.integers(6, 15))):
        layers.append(_node(rectum, mesorectum, float(rng.uniform(-12, 84)), Tissue.NODE, (1.0, 2.5), rng))
    if tumour_height is None:
        return layers
    for _ in range(int(rng.choice(5, p=(0.4, 0.25, 0.2, 0.1, 0.05)))):
        height = float(np.clip(tumour_height + rng.uniform(-12, 34), -12, 86))
        layers.append(_node(rectum, mesorectum, height, Tissue.SUSPICIOUS_NODE, (2.5, 4.6), rng))
    return layers


def _node(
    rectum: Rectum,
    mesorectum: Mesorectum,
    z: float,
    tissue: Tissue,
    radii: tuple[float, float],
    rng: np.random.Generator,
) -> Layer:
    """One node beside or behind the bowel, clear of wall and fascia where there is room."""
    angle = float(np.pi + rng.uniform(-2.1, 2.1))
    radius = float(rng.uniform(*radii))
    inner = float(np.interp(z, rectum.heights, rectum.radius)) * 1.15 + rectum.wall_mm + radius + 1.5
    outer = room(rectum, mesorectum, z, angle) - radius - 2
    place = wall_point(rectum, z, angle, max(inner, float(rng.uniform(min(inner, outer), max(inner, outer)))))
    turned = rotation(vector(rng.uniform(-60, 60, 3)))
    half = (radius, radius * float(rng.uniform(1.0, 1.3)), radius * float(rng.uniform(1.1, 1.6)))
    return Solid(Ellipsoid(vector(place), half, turned), ((tissue, 0),), 1.2)


def room(rectum: Rectum, mesorectum: Mesorectum, z: float, angle: float) -> float:
    """Distance (mm) from the centre line to the mesorectal fascia in one direction."""
    steps = np.arange(8, 60, 1.0)
    ray = wall_point(rectum, z, angle, steps).astype(np.float32)
    outside = mesorectum.tube.distance(ray[:, 0], ray[:, 1], ray[:, 2]) > 0
    return float(steps[np.argmax(outside)]) if outside.any() else float(steps[-1])


def rectal_vessels(rectum: Rectum, mesorectum: Mesorectum, rng: np.random.Generator) -> list[Layer]:
    """Superior rectal artery and veins behind the bowel, splitting into branches towards the wall."""
    layers: list[Layer] = []
    for index in range(int(rng.integers(7, 11))):
        tissue = Tissue.ARTERY if index % 2 else Tissue.VEIN
        angle = float(np.pi + rng.uniform(-0.6, 0.6))
        turn = float(rng.uniform(-1.6, 1.6))
        top, bottom = (
            (92.0, float(rng.uniform(20, 60)))
            if index < 3
            else (float(rng.uniform(20, 84)), float(rng.uniform(-16, 18)))
        )
        path = []
        for share in np.linspace(0, 1, 6):
            z = top + (bottom - top) * share
            way = angle + turn * share
            least = float(np.interp(z, rectum.heights, rectum.radius)) * 1.1 + rectum.wall_mm + 1.5
            most = max(room(rectum, mesorectum, z, way) - 4, least)
            path.append(wall_point(rectum, z, way, most + (least - most) * share))
        radius = float(rng.uniform(1.3, 2.0)) if index < 3 else float(rng.uniform(0.6, 1.2))
        layers += [
            Solid(piece, ((tissue, 0),), 1.2) for piece in stretches(curve(np.array(path), radius, radius * 0.5))
        ]
    return layers
