"""MONAI's 3D U-Net++ (dense skip pathways, deep supervision).

MONAI is imported where a network is built: a node, whose network is converted, does without, and without the seconds
and the memory that it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from models import bundle
from models.manifest import Manifest

if TYPE_CHECKING:
    from monai.networks.nets import BasicUNetPlusPlus

KIND = "segmentation"


def build_network(features: Sequence[int], channels: int) -> BasicUNetPlusPlus:
    """U-Net++ with one input channel and one tumour channel a sequence.

    It maps (B, C, Z, Y, X) to a list of four logit maps of the same shape, one for each decoder node X(0,1) to
    X(0,4). `features`: five encoder widths and the width of the last decoder node.
    """
    from monai.networks.nets import BasicUNetPlusPlus

    return BasicUNetPlusPlus(
        spatial_dims=3, in_channels=channels, out_channels=channels, features=tuple(features), deep_supervision=True
    )


def from_manifest(manifest: Manifest) -> nn.Module:
    """The untrained network that a bundle describes."""
    network: nn.Module = build_network(**manifest.architecture, channels=len(manifest.input_sequences))
    return network


def load_network(folder: Path) -> tuple[Manifest, nn.Module]:
    """Manifest and trained network of the bundle in `folder`. Raises BundleError when the bundle is not whole."""
    return bundle.load_weights(folder, from_manifest, KIND)


def final_head(heads: Sequence[torch.Tensor]) -> torch.Tensor:
    """Logits (float32) of the deepest decoder node X(0,4), the one that sees all dense skips."""
    return heads[-1].float()


class DeepestHead(nn.Module):
    """A network with the deepest head as its only output, in the form that engines run; what it lacks is left out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volume: torch.Tensor) -> tuple[torch.Tensor]:
        return (final_head(self.network(volume)),)


def load_deepest_head(folder: Path) -> DeepestHead:
    """The network of the bundle in `folder` as engines run it. Raises BundleError when the bundle is not whole."""
    return DeepestHead(load_network(folder)[1])
