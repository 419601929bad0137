"""The openvino package as this project imports it, here alone: without the telemetry that comes with it.

`import openvino` reports to Google Analytics that it was imported, and `convert_model` what it converts, unless the
user has refused in a file of the home folder; both write an identifier there. A node that holds patients' images
reports nothing: without the package `openvino_telemetry` openvino takes a stub of its own.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importlib: such an import fails

import openvino  # noqa: E402 - after the line above

__all__ = ["openvino"]
