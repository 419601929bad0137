"""3D residual generator that works at low resolution and ends in a sub-pixel shuffle along the refined axes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.manifest import Manifest
from models.super_resolution.degradation import Factor, is_refinement
from models.super_resolution.interpolation import interpolate

#: Trust that an untrained network has in its input, before the sigmoid: 0.88.
_FIRST_TRUST = 2.0


class Generator(nn.Module):
    """(B, 1, Z, Y, X) to (B, 1, fz * Z, fy * Y, fx * X): cubic interpolation plus a learned residual.

    With it comes the trust in each thick voxel (B, 1, Z, Y, X), 0 for noise to 1 for signal, for `consistency.agree`.

    All convolutions run on the thick grid, whose rows and columns are first folded: `fold` x `fold` pixels become
    channels of one. Slices are several times thicker than pixels are wide, so that the folded grid is nearer to a
    cube, and features cost a quarter. The last convolution gives one channel for each thin voxel; the shuffle lays
    them out.
    """

    def __init__(self, features: int, blocks: int, factor: Factor, fold: int = 2) -> None:
        super().__init__()
        if not is_refinement(factor) or min(features, blocks, fold) < 1:
            raise ValueError(
                f"factor {factor} (from 1, one of them from 2), blocks {blocks}, features {features}, fold {fold} "
                "(from 1)"
            )
        self.factor, self.fold = factor, fold
        x, y, z = factor
        self.head = nn.Conv3d(fold * fold, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.tail = nn.Conv3d(features, z * (fold * y) * (fold * x), 3, padding=1)
        nn.init.zeros_(self.tail.weight)
        nn.init.zeros_(_bias(self.tail))
        self.trust = nn.Conv3d(features, fold * fold, 3, padding=1)
        nn.init.zeros_(self.trust.weight)
        nn.init.constant_(_bias(self.trust), _FIRST_TRUST)

    @property
    def reach(self) -> int:
        """Voxels of the thick grid on each side, in plane, that can influence an output voxel."""
        return self.fold * (2 + len(self.body) * ResidualBlock.REACH) + self.fold

    def forward(self, thick: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.unfolded(thick, *self.convolved(fold_pixels(thick, self.fold)))

    def convolved(self, folded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All convolutions: (B, fold * fold, Z, Y, X) to the channels of the residual and of the trust, same grid."""
        features = self.head(folded)
        features = functional.leaky_relu(features + self.body(features), 0.1)
        return self.tail(features), self.trust(features)

    def unfolded(
        self, thick: torch.Tensor, residual: torch.Tensor, trust: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The output for `thick` from what `convolved` gave for its folded pixels."""
        rows, columns = thick.shape[3:]
        x, y, z = self.factor
        fine = shuffle_voxels(residual, (self.fold * x, self.fold * y, z))[..., : rows * y, : columns * x]
        sure = shuffle_voxels(trust, (self.fold, self.fold, 1))[..., :rows, :columns]
        return interpolate(thick, self.factor) + fine, sure.sigmoid()


class Convolutions(nn.Module):
    """The part of a generator that takes the time, and that an engine runs: `Generator.convolved`, in float32 or less.

    Interpolation and agreement with the input stay in float32.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, folded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.generator.convolved(folded)


class ResidualBlock(nn.Module):
    """Convolution in the z-y plane, leaky ReLU, convolution in the z-x plane, plus the input.

    Both kernels contain the slice axis, along which detail is missing, and one axis that still shows it; a pair costs
    two thirds of one full 3 x 3 x 3 convolution. No normalisation, which would lose the scale.
    """

    #: Folded pixels in plane that a block adds to the reach.
    REACH = 1

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(features, features, (3, 3, 1), padding=(1, 1, 0))
        self.second = nn.Conv3d(features, features, (3, 1, 3), padding=(1, 0, 1))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.second(functional.leaky_relu(self.first(volume), 0.1))
        return volume + change


def fold_pixels(volume: torch.Tensor, fold: int) -> torch.Tensor:
    """(B, 1, Z, Y, X) to (B, fold * fold, Z, Y / fold, X / fold); odd sizes are continued by their border."""
    batch, _, slices, rows, columns = volume.shape
    volume = functional.pad(volume, (0, -columns % fold, 0, -rows % fold, 0, 0), mode="replicate")
    split = volume.unflatten(4, (-1, fold)).unflatten(3, (-1, fold))  # Shape: (B, 1, Z, Y / f, f, X / f, f)
    folded: torch.Tensor = split.permute(0, 1, 4, 6, 2, 3, 5).reshape(
        batch, fold * fold, slices, split.shape[3], split.shape[5]
    )
    return folded


def shuffle_voxels(channels: torch.Tensor, factor: Factor) -> torch.Tensor:
    """(B, fz * fy * fx, Z, Y, X) to (B, 1, fz * Z, fy * Y, fx * X): the channels of a voxel become its parts.

    Channel (c * fy + d) * fx + e of voxel (z, y, x) becomes voxel (fz * z + c, fy * y + d, fx * x + e).
    """
    batch, _, slices, rows, columns = channels.shape
    x, y, z = factor
    parts = channels.reshape(batch, z, y, x, slices, rows, columns).permute(0, 4, 1, 5, 2, 6, 3)
    return parts.reshape(batch, 1, z * slices, y * rows, x * columns)


def build_generator(manifest: Manifest) -> Generator:
    """The untrained generator that a bundle describes. Raises ValueError for a factor that refines nothing."""
    if manifest.factor is None:
        raise ValueError("the manifest names no factor")
    return Generator(factor=manifest.factor, **manifest.architecture)


def _bias(layer: nn.Conv3d) -> torch.Tensor:
    if layer.bias is None:
        raise ValueError("the layer has no bias")
    return layer.bias
