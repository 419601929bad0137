"""Edge-aligned interpolation as matrices: what the generator's residual is added to."""

from __future__ import annotations

import torch

from models.super_resolution.degradation import Factor, along


def cubic_weights(voxels: int, factor: int) -> torch.Tensor:
    """(voxels * factor, voxels) weights of Keys' cubic convolution, a = -1/2; the border value is continued.

    Keys, IEEE Trans Acoust Speech Signal Process 1981;29:1153-1160.
    """
    place = (torch.arange(voxels * factor, dtype=torch.float64) + 0.5) / factor - 0.5
    weights = torch.zeros(voxels * factor, voxels, dtype=torch.float64)
    for shift in (-1, 0, 1, 2):
        neighbour = place.floor() + shift
        d = (place - neighbour).abs()
        near = 1.5 * d**3 - 2.5 * d**2 + 1
        far = -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        weight = torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
        weights.scatter_add_(1, neighbour.long().clamp(0, voxels - 1)[:, None], weight[:, None])
    return weights.float()


def interpolate(thick: torch.Tensor, factor: Factor) -> torch.Tensor:
    """Edge-aligned cubic interpolation: (B, C, Z, Y, X) to (B, C, fz * Z, fy * Y, fx * X)."""
    for axis, parts in zip((4, 3, 2), factor, strict=True):
        if parts > 1:
            thick = along(cubic_weights(thick.shape[axis], parts), thick, axis)
    return thick
