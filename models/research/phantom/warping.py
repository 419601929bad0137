"""Images whose rows are displaced: signal that lands elsewhere (pushed), and anatomy that has moved (pulled)."""

from __future__ import annotations

import numpy as np

from models.research.phantom.lattice import Array

PUSHED_PARTS = 3
"""Each voxel is pushed in so many parts, so that a stretched region has no holes up to that factor."""


def push_rows(image: Array, shift: Array) -> Array:
    """Signal of each voxel (z, y, x) put `shift` rows further on; what meets there adds up, what leaves is lost.

    The sum over a column is kept within the image, so the intensity is divided by the local stretch (the Jacobian
    1 + d shift / d row), and where regions fold over one another they pile up.
    """
    slices, rows, columns = image.shape
    result = np.zeros(slices * rows * columns)
    column = np.arange(columns)[None, :]
    padded = rows + 2
    for number, (plane, moved) in enumerate(zip(image, shift, strict=True)):
        total = np.zeros(padded * columns)
        for part in range(PUSHED_PARTS):
            offset = np.float32((part + 0.5) / PUSHED_PARTS - 0.5)
            landing = np.arange(rows, dtype=np.float32)[:, None] + offset + _between(moved, offset)
            values = _between(plane, offset) / PUSHED_PARTS
            landing = np.clip(landing, -1, rows)
            low = np.minimum(np.floor(landing), rows - 1).astype(np.intp)
            share = landing - low
            place = ((low + 1) * columns + column).ravel()
            total += np.bincount(place, (values * (1 - share)).ravel(), padded * columns)
            total += np.bincount(place + columns, (values * share).ravel(), padded * columns)
        start = number * rows * columns
        result[start : start + rows * columns] = total[columns:-columns]
    return result.reshape(image.shape).astype(np.float32)


def pull_rows(image: Array, shift: Array) -> Array:
    """Anatomy moved by `shift` rows: each voxel (z, y, x) takes the value `shift` rows before it."""
    rows = image.shape[1]
    place = np.clip(np.arange(rows, dtype=np.float32)[None, :, None] - shift, 0, rows - 1)
    low = np.minimum(place.astype(np.intp), rows - 2)
    share = place - low
    below = np.take_along_axis(image, low, axis=1)
    below += share * (np.take_along_axis(image, low + 1, axis=1) - below)
    return below


def _between(plane: Array, offset: np.float32) -> Array:
    """Values (y, x) at rows displaced by `offset` (-0.5 to 0.5), interpolated linearly."""
    if offset == 0:
        return plane
    neighbour = np.empty_like(plane)
    if offset > 0:
        neighbour[:-1], neighbour[-1] = plane[1:], plane[-1]
    else:
        neighbour[1:], neighbour[0] = plane[:-1], plane[0]
    return plane + np.float32(abs(offset)) * (neighbour - plane)
