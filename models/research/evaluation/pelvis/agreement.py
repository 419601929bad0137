"""How well two readings of a rectum agree, slice by slice and over all slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from models.research.evaluation.pelvis.outlines import (
    READINGS,
    Contour,
    Mask,
    Points,
    Structure,
    contours,
    indices_on,
    rectum_on,
)
from models.volume import Grid


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the contours of one structure in two readings.

    slices: outlined in both. dice: over all slices together. hausdorff_95_mm: 95th percentile of the distances of the
    points of one curve from the other curve on the same slice, all slices together, the larger of both directions.
    centre_mm, centre_largest_mm: distance of the centres of area on a slice, mean and largest.
    """

    patient: str
    structure: Structure
    slices: int
    dice: float
    hausdorff_95_mm: float
    centre_mm: float
    centre_largest_mm: float


def agreement(patient: str, structure: Structure, grid: Grid) -> Agreement:
    """Of both readings of a patient, on the grid of the series that was outlined; what lies off the image is left out.

    Raises VolumeError when the grid is another series'.
    """
    readings = [contours(patient, reading) for reading in READINGS]
    masks = [_mask(drawn, structure, grid) for drawn in readings]
    both, either = masks[0] & masks[1], int(masks[0].sum() + masks[1].sum())
    pairs = list(_pairs(readings[0], readings[1], structure))
    away = [_distances(one, other, grid) for one, other in pairs]
    one, other = (np.concatenate([it[side] for it in away]) for side in (0, 1))
    shared = np.flatnonzero(masks[0].any(axis=(1, 2)) & masks[1].any(axis=(1, 2)))
    centres = [np.linalg.norm(_centre(masks[0][k], grid) - _centre(masks[1][k], grid)) for k in shared]
    return Agreement(
        patient,
        structure,
        len(pairs),
        2 * int(both.sum()) / either,
        float(max(np.percentile(one, 95), np.percentile(other, 95))),
        float(np.mean(centres)),
        float(np.max(centres)),
    )


def wall_dice(patient: str, grid: Grid) -> float:
    """Dice of what both readings take for wall: a wall of 3 mm doubles the error of each of its surfaces."""
    one, other = (rectum_on(grid, contours(patient, reading)).wall for reading in READINGS)
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def _mask(drawn: tuple[Contour, ...], structure: Structure, grid: Grid) -> Mask:
    rectum = rectum_on(grid, drawn)
    return rectum.lumen if structure is Structure.LUMEN else rectum.outer


def _pairs(
    first: tuple[Contour, ...], second: tuple[Contour, ...], structure: Structure
) -> Iterator[tuple[Contour, Contour]]:
    """The contours of one structure on the slices that both readings have."""
    there = {it.slice: it for it in second if it.structure is structure}
    for contour in first:
        if contour.structure is structure and contour.slice in there:
            yield contour, there[contour.slice]


def _distances(one: Contour, other: Contour, grid: Grid) -> tuple[Points, Points]:
    """Of the points of each curve on the image from the other curve, mm."""
    first, second = one.curve(512), other.curve(512)
    return (
        np.asarray(cKDTree(second).query(_on_image(first, grid))[0]),
        np.asarray(cKDTree(first).query(_on_image(second, grid))[0]),
    )


def _on_image(points: Points, grid: Grid) -> Points:
    index = indices_on(points, grid)[:, :2]
    inside = ((index >= -0.5) & (index <= np.asarray(grid.size[:2]) - 0.5)).all(axis=1)
    return points[inside]


def _centre(inside: Mask, grid: Grid) -> Points:
    """Centre of area of a mask (y, x), mm along columns and rows."""
    return np.asarray(np.argwhere(inside).mean(axis=0) * np.asarray(grid.spacing[1::-1]), dtype=np.float64)
