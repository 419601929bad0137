"""One interface to a network whatever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from models.engines.execution import Engine, Execution, Installation
from models.engines.openvino_forward import Conversion, OpenVinoForward
from models.engines.torch_forward import TorchForward
from models.volume import Float32


class Forward(Protocol):
    """A network as a function; the same input gives the same bytes on every call."""

    def __call__(self, channels: Float32) -> tuple[Float32, ...]:
        """(1, C, Z, Y, X) to the outputs of the network, each (1, K, Z, Y, X); all float32.

        Raises EngineError where the network cannot be run as it is set.
        """
        ...


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes (1, C, Z, Y, X) of a network's input.

    example: one that it takes, for the conversion to follow; accepted: those that will come, -1 for any length.
    """

    example: tuple[int, ...]
    accepted: tuple[int, ...]


def forward_of(
    module: nn.Module, weights: str, shapes: Shapes, execution: Execution, installation: Installation
) -> Forward:
    """`module` as a function, run by the engine of `execution`. It is converted at the first call.

    `module` takes one tensor and returns a tuple of them. `weights`: digest of its weights and architecture.
    """
    if execution.engine is Engine.TORCH:
        return TorchForward(module, execution.precision)
    conversion = Conversion(module, weights, shapes.example, shapes.accepted)
    return OpenVinoForward(conversion, execution.precision, installation.threads, installation.cache)
