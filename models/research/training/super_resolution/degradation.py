"""Thick and noisy slices of thin ones, as a training sees them: random profiles, Rician noise and its measure."""

from __future__ import annotations

import random

import torch
from torch.nn import functional

from models.super_resolution.degradation import Factor, SliceProfile, thicken

#: Ranges of the profiles and noise in training: from gaps of 15 % of the step to slices that overlap by 10 %.
THICKNESS = (0.85, 1.1)
SOFTNESS = (0.08, 0.25)
LARGEST_NOISE = 0.04
_MEDIAN_TO_DEVIATION = 1.4826


def add_rician_noise(volume: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Magnitude of the volume plus complex Gaussian noise of the given standard deviation per channel.

    `volume`: (B, 1, Z, Y, X).
    """
    if deviation == 0:
        return volume
    real, imaginary = (torch.randn(volume.shape, generator=generator).to(volume) * deviation for _ in range(2))
    return torch.hypot(volume + real, imaginary)


def random_profile(chooser: random.Random) -> SliceProfile:
    """A profile drawn evenly from the ranges of training."""
    return SliceProfile(chooser.uniform(*THICKNESS), chooser.uniform(*SOFTNESS))


def degrade(
    thin: torch.Tensor, factor: Factor, chooser: random.Random, largest_noise: float = LARGEST_NOISE
) -> torch.Tensor:
    """Thick slices with a random profile and noise level, for thin (B, 1, Z, Y, X) in units of 0 to about 1.

    The noise is 0 to `largest_noise` of the intensity range, small levels more often than large ones.
    """
    deviation = largest_noise * chooser.random() ** 2
    noise = torch.Generator().manual_seed(chooser.getrandbits(62))
    return add_rician_noise(thicken(thin, factor, random_profile(chooser)), deviation, noise)


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
