"""What a super-resolution is measured against without any network, all on its own grid.

Interpolations, and cubic B-spline brought into agreement with its input as the output of the network is: what the
network itself adds is told by the second, not by the first.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
import torch

from models.super_resolution.consistency import agree
from models.super_resolution.degradation import Factor, along
from models.volume import Float32, divided, grid_of, image_from, resample_onto

#: Samples on either side that Lanczos' window spans.
LOBES = 3


def interpolated(image: sitk.Image, factor: Factor) -> dict[str, sitk.Image]:
    """`image` divided by `factor` (x, y, z): linear, cubic B-spline, the same in agreement with its input, Lanczos."""
    grid = divided(grid_of(image), factor)
    cubic = resample_onto(image, grid, sitk.sitkBSpline)
    return {
        "linear": resample_onto(image, grid, sitk.sitkLinear),
        "cubic_b_spline": cubic,
        "cubic_in_agreement": image_from(_in_agreement(cubic, image, factor), grid),
        "lanczos": image_from(_lanczos(image, factor), grid),
    }


def lanczos_weights(voxels: int, factor: int) -> torch.Tensor:
    """(voxels * factor, voxels) edge-aligned weights of a sinc under the window of three lobes; the rows sum to 1.

    ITK's windowed sinc works on all three axes at once, which takes minutes where one axis is refined.
    """
    place = (torch.arange(voxels * factor, dtype=torch.float64) + 0.5) / factor - 0.5
    weights = torch.zeros(voxels * factor, voxels, dtype=torch.float64)
    for shift in range(1 - LOBES, LOBES + 1):
        neighbour = place.floor() + shift
        distance = place - neighbour
        weight = torch.sinc(distance) * torch.sinc(distance / LOBES)
        weights.scatter_add_(1, neighbour.long().clamp(0, voxels - 1)[:, None], weight[:, None])
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _lanczos(image: sitk.Image, factor: Factor) -> Float32:
    volume = torch.from_numpy(sitk.GetArrayFromImage(sitk.Cast(image, sitk.sitkFloat32)))
    for axis, parts in zip((2, 1, 0), factor, strict=True):
        if parts > 1:
            volume = along(lanczos_weights(volume.shape[axis], parts), volume, axis)
    return volume.numpy()


def _in_agreement(cubic: sitk.Image, image: sitk.Image, factor: Factor) -> Float32:
    """Averaged over the slice profile it returns `image` exactly; not below 0 where `image` is not, as of a network."""
    thin, thick = (
        torch.from_numpy(sitk.GetArrayFromImage(sitk.Cast(it, sitk.sitkFloat32)))[None, None] for it in (cubic, image)
    )
    made: Float32 = agree(thin, thick, factor, 1.0)[0, 0].numpy()
    return made if thick.min() < 0 else np.maximum(made, 0)
