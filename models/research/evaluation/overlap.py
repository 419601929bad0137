"""How well two masks agree: Dice coefficient, sensitivity, volume and surface distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance

from models.errors import VolumeError
from models.volume import volume_ml


@dataclass(frozen=True, slots=True)
class Overlap:
    """Agreement of a found mask with the true one on the same grid.

    Attributes:
        dice: 2 |A and B| / (|A| + |B|); 1 where both are empty.
        sensitivity: share of the true voxels that were found; 1 where there are none.
        hausdorff_95_mm: 95th percentile of the distances from the surface of one mask to that of the other, the
            larger of both directions; None where a mask is empty.
        volume_ml, true_volume_ml: volumes of the found and the true mask.
    """

    dice: float
    sensitivity: float
    hausdorff_95_mm: float | None
    volume_ml: float
    true_volume_ml: float


def compare(found: sitk.Image, true: sitk.Image) -> Overlap:
    """Overlap of two masks (non-zero is inside). Raises VolumeError when their grids differ in size."""
    if found.GetSize() != true.GetSize():
        raise VolumeError(f"masks of {found.GetSize()} and {true.GetSize()} voxels (x, y, z) cannot be compared")
    a = sitk.GetArrayViewFromImage(found) > 0
    b = sitk.GetArrayViewFromImage(true) > 0
    both, total = np.count_nonzero(a & b), np.count_nonzero(a) + np.count_nonzero(b)
    distance = _hausdorff_95(a, b, found.GetSpacing()) if a.any() and b.any() else None
    return Overlap(
        dice=2 * both / total if total else 1.0,
        sensitivity=both / np.count_nonzero(b) if b.any() else 1.0,
        hausdorff_95_mm=distance,
        volume_ml=volume_ml(found),
        true_volume_ml=volume_ml(true),
    )


def _hausdorff_95(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], spacing: tuple[float, float, float]) -> float:
    """Of masks (z, y, x) that are not empty; `spacing` is (x, y, z)."""
    one, other = (torch.from_numpy(mask)[None, None] for mask in (a, b))
    return float(compute_hausdorff_distance(one, other, percentile=95, spacing=spacing[::-1]))
