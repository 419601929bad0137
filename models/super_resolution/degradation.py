"""Thick slices of thin ones: the slice profile of the excitation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Factor = tuple[int, int, int]
"""Thin voxels in a thick one along the index axes x, y, z; the arrays are (…, z, y, x)."""


@dataclass(frozen=True, slots=True)
class SliceProfile:
    """A rectangle of the slice thickness with soft edges, as a selective RF pulse excites it.

    Attributes:
        thickness: full width at half maximum, as a share of the slice step; below 1 there are gaps between slices,
            above 1 slices overlap.
        softness: standard deviation of the Gaussian that softens the edges, same unit.
    """

    thickness: float = 1.0
    softness: float = 0.15

    def weights(self, slices: int, factor: int) -> torch.Tensor:
        """(slices, slices * factor) share of each thin slice in each thick one; the rows sum to 1."""
        thin = (torch.arange(slices * factor) + 0.5) / factor
        offset = thin[None] - (torch.arange(slices) + 0.5)[:, None]
        scale = self.softness * 2**0.5
        edge = self.thickness / 2
        profile = torch.erf((offset + edge) / scale) - torch.erf((offset - edge) / scale)
        return profile / profile.sum(dim=1, keepdim=True)


def along(matrix: torch.Tensor, volume: torch.Tensor, axis: int) -> torch.Tensor:
    """`matrix` (new, old) applied along one axis of `volume`, always in float32: bfloat16 has 8 bits."""
    with torch.autocast(volume.device.type, enabled=False):
        moved = volume.float().movedim(axis, -1) @ matrix.to(volume.device).T
    return moved.movedim(-1, axis)


def thicken(thin: torch.Tensor, factor: Factor, profile: SliceProfile) -> torch.Tensor:
    """Noise-free thick voxels: (B, C, fz * Z, fy * Y, fx * X) to (B, C, Z, Y, X).

    The slice profile acts along z. In plane, where a factor is above 1, a pixel sees its own width (softness 0.15).
    Raises ValueError when a size is no multiple of its factor.
    """
    for axis, parts in zip((4, 3, 2), factor, strict=True):
        if thin.shape[axis] % parts:
            raise ValueError(f"{thin.shape[axis]} thin voxels along axis {axis} are no multiple of {parts}")
        if parts > 1:
            seen = profile if axis == 2 else SliceProfile()
            thin = along(seen.weights(thin.shape[axis] // parts, parts), thin, axis)
    return thin


def is_refinement(factor: Factor) -> bool:
    """Whether the factor divides voxels at all, and along no axis into less than one."""
    return min(factor) >= 1 and math.prod(factor) > 1
