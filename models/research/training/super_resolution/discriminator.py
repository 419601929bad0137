"""MONAI's 3D patch discriminator: judges overlapping pieces of a thin-slice volume as real or generated."""

from __future__ import annotations

import torch
from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
from torch import nn
from torch.nn import functional


class Discriminator(nn.Module):
    """(B, 1, Z, Y, X) to (B, 1, z, y, x) scores, one for each piece; 1 means real (least-squares GAN).

    Instance normalisation, because batches are small. A volume thinner than a piece is continued by its border.
    """

    def __init__(self, features: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.least = 3 * 2**layers
        self.pieces = PatchDiscriminator(
            spatial_dims=3, channels=features, in_channels=1, num_layers_d=layers, norm="INSTANCE"
        )

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        missing = [max(0, self.least - size) for size in volume.shape[2:]]
        if any(missing):
            volume = functional.pad(volume, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
        scores: torch.Tensor = self.pieces(volume)[-1]
        return scores
