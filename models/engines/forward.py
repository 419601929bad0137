"""One interface to a network whatever runs it."""

from __future__ import annotations

from typing import Protocol

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

    def release(self) -> None:
        """Give back what was kept for the next call, where none comes soon."""
        ...


def forward_of(conversion: Conversion, execution: Execution, installation: Installation) -> Forward:
    """The module of `conversion` as a function, run by the engine of `execution`.

    It is converted at the first call, a heavy one now unless its conversion is kept. Raises what building it raises.
    """
    if execution.engine is Engine.TORCH:
        return TorchForward(conversion.module, execution.precision)
    found = OpenVinoForward(conversion, execution.precision, installation.threads, installation.cache)
    if conversion.heavy:
        found.require()
    return found
