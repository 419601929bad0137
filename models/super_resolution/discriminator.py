"""MONAI's 3D patch discriminator: judges overlapping pieces of a thin-slice volume as real or generated."""

from __future__ import annotations

import torch
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import nn


class Discriminator(nn.Module):
    """(B, 1, Z, Y, X) to (B, 1, z, y, x) scores, one for each piece; 1 means real (least-squares GAN).

    Instance normalisation, because batches are small.
    """

    def __init__(self, features: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.pieces = PatchDiscriminator(
            spatial_dims=3, channels=features, in_channels=1, num_layers_d=layers, norm="INSTANCE"
        )

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.pieces(volume)[-1]
        return scores
