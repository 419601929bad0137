"""Uterus, vagina, ovaries, urethra and bladder of a woman in the anatomical frame (mm).

The frame is that of an average man; what differs in a woman's pelvis at this resolution is put in by `deformation` and
by the wider pubic arch in `skeleton`. Sizes: uterus 75 to 90 mm long before and 35 to 60 mm after the menopause;
endometrium at most 5 mm after it (both: usual ranges in gynaecological imaging). Vagina 17 ± 5 mm wide at the
introitus, 30 ± 7 mm in its middle, 45 ± 12 mm at its top, front wall 63 ± 9 mm long (80 women, Luo et al., Int
Urogynecol J 2016;27:1087-1095). Shares of the menopause, of hysterectomy, retroversion and fibroids are assumptions of
this simulation, for women of 45 to 80 years.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.research.phantom.lattice import Vector, vector
from models.research.phantom.raster import Layer, Solid
from models.research.phantom.shapes import Capsule, Ellipsoid, Shape, Union, rotation
from models.research.phantom.tissue import Tissue

POSTMENOPAUSAL_SHARE, HYSTERECTOMY_SHARE, RETROVERTED_SHARE, FIBROID_SHARE = 0.75, 0.1, 0.2, 0.35
FORNIX: Vector = (0.0, 4.0, -2.0)
"""Top of the vagina, where the cervix enters."""


@dataclass(frozen=True, slots=True)
class Uterus:
    """Axis from the outer os to the fundus, lengths in mm."""

    os: Vector
    isthmus: Vector
    fundus: Vector
    radius: float
    endometrium_mm: float


def bladder(rng: np.random.Generator) -> list[Layer]:
    """Bladder in front of the uterus, which presses its dome in: wider, shallower and lower than a man's."""
    fill = float(rng.uniform(0.75, 1.2))
    wall = float(rng.uniform(2.4, 4.2) / fill)
    top = Ellipsoid((0, -46, 8 + 13 * fill), (44 * fill, 23 * fill**0.5, 15 * fill))
    base = Ellipsoid((0, -38, 4), (30 * fill**0.5, 19, 15))
    return [Solid(Union((top, base), 10), ((Tissue.BLADDER_WALL, 0), (Tissue.URINE, wall)), 3)]


def female_organs(rng: np.random.Generator) -> list[Layer]:
    """Urethra, vagina, uterus with cervix, endometrium and fibroids, both ovaries; some without a uterus."""
    post = bool(rng.random() < POSTMENOPAUSAL_SHARE)
    layers = [*_urethra(), *_vagina(rng)]
    if rng.random() >= HYSTERECTOMY_SHARE:
        uterus = _draw_uterus(rng, post)
        layers += _uterine_layers(uterus, rng)
    return layers + _ovaries(rng, post)


def _urethra() -> list[Layer]:
    tube = Capsule((0, -36, -12), (0, -38, -48), 7.0, 6.0)
    return [Solid(tube, ((Tissue.MUSCLE, 0), (Tissue.SUBMUCOSA, 2.4), (Tissue.MUSCULARIS, 5.0)), 1.6)]


def _vagina(rng: np.random.Generator) -> list[Layer]:
    """A flat tube from the introitus to the fornix: wall, and a bright line of mucus within."""
    scale = float(rng.uniform(0.8, 1.2))
    tilt = float(rng.uniform(-2, 2))
    stations = ((-62.0, -27.0, 8.5), (-46.0, -17.0, 11.0), (-30.0, -10.0, 14.0), (-14.0, -3.0, 18.0), (0.0, 4.0, 19.0))
    thick = float(rng.uniform(3.6, 5.2))
    parts: list[Shape] = []
    for (z, y, half), (z_next, y_next, half_next) in pairwise(stations):
        middle = (0.0, (y + y_next) / 2 + tilt, (z + z_next) / 2)
        slope = float(np.degrees(np.arctan2(y_next - y, z_next - z)))
        wide = (half + half_next) / 2 * scale
        parts.append(Ellipsoid(middle, (wide, thick, 13.0), rotation((-slope, 0, 0))))
    return [Solid(Union(tuple(parts), 5), ((Tissue.VAGINA, 0), (Tissue.SUBMUCOSA, thick * 0.72)), 1.8)]


def _draw_uterus(rng: np.random.Generator, post: bool) -> Uterus:
    length = float(rng.uniform(35, 60) if post else rng.uniform(68, 88))
    lean = float(rng.uniform(-70, -30) if rng.random() >= RETROVERTED_SHARE else rng.uniform(-4, 16))
    sway = float(rng.uniform(-14, 14))
    neck, body = 0.42 * length, 0.58 * length
    os = np.add(FORNIX, (0.0, float(rng.uniform(-2, 3)), float(rng.uniform(-4, 4))))
    isthmus = os + neck * np.array([0.15 * sway / 14, -0.18, 0.98])
    angle = np.deg2rad(lean)
    fundus = isthmus + body * np.array([np.sin(np.deg2rad(sway)), np.sin(angle), np.cos(angle)])
    return Uterus(
        os=vector(os),
        isthmus=vector(isthmus),
        fundus=vector(fundus),
        radius=float(length * rng.uniform(0.24, 0.31)),
        endometrium_mm=float(rng.uniform(1.2, 4.0) if post else rng.uniform(5, 12)),
    )


def _uterine_layers(uterus: Uterus, rng: np.random.Generator) -> list[Layer]:
    """Corpus and cervix as round cones, zones within; fibroids in the corpus of some."""
    radius, stripe = uterus.radius, uterus.endometrium_mm / 2
    neck = max(0.62 * radius, 8.0)
    fundus, isthmus = np.asarray(uterus.fundus), np.asarray(uterus.isthmus)
    core = vector(fundus - 0.75 * (radius / np.linalg.norm(fundus - isthmus)) * (fundus - isthmus))
    corpus = Capsule(uterus.isthmus, core, neck * 0.9, radius)
    cervix = Capsule(uterus.os, uterus.isthmus, neck * 1.12, neck * 0.9)
    cavity = Capsule(uterus.isthmus, core, 0.8, stripe + 0.2)
    layers: list[Layer] = [
        Solid(Union((corpus, cervix), 5), ((Tissue.FASCIA, 0), (Tissue.MYOMETRIUM, 0.8)), 2),
        Solid(cervix, ((Tissue.CERVIX, 0.8), (Tissue.JUNCTIONAL_ZONE, 3.2), (Tissue.SUBMUCOSA, neck - 2.4)), 1.8),
        Solid(cavity, ((Tissue.JUNCTIONAL_ZONE, -3.2), (Tissue.ENDOMETRIUM, 0), (Tissue.FLUID, stripe - 0.4)), 1.5),
    ]
    if rng.random() < FIBROID_SHARE:
        for _ in range(int(rng.integers(1, 4))):
            size = float(rng.uniform(5, 16))
            place = core + rng.normal(0, 1, 3) * (0.75 * radius, 0.5 * radius, 0.6 * radius)
            lump = Ellipsoid(vector(place), vector(size * rng.uniform(0.85, 1.15, 3)))
            layers.append(Solid(lump, ((Tissue.FASCIA, 0), (Tissue.FIBROID, 0.8)), 2))
    return layers


def _ovaries(rng: np.random.Generator, post: bool) -> list[Layer]:
    """Ovaries beside the uterus with follicles: many before the menopause, now and then one after it."""
    layers: list[Layer] = []
    for side in (-1, 1):
        centre = np.array([side * rng.uniform(34, 46), rng.uniform(-2, 22), rng.uniform(24, 48)])
        scale = float(rng.uniform(0.6, 0.85) if post else rng.uniform(0.95, 1.25))
        turn = (0.0, float(rng.uniform(-30, 30)), side * float(rng.uniform(-30, 30)))
        shape = Ellipsoid(vector(centre), (8 * scale, 10 * scale, 14 * scale), rotation(turn))
        layers.append(Solid(shape, ((Tissue.FASCIA, 0), (Tissue.OVARY, 0.8)), 1.8))
        for _ in range(int(rng.integers(0, 2) if post else rng.integers(4, 9))):
            size = float(rng.uniform(1.4, 3.6) if rng.random() < 0.85 else rng.uniform(5, 9))
            place = centre + rng.uniform(-1, 1, 3) * (4 * scale, 6 * scale, 9 * scale)
            layers.append(Solid(Ellipsoid(vector(place), (size, size, size)), ((Tissue.FLUID, 0),), 1.4))
    return layers
