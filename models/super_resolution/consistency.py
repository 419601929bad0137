"""The result agrees with its input: averaged over the slice profile it returns what the slices measured.

A network can invent between the measurements, but not against them. The smallest change that makes thin slices y agree
with thick slices x, measured by the profile matrix W, is W⁺ (x - W y) with the pseudo-inverse W⁺ (the range-null space
decomposition, Wang et al., ICLR 2023). Where the input is noisy full agreement would bring its noise back: the network
says of each thick voxel which share of x - W y it takes for signal, and only that is corrected.

Volumes are (B, 1, Z, Y, X), thin ones (B, 1, fz * Z, fy * Y, fx * X).
"""

from __future__ import annotations

import torch
from torch.nn import functional

from models.super_resolution.degradation import Factor, SliceProfile, along, thicken

#: What a slice is taken to see.
PROFILE = SliceProfile()
_MEDIAN_TO_DEVIATION = 1.4826


def agree(thin: torch.Tensor, thick: torch.Tensor, factor: Factor, trust: torch.Tensor | float) -> torch.Tensor:
    """`thin` changed by as little as takes the share `trust`, 0 to 1 (B, 1, Z, Y, X), off its disagreement."""
    excess = disagreement(thin, thick, factor) * trust
    for axis, parts in zip((4, 3, 2), factor, strict=True):
        if parts > 1:
            inverse = torch.linalg.pinv(PROFILE.weights(excess.shape[axis], parts).double())
            excess = along(inverse.float(), excess, axis)
    return thin + excess


def disagreement(thin: torch.Tensor, thick: torch.Tensor, factor: Factor) -> torch.Tensor:
    """What `thick` differs by from the thick slices of `thin`; (B, 1, Z, Y, X)."""
    return thick - thicken(thin, factor, PROFILE)


def noise_deviation(thick: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the noise of each volume (B, 1, 1, 1, 1), where there is signal.

    From second differences along rows and columns: linear structures cancel, noise is amplified by 6 (Immerkær, Comput
    Vis Image Underst 1996;64:300-302). Robust against edges (median); texture is counted as noise, that of a
    zero-filled image is underestimated. 0 for an image less than 3 pixels wide.
    """
    if min(thick.shape[3:]) < 3:
        return thick.new_zeros(len(thick), 1, 1, 1, 1)
    difference = thick.new_tensor([1.0, -2.0, 1.0])
    kernel = difference[:, None] * difference[None, :]
    detail = functional.conv3d(thick, kernel[None, None, None]).abs()
    inner = thick[:, :, :, 1:-1, 1:-1]
    found = [
        one[signal].median() if (signal := part > whole.mean()).any() else one.median()
        for one, part, whole in zip(detail, inner, thick, strict=True)
    ]
    return torch.stack(found).reshape(-1, 1, 1, 1, 1) * _MEDIAN_TO_DEVIATION / kernel.norm()
