"""Frozen networks whose features the perceptual loss compares."""

from __future__ import annotations

from pathlib import Path

import torch
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn

from models.errors import BundleError
from models.segmentation.network import load_network


class EncoderFeatures(nn.Module):
    """Frozen features of the first two encoder levels: (B, 1, Z, Y, X) to a list of two feature maps.

    The volume takes the place of every sequence: which one it shows the encoder need not know.
    """

    def __init__(self, network: BasicUNetPlusPlus, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.level_0 = network.conv_0_0
        self.level_1 = network.conv_1_0
        self.requires_grad_(False)
        self.eval()

    def forward(self, volume: torch.Tensor) -> list[torch.Tensor]:
        level_0 = self.level_0(volume.expand(-1, self.channels, -1, -1, -1))
        return [level_0, self.level_1(level_0)]


def encoder_of(folder: Path) -> tuple[nn.Module, str]:
    """The encoder of a trained segmentation bundle, and its name. Raises BundleError for another architecture."""
    manifest, network = load_network(folder)
    if not isinstance(network, BasicUNetPlusPlus):
        raise BundleError(f"bundle {folder.name}: no U-Net++ whose encoder could be borrowed")
    return EncoderFeatures(network, len(manifest.input_sequences)), f"encoder of {manifest.name} {manifest.version}"


class ScriptedFeatures(nn.Module):
    """A TorchScript network, (B, 1, Z, Y, X) to one feature map or several, as a list."""

    def __init__(self, network: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.network = network
        self.requires_grad_(False)
        self.eval()

    def forward(self, volume: torch.Tensor) -> list[torch.Tensor]:
        found = self.network(volume)
        return [found] if isinstance(found, torch.Tensor) else list(found)


def scripted(path: Path) -> tuple[nn.Module, str]:
    """The feature network in a TorchScript file, and its name. Raises BundleError when it is not one."""
    try:
        network = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise BundleError(f"{path.name} is no TorchScript network") from error
    return ScriptedFeatures(network), f"TorchScript {path.name}"
