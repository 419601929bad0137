"""Bladder, prostate, seminal vesicles, root of the penis, vessels and bowel loops in the anatomical frame (mm)."""

from __future__ import annotations

import numpy as np

from models.research.phantom.lattice import vector
from models.research.phantom.raster import Layer, Solid
from models.research.phantom.shapes import Capsule, Ellipsoid, Union, curve, rotation, stretches
from models.research.phantom.tissue import Tissue


def bladder(rng: np.random.Generator) -> list[Layer]:
    """Bladder with 60 to 350 ml of urine behind the symphysis; its top sinks in when it is nearly empty."""
    fill = float(rng.uniform(0.85, 1.3))
    wall = float(rng.uniform(2.6, 4.6) / fill)
    top = Ellipsoid((0, -38, 12 + 17 * fill), (41 * fill, 28 * fill**0.5, 19 * fill))
    base = Ellipsoid((0, -30, 12), (31 * fill**0.5, 24, 17))
    shape = Union((top, base), 10)
    return [Solid(shape, ((Tissue.BLADDER_WALL, 0), (Tissue.URINE, wall)), 3)]


def prostate(rng: np.random.Generator) -> list[Layer]:
    """Prostate of 20 to 70 ml: capsule, peripheral zone, enlarged transition zone, anterior stroma, urethra."""
    size = float(rng.uniform(0.84, 1.2))
    growth = float(rng.uniform(0.95, 1.2))
    back = -6.0
    centre = (0.0, back - 16 * size, -27.0)
    whole = Ellipsoid(centre, (25 * size, 16.5 * size, 20 * size), rotation((-12, 0, 0)))
    inner_half = (17.5 * size * growth, 11.5 * size * growth, 15 * size * growth)
    inner = Ellipsoid((0, centre[1] - 4.0 * size, centre[2] + 2.5 * size), inner_half, rotation((-12, 0, 0)))
    layers: list[Layer] = [
        Solid(whole, ((Tissue.FASCIA, 0), (Tissue.PERIPHERAL_ZONE, 1.1)), 2.5),
        Solid(inner, ((Tissue.FASCIA, 0), (Tissue.TRANSITION_ZONE, 0.8)), 2),
        Solid(
            Ellipsoid((0, centre[1] - 14 * size, centre[2]), (13 * size, 4 * size, 12 * size)), ((Tissue.MUSCLE, 0),), 2
        ),
    ]
    for _ in range(int(rng.integers(2, 7))):
        place = np.asarray(centre) + rng.uniform((-11, -10, -6), (11, 3, 11)) * size
        radius = float(rng.uniform(2.5, 5.5) * size)
        tissue = Tissue.PERIPHERAL_ZONE if rng.random() < 0.45 else Tissue.TRANSITION_ZONE
        nodule = Ellipsoid(vector(place), (radius, radius, radius * 1.1))
        layers.append(Solid(nodule, ((Tissue.FASCIA, 0), (tissue, 0.7)), 1.5))
    urethra = Capsule((0, centre[1] - 3, centre[2] + 14 * size), (0, centre[1] + 1, centre[2] - 20 * size), 2.4, 2.2)
    layers.append(Solid(urethra, ((Tissue.MUSCULARIS, 0), (Tissue.SUBMUCOSA, 1.0)), 1.5))
    return layers + _plexus(rng, centre, size)


def _plexus(rng: np.random.Generator, centre: tuple[float, float, float], size: float) -> list[Layer]:
    """Veins around the prostate: slow flow, bright on T2."""
    layers: list[Layer] = []
    for _ in range(10):
        side = 1 if rng.random() < 0.5 else -1
        x = side * float(rng.uniform(25, 32) * size)
        y, z = centre[1] + float(rng.uniform(-14, 12)), centre[2] + float(rng.uniform(-12, 18))
        vein = Capsule((x, y, z), (x * 0.96, y + 4, z + float(rng.uniform(6, 14))), 1.6, 1.2)
        layers.append(Solid(vein, ((Tissue.SUBMUCOSA, 0),), 1.2))
    return layers


def seminal_vesicles(rng: np.random.Generator) -> list[Layer]:
    """Two lobulated vesicles behind the bladder, each a row of blended lobules."""
    layers: list[Layer] = []
    for side in (-1, 1):
        length = float(rng.uniform(0.75, 1.1))
        radius = float(rng.uniform(3.4, 5.2))
        lobules = []
        for share in np.linspace(0, 1, 7):
            place = np.array([side * (4 + 34 * length * share), -4 + 6 * share, -6 + 14 * share])
            place += rng.uniform(-2, 2, 3)
            lobules.append(Capsule(vector(place), vector(place + rng.uniform(-3, 3, 3)), radius, radius * 0.8))
        layers.append(Solid(Union(tuple(lobules), 2), ((Tissue.MUSCULARIS, 0), (Tissue.SEMINAL_VESICLE, 1.4)), 1.6))
    return layers


def penile_root() -> list[Layer]:
    """Bulb and crura below the urogenital diaphragm."""
    layers: list[Layer] = [
        Solid(
            Union((Ellipsoid((0, -16, -62), (12, 20, 11)), Capsule((0, -30, -64), (0, -52, -70), 9, 8)), 8),
            ((Tissue.FASCIA, 0), (Tissue.CORPUS_SPONGIOSUM, 1.2)),
            3,
        ),
        Solid(Ellipsoid((0, -22, -48), (22, 16, 5)), ((Tissue.MUSCLE, 0),), 3),
    ]
    for side in (-1, 1):
        crus = Union(
            curve([(side * 40, 0, -74), (side * 26, -24, -64), (side * 12, -46, -60), (side * 8, -60, -66)], 6, 9), 4
        )
        layers.append(Solid(crus, ((Tissue.FASCIA, 0), (Tissue.CORPUS_SPONGIOSUM, 1.2)), 3))
    return layers


def vessels(rng: np.random.Generator) -> list[Layer]:
    """External iliac and femoral, internal iliac and obturator arteries and veins, both sides."""
    layers: list[Layer] = []
    for side in (-1, 1):
        dx, dy = (float(value) for value in rng.uniform(-3, 3, 2))
        artery = [
            (24, 10, 175),
            (34, 8, 130),
            (48, -14, 90),
            (58, -40, 50),
            (66, -66, 12),
            (72, -76, -40),
            (76, -66, -120),
        ]
        vein = [
            (22, 20, 175),
            (36, 18, 130),
            (50, -2, 90),
            (54, -28, 50),
            (56, -58, 12),
            (60, -72, -40),
            (68, -62, -120),
        ]
        inner = [(36, 12, 128), (42, 34, 98), (48, 48, 66), (50, 44, 34), (46, 30, 8)]
        inner_vein = [(40, 20, 128), (48, 40, 98), (54, 52, 66), (54, 40, 30), (46, 18, 0)]
        for path, tissue, first, last in (
            (artery, Tissue.ARTERY, 5.6, 4.2),
            (vein, Tissue.VEIN, 7.0, 5.2),
            (inner, Tissue.ARTERY, 3.6, 1.4),
            (inner_vein, Tissue.VEIN, 4.4, 1.8),
            ([(46, 30, 60), (47, 10, 30), (46, -20, 4)], Tissue.VEIN, 2.0, 1.4),
            ([(52, 50, 62), (66, 66, 42), (84, 66, 20)], Tissue.ARTERY, 2.6, 2.0),
        ):
            moved = [(side * (x + dx), y + dy, z) for x, y, z in path]
            layers += [Solid(piece, ((tissue, 0),), 1.6) for piece in stretches(curve(moved, first, last))]
    return layers


def bowel_loops(rng: np.random.Generator) -> list[Solid]:
    """Small bowel above and beside the bladder, filled with fluid, food or gas; two may lie low."""
    layers: list[Solid] = []
    for _ in range(int(rng.integers(7, 19))):
        start = rng.uniform((-58, -66, 66), (58, 8, 190))
        steps = rng.uniform(-26, 26, (3, 3))
        path = np.vstack([start, start + np.cumsum(steps, axis=0)])
        path = np.clip(path, (-64, -70, 62), (64, 18, 230))
        radius = float(rng.uniform(7.5, 12.5))
        content = (Tissue.FLUID, Tissue.STOOL, Tissue.GAS)[int(rng.choice(3, p=(0.45, 0.4, 0.15)))]
        loop = Union(curve(path, radius, radius * 0.9), 4)
        layers.append(Solid(loop, ((Tissue.BOWEL_WALL, 0), (content, 2.2)), 2.5))
    for _ in range(int(rng.integers(0, 3))):
        start = rng.uniform((-34, -8, 52), (34, 14, 64))
        path = np.vstack([start, start + np.cumsum(rng.uniform((-26, -8, -4), (26, 8, 18), (2, 3)), axis=0)])
        radius = float(rng.uniform(6.5, 9.5))
        content = Tissue.FLUID if rng.random() < 0.6 else Tissue.STOOL
        loop = Union(curve(path, radius, radius * 0.9), 4)
        layers.append(Solid(loop, ((Tissue.BOWEL_WALL, 0), (content, 2.0)), 2.2))
    return layers
