"""A pelvis of ellipses in patient coordinates, on any grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import SimpleITK as sitk

from models.plausibility.body import body_of
from models.plausibility.corridor import Place, place_of
from models.research.phantom.specimen import draw_patient
from models.research.phantom.tissue import Tissue
from models.research.phantom.truth import tissue_labels
from models.volume import Grid, grid_of, image_from

FRONT_MM, BACK_MM, HALF_WIDTH_MM = -110.0, 100.0, 170.0
AIR, FAT, MUSCLE = 5.0, 600.0, 120.0


def _rotation(tilt_deg: float, turn_deg: float = 0.0) -> np.ndarray:
    """Directions of the axes of slices tilted about the left-right axis and turned about their normal."""
    a, b = np.deg2rad([tilt_deg, turn_deg])
    tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return tilt @ turn


@pytest.fixture(scope="session")
def pelvis() -> Callable[..., sitk.Image]:
    """An oval body of muscle under 20 mm of fat between FRONT_MM and BACK_MM, its midline at x = `midline`, in a field
    of view of `width` x `height` mm about `centre` (x, y); T1 contrast with suppressed fat where `fat` is dark."""

    def made(
        width: float = 400.0,
        height: float = 280.0,
        centre: tuple[float, float] = (0.0, -5.0),
        tilt_deg: float = 0.0,
        turn_deg: float = 0.0,
        midline: float = 0.0,
        fat: float = FAT,
        muscle: float = MUSCLE,
        slices: int = 20,
    ) -> sitk.Image:
        pixel, step = 2.5, 6.0
        size = (round(width / pixel), round(height / pixel), slices)
        axes = _rotation(tilt_deg, turn_deg)
        half = (np.array(size) - 1) / 2 * (pixel, pixel, step)
        origin = np.array([*centre, 0.0]) - axes @ half
        k, j, i = np.indices(size[::-1])
        points = origin + (np.stack([i, j, k], -1) * (pixel, pixel, step)) @ axes.T
        middle, depth = (FRONT_MM + BACK_MM) / 2, (BACK_MM - FRONT_MM) / 2
        x, y = points[..., 0] - midline, points[..., 1] - middle
        values = np.full(size[::-1], AIR)
        values[(x / HALF_WIDTH_MM) ** 2 + (y / depth) ** 2 < 1] = fat
        values[(x / (HALF_WIDTH_MM - 20)) ** 2 + (y / (depth - 20)) ** 2 < 1] = muscle
        for side in (-1, 1):  # hips, and fat beside the rectum: what makes left and right alike
            values[(x - side * 90) ** 2 + (y + 10) ** 2 < 25**2] = 0.6 * fat
            values[(x - side * 30) ** 2 + (y - 50) ** 2 < 15**2] = fat
        noise = np.random.default_rng(1).normal(0, 2, values.shape)
        grid = Grid(size, (pixel, pixel, step), tuple(origin.tolist()), tuple(axes.ravel().tolist()))
        return image_from(np.maximum(values + noise, 0).astype(np.float32), grid)

    return made


@pytest.fixture(scope="session")
def ball() -> Callable[..., np.ndarray]:
    """Points of a ball about (x, y, 0), LPS, mm."""

    def made(x: float, y: float, radius: float = 12.0) -> np.ndarray:
        steps = np.arange(-radius, radius + 1, 3.0)
        points = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
        return points[np.linalg.norm(points, axis=1) <= radius] + (x, y, 0.0)

    return made


@pytest.fixture(scope="session")
def simulated_places() -> tuple[list[Place], list[Place]]:
    """Places of tumour and prostate of simulated patients, in the body as their tissues show it."""
    tumours, prostates = [], []
    for seed in (910_001, 900_022):
        labels = tissue_labels(draw_patient(seed), 6.0)
        tissue = sitk.GetArrayFromImage(labels)
        body = body_of([image_from(np.where(tissue == Tissue.AIR, 0, 100).astype(np.float32), grid_of(labels))])
        prostate = (Tissue.PERIPHERAL_ZONE, Tissue.TRANSITION_ZONE)
        for found, wanted in ((tumours, (Tissue.TUMOUR,)), (prostates, prostate)):
            index = np.argwhere(np.isin(tissue, wanted))[:, ::-1]
            if len(index):
                found.append(place_of(np.array(labels.GetOrigin()) + index * np.array(labels.GetSpacing()), body))
    return tumours, prostates
