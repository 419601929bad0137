"""The openvino package as this project imports it, here alone: without the telemetry that comes with it.

`import openvino` reports to Google Analytics that it was imported, and `convert_model` what it converts, unless the
user has refused in a file of the home folder; both write an identifier there. A node that holds patients' images
reports nothing: without the package `openvino_telemetry` openvino takes a stub of its own.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importlib: such an import fails

import openvino  # noqa: E402 - after the line above

__all__ = ["core", "openvino"]


@cache
def core() -> Any:  # noqa: ANN401 - an openvino.Core
    """The one Core of this process, which lives as long as it.

    With its CPU plugin a Core gives the thread that first computes a stack for signal handlers, and at its end the
    one that was there before: where two end in the order in which they were made, a stack stays that is no memory any
    more, and the next signal with a handler, SIGTERM say, ends the process as a segmentation fault.
    """
    return openvino.Core()
