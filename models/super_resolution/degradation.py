"""What a thick slice sees of thin ones: the slice profile of the excitation, then Rician noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class SliceProfile:
    """A rectangle of the slice thickness with soft edges, as a selective RF pulse excites it.

    Attributes:
        thickness: full width at half maximum, as a share of the slice step (below 1: there are gaps).
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


def thicken(thin: torch.Tensor, factor: int, profile: SliceProfile) -> torch.Tensor:
    """Noise-free thick slices: (B, C, factor * Z, Y, X) to (B, C, Z, Y, X)."""
    slices = thin.shape[2] // factor
    if slices * factor != thin.shape[2]:
        raise ValueError(f"{thin.shape[2]} thin slices are no multiple of {factor}")
    weights = profile.weights(slices, factor).to(thin)
    return torch.einsum("tz,bczyx->bctyx", weights, thin)


def add_rician_noise(volume: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Magnitude of the volume plus complex Gaussian noise of the given standard deviation per channel."""
    if deviation == 0:
        return volume
    real, imaginary = (torch.randn(volume.shape, generator=generator).to(volume) * deviation for _ in range(2))
    return torch.hypot(volume + real, imaginary)


def degrade(thin: torch.Tensor, factor: int, generator: torch.Generator) -> torch.Tensor:
    """Thick slices with a random profile and noise level, for (B, 1, factor * Z, Y, X) in units of 0 to about 1.

    Thickness 80 to 100 % of the step, edge softness 8 to 25 %, noise 0 to 4 % of the intensity range.
    """
    thickness, softness, noise = torch.rand(3, generator=generator).tolist()
    profile = SliceProfile(thickness=0.8 + 0.2 * thickness, softness=0.08 + 0.17 * softness)
    return add_rician_noise(thicken(thin, factor, profile), 0.04 * noise, generator)
