"""The form of vessels: where in the body to look for them, and which parts of a mask are tubes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.enhancement.phases import Array
from models.rounding import at_least, beyond, whole_above

_SHELL_MM = 10.0  # skin and what breathes with it
_REFERENCE_ML = 0.5
_SMALLEST_VESSEL_ML = 0.15
_SHORTEST_VESSEL_MM = 15.0
_FEWEST_VOXELS = 5
_SHEET_RADIUS_MM = 3.5

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Interior:
    """The body without its outer centimetre, as a mask (z, y, x) with its spacing (mm)."""

    inside: Mask
    spacing: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return math.prod(self.spacing) / 1000

    @property
    def rank(self) -> int:
        """Voxels in `_REFERENCE_ML`."""
        return int(whole_above(_REFERENCE_ML / self.voxel_ml))


def interior(mean: Array, spacing: tuple[float, float, float]) -> Mask:
    """The body without its outer centimetre, slice by slice. `mean`: (z, y, x)."""
    threshold = 0.25 * np.median(mean[mean > mean.mean()]) if mean.max() > mean.min() else math.inf
    plane = np.zeros((3, 3, 3), dtype=bool)
    plane[1] = True
    labels, count = ndimage.label(ndimage.binary_opening(mean > threshold, plane))
    if count == 0:
        return np.zeros(mean.shape, dtype=bool)
    body = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    filled = np.pad(np.stack([ndimage.binary_fill_holes(part) for part in body]), ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(filled, sampling=(1e4, *spacing[1:]))
    return beyond(depth[:, 1:-1, 1:-1], _SHELL_MM)


def tubes_of(body: Interior, chosen: Mask) -> Labels:
    """Labels from 1 of the connected parts of the chosen voxels that have the form of a vessel. `chosen`: (z, y, x).

    Of one dimension, the voxels of the interior; 0 outside the vessels.
    """
    found = np.zeros(body.inside.shape, dtype=bool)
    found[body.inside] = chosen
    labels, _ = ndimage.label(found, np.ones((3, 3, 3)))
    tubes = np.zeros(labels.shape, dtype=np.int32)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == index
        if _is_tube(part, body):
            tubes[box][part] = tubes.max() + 1
    return tubes[body.inside]


def _is_tube(part: Mask, body: Interior) -> bool:
    """Long for its volume, and no thin sheet, as moving surfaces are; a bifurcation is flat, but not thin."""
    volume_ml = np.count_nonzero(part) * body.voxel_ml
    if not at_least(volume_ml, _SMALLEST_VESSEL_ML) or np.count_nonzero(part) < _FEWEST_VOXELS:
        return False
    spread = np.cov((np.argwhere(part) * np.asarray(body.spacing)).T)
    thickness, breadth, length = np.sqrt(12 * np.maximum(np.linalg.eigvalsh(spread), 0))
    if length < _SHORTEST_VESSEL_MM or volume_ml > 0.3 * length**3 / 1000:
        return False
    radius = ndimage.distance_transform_edt(np.pad(part, 1), sampling=body.spacing).max()
    return bool(breadth <= 3 * thickness or at_least(radius, _SHEET_RADIUS_MM))
