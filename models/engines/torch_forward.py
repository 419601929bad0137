"""A network run by torch, on the device that it lies on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.engines.execution import Precision
from models.volume import Float32


@dataclass(frozen=True, slots=True)
class TorchForward:
    """`models.engines.forward.Forward` by torch; bfloat16 is that of autocast. Threads are torch's own."""

    module: nn.Module
    precision: Precision

    def __call__(self, channels: Float32) -> tuple[Float32, ...]:
        """(1, C, Z, Y, X) to the outputs of the module, each (1, K, Z, Y, X)."""
        device = next(self.module.parameters()).device
        reduced = self.precision is Precision.BFLOAT16
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=reduced):
            found = self.module(torch.from_numpy(channels).to(device))
        return tuple(output.float().cpu().numpy() for output in found)

    def release(self) -> None:
        """Nothing is kept between calls."""
