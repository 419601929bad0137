"""3D residual generator that works at low resolution and ends in a sub-pixel shuffle along the slice axis."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.manifest import Manifest


class Generator(nn.Module):
    """(B, 1, Z, Y, X) to (B, 1, factor * Z, Y, X): interpolated input plus a learned residual.

    All convolutions run on the thick grid; the last gives `factor` channels, which the shuffle lays out as
    thin slices. Linear interpolation is edge aligned, like the result.
    """

    def __init__(self, features: int, blocks: int, factor: int) -> None:
        super().__init__()
        if factor < 2 or blocks < 1 or features < 1:
            raise ValueError(f"factor {factor} (from 2), blocks {blocks}, features {features} (from 1)")
        self.factor = factor
        self.head = nn.Conv3d(1, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.tail = nn.Conv3d(features, factor, 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(_bias(self.tail))

    @property
    def reach(self) -> int:
        """Voxels of the thick grid on each side that can influence an output voxel."""
        return 2 + 2 * len(self.body)

    def forward(self, thick: torch.Tensor) -> torch.Tensor:
        features = self.head(thick)
        residual = self.tail(functional.leaky_relu(features + self.body(features), 0.1))
        made: torch.Tensor = interpolate_slices(thick, self.factor) + shuffle_slices(residual)
        return made


class ResidualBlock(nn.Module):
    """Convolution, leaky ReLU, convolution, plus the input; no normalisation, which would lose the scale."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(features, features, 3, padding=1)
        self.second = nn.Conv3d(features, features, 3, padding=1)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.second(functional.leaky_relu(self.first(volume), 0.1))
        return volume + change


def interpolate_slices(thick: torch.Tensor, factor: int) -> torch.Tensor:
    """Edge-aligned linear interpolation along z: (B, C, Z, Y, X) to (B, C, factor * Z, Y, X)."""
    fine: torch.Tensor = functional.interpolate(
        thick, scale_factor=(factor, 1, 1), mode="trilinear", align_corners=False
    )
    return fine


def shuffle_slices(channels: torch.Tensor) -> torch.Tensor:
    """(B, factor, Z, Y, X) to (B, 1, factor * Z, Y, X): channel c of slice z becomes thin slice factor * z + c."""
    return channels.transpose(1, 2).flatten(1, 2).unsqueeze(1)


def build_generator(manifest: Manifest) -> Generator:
    """The untrained generator that a bundle describes. Raises ValueError for a refinement in plane."""
    if manifest.factor is None or manifest.factor[:2] != (1, 1):
        raise ValueError(f"factor {manifest.factor}: this generator refines the third axis only, (1, 1, n)")
    return Generator(factor=manifest.factor[2], **manifest.architecture)


def _bias(layer: nn.Conv3d) -> torch.Tensor:
    if layer.bias is None:
        raise ValueError("the layer has no bias")
    return layer.bias
