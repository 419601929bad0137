"""Losses of generator and discriminator: L1, gradient, perceptual and adversarial, with weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the four parts of the generator's loss; a part of weight 0 is not computed.

    `rounding`: the error below which the L1 part turns quadratic, as a share of the intensity range; 0 for plain L1.
    """

    l1: float = 1.0
    gradient: float = 0.5
    perceptual: float = 0.05
    adversarial: float = 0.005
    rounding: float = 0.0


def charbonnier_loss(made: torch.Tensor, true: torch.Tensor, rounding: float) -> torch.Tensor:
    """Mean of √(d² + r²) - r over the differences d of two volumes; with r = 0 the mean absolute difference.

    Both are (B, 1, Z, Y, X).

    Charbonnier et al., IEEE Trans Image Process 1997;6:298-311.
    """
    if rounding == 0:
        return functional.l1_loss(made, true)
    return (torch.hypot(made - true, made.new_tensor(rounding)) - rounding).mean()


def gradient_loss(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the finite differences along z, y and x of two (B, 1, Z, Y, X) volumes."""
    parts = [functional.l1_loss(made.diff(dim=axis), true.diff(dim=axis)) for axis in (2, 3, 4)]
    return torch.stack(parts).mean()


def perceptual_loss(made: torch.Tensor, true: torch.Tensor, features: nn.Module) -> torch.Tensor:
    """Mean absolute difference of the features that a trained network sees in two (B, 1, Z, Y, X) volumes.

    Both are standardised with mean and deviation of the true one, as the feature network's training was.
    """
    mean = true.mean(dim=(2, 3, 4), keepdim=True)
    deviation = true.std(dim=(2, 3, 4), keepdim=True).clamp_min(1e-3)
    with torch.no_grad():
        wanted = features((true - mean) / deviation)
    found = features((made - mean) / deviation)
    parts = [functional.l1_loss(a.float(), b.float()) for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()


def generator_loss(
    made: torch.Tensor,
    true: torch.Tensor,
    weights: LossWeights,
    features: nn.Module | None = None,
    discriminator: nn.Module | None = None,
) -> dict[str, torch.Tensor]:
    """The parts of the generator's loss by name, weighted, and their sum as "total". Volumes are (B, 1, Z, Y, X).

    `features` and `discriminator` may be left out only where their weights are 0 (ValueError otherwise).
    """
    made, true = made.float(), true.float()
    parts = {
        "l1": weights.l1 * charbonnier_loss(made, true, weights.rounding),
        "gradient": weights.gradient * gradient_loss(made, true),
    }
    if weights.perceptual > 0:
        parts["perceptual"] = weights.perceptual * perceptual_loss(made, true, _needed(features, "perceptual"))
    if weights.adversarial > 0:
        scores = _needed(discriminator, "adversarial")(made).float()
        parts["adversarial"] = weights.adversarial * functional.mse_loss(scores, torch.ones_like(scores))
    return parts | {"total": torch.stack(list(parts.values())).sum()}


def discriminator_loss(made: torch.Tensor, true: torch.Tensor, discriminator: nn.Module) -> torch.Tensor:
    """Least-squares GAN: real pieces towards 1, generated ones towards 0. Volumes are (B, 1, Z, Y, X)."""
    real, fake = discriminator(true).float(), discriminator(made.detach()).float()
    return 0.5 * (functional.mse_loss(real, torch.ones_like(real)) + functional.mse_loss(fake, torch.zeros_like(fake)))


def _needed(network: nn.Module | None, part: str) -> nn.Module:
    if network is None:
        raise ValueError(f"the {part} loss has a weight but no network")
    return network
