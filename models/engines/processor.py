"""What this machine's processor computes by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection

from models.engines.execution import Execution, Precision
from models.errors import EngineError

_BFLOAT16 = "BF16"


def instructions() -> Collection[str]:
    """The kinds of numbers that the processor has instructions for, in OpenVINO's words: FP32, BF16, INT8."""
    from models.engines.openvino_library import core

    found: list[str] = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    return _BFLOAT16 in instructions()


def require_native(execution: Execution, name: str, native: Callable[[], Collection[str]] = instructions) -> None:
    """Raises EngineError where the processor lacks the precision that the bundle `name` would be run in.

    OpenVINO would take float32 instead without a word, and torch would emulate bfloat16 slowly. `native`: gives what
    the processor computes.
    """
    if execution.precision is Precision.BFLOAT16 and _BFLOAT16 not in native():
        raise EngineError(
            f"{name} would run in bfloat16, which this processor does not compute (x86: AVX512_BF16 or AMX): "
            'set precision = "float32" in [analysis] of config.toml; results get other UIDs than in bfloat16'
        )
