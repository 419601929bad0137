"""A pelvis made of tubes: a bowel of known size along z in fat, muscle beside it."""

from __future__ import annotations

import numpy as np
import pytest

from models.research.evaluation.pelvis.bowel import bowel_of
from models.research.evaluation.pelvis.outlines import Contour, Structure
from models.volume import Grid, image_from

GRID = Grid((96, 96, 16), (1.0, 1.0, 4.0), (-48.0, -40.0, 5.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
MIDDLE = (48.0, 52.0)
OUTER, LUMEN = 15.0, 11.0
MUSCLE_MM = (-28.0, -20.0, 37.0)
FAT, MUSCLE, WALL, GAS, NOISE = 300.0, 80.0, 180.0, 10.0, 6.0


def ring(radius, number, structure):
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    x, y = MIDDLE[0] + radius * np.cos(angle), MIDDLE[1] + radius * np.sin(angle)
    points = np.asarray(GRID.origin) + np.column_stack([x, y, np.full(14, 4.0 * number)])
    return Contour("nobody", 1, structure, number, "", points)


@pytest.fixture(scope="session")
def tube():
    return tuple(
        ring(radius, number, structure)
        for number in range(1, 15)
        for structure, radius in ((Structure.OUTER_WALL, OUTER), (Structure.LUMEN, LUMEN))
    )


@pytest.fixture(scope="session")
def bowel(tube):
    return bowel_of(tube, GRID)


@pytest.fixture(scope="session")
def image():
    _, y, x = np.indices(GRID.size[::-1], np.float32)
    away = np.hypot(x - MIDDLE[0], y - MIDDLE[1])
    values = np.select([away < LUMEN, away < OUTER, np.hypot(x - 20, y - 20) < 14], [GAS, WALL, MUSCLE], FAT)
    noise = np.random.default_rng(2).standard_normal(values.shape) * NOISE
    return image_from(np.maximum(values + noise, 0).astype(np.float32), GRID)
