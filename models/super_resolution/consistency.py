"""The result agrees with its input: averaged over the slice profile it returns what the slices measured.

A network can invent between the measurements, but not against them. The smallest change that makes thin slices y agree
with thick slices x, measured by the profile matrix W, is W⁺ (x - W y) with the pseudo-inverse W⁺ (the range-null space
decomposition, Wang et al., ICLR 2023). Where the input is noisy full agreement would bring its noise back: the network
says of each thick voxel which share of x - W y it takes for signal, and only that is corrected.

Volumes are (B, 1, Z, Y, X), thin ones (B, 1, fz * Z, fy * Y, fx * X).
"""

from __future__ import annotations

import torch

from models.rounding import beyond
from models.super_resolution.degradation import Factor, SliceProfile, along, thicken

#: What a slice is taken to see where its thickness is not known.
PROFILE = SliceProfile()
#: Thickness, as a share of the slice distance, that is told apart from the distance itself; headers round.
SAME_THICKNESS = 0.01
#: Thickness that is believed. Slices that overlap more are mostly interpolated ones of a 3D acquisition, and agreement
#: with them amplifies noise: at the upper limit 1.4 times as much as at 1.0, at 2.0 it would be 17 times.
THICKNESS_LIMITS = (0.5, 1.25)


def profile_of(thickness_mm: float | None, distance_mm: float) -> SliceProfile:
    """The slice profile of slices of a thickness at a distance from centre to centre; None: as thick as they are apart.

    Slice Thickness (0018,0050) against the distance of Image Position (Patient) (0020,0032): less is a gap.
    """
    if not thickness_mm or not beyond(abs(thickness_mm / distance_mm - 1), SAME_THICKNESS):
        return PROFILE
    thinnest, thickest = THICKNESS_LIMITS
    return SliceProfile(thickness=min(max(thickness_mm / distance_mm, thinnest), thickest))


def agree(
    thin: torch.Tensor,
    thick: torch.Tensor,
    factor: Factor,
    trust: torch.Tensor | float,
    profile: SliceProfile = PROFILE,
) -> torch.Tensor:
    """`thin` changed by as little as takes the share `trust`, 0 to 1 (B, 1, Z, Y, X), off its disagreement."""
    excess = disagreement(thin, thick, factor, profile) * trust
    for axis, parts in zip((4, 3, 2), factor, strict=True):
        if parts > 1:
            seen = profile if axis == 2 else PROFILE
            inverse = torch.linalg.pinv(seen.weights(excess.shape[axis], parts).double())
            excess = along(inverse.float(), excess, axis)
    return thin + excess


def disagreement(
    thin: torch.Tensor, thick: torch.Tensor, factor: Factor, profile: SliceProfile = PROFILE
) -> torch.Tensor:
    """Difference of `thick` and the thick slices of `thin`, both (B, 1, Z, Y, X)."""
    return thick - thicken(thin, factor, profile)
