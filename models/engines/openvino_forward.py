"""A network run by OpenVINO on the CPU, converted from torch once."""

from __future__ import annotations

import hashlib
import inspect
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models import interruption
from models.engines import ir_cache
from models.engines.execution import Precision
from models.errors import EngineError
from models.processes import apart
from models.volume import Float32

_LIBRARIES = ("openvino", "torch", "monai")
_NAMES = {Precision.FLOAT32: "f32", Precision.BFLOAT16: "bf16"}
_compiled: dict[tuple[str, Precision, int], tuple[Any, threading.Lock]] = {}
_compiling = threading.Lock()
_required: dict[str, ir_cache.Representation] = {}
"""By the digest of its conversion what was required, until it is compiled: a folder may take none."""
_LOOK_S = 0.1
"""How often a call that waits, or computes, comes to a safe point."""


@dataclass(frozen=True)
class Conversion:
    """What a converted network is made from.

    Attributes:
        build: makes the module, which takes one tensor (1, C, Z, Y, X) and returns a tuple of them. It refuses
            weights that do not fit.
        weights: digest of its weights and architecture.
        code: names of the modules of this project whose text says what the network computes.
        example: an input shape that conversion follows.
        accepted: input shapes that it takes afterwards, -1 for any length. Any length is as fast as a fixed one, and
            gives the same bytes (docs/models/engines.md).
        heavy: building it loads libraries that running it does without. It is not built where its conversion is kept,
            and is converted in a process of its own where it can be kept.
    """

    build: Callable[[], nn.Module]
    weights: str
    code: tuple[str, ...]
    example: tuple[int, ...]
    accepted: tuple[int, ...]
    heavy: bool = False

    @cached_property
    def module(self) -> nn.Module:
        """The network of torch; built at the first look."""
        return self.build()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that decides what the conversion gives; told without building the module."""
        key = {
            "weights": self.weights,
            "code": [inspect.getsource(import_module(name)) for name in self.code],
            "conversion": [inspect.getsource(it) for it in (_converted, ir_cache.represented)],
            "libraries": {name: metadata.version(name) for name in _LIBRARIES},
            "shapes": [self.example, self.accepted],
        }
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OpenVinoForward:
    """`models.engines.forward.Forward` by OpenVINO.

    Attributes:
        threads: CPU threads; None: as many as torch uses. Another number gives other last bits.
        cache: folder of converted networks; None: none is kept on disk.
    """

    conversion: Conversion
    precision: Precision
    threads: int | None = None
    cache: Path | None = None

    def __call__(self, channels: Float32) -> tuple[Float32, ...]:
        """(1, C, Z, Y, X) to the outputs of the module, each (1, K, Z, Y, X); it can be interrupted between layers."""
        model, alone = self._model()
        with _held(alone):
            try:
                return _inferred(model, np.ascontiguousarray(channels))
            finally:
                if -1 in self.conversion.accepted:
                    model.release_memory()  # buffers as large as the largest input so far

    def release(self) -> None:
        """Give back the memory of the network's buffers, which the next call takes anew."""
        if self._key in _compiled:
            model, alone = _compiled[self._key]
            with _held(alone):
                model.release_memory()

    def require(self) -> None:
        """Make sure that the network can be run: its conversion is kept, or it is built, which refuses what is broken.

        Where it is to be kept it is converted for it now.
        """
        if self.cache is None:
            _ = self.conversion.module
        else:
            _required[self.conversion.digest] = _representation(self.conversion, self.cache)

    @property
    def _key(self) -> tuple[str, Precision, int]:
        return self.conversion.digest, self.precision, self.threads or torch.get_num_threads()

    def _model(self) -> tuple[Any, threading.Lock]:
        """The compiled network, one a process for the same weights, precision and threads; and the lock to run it.

        It has one stream, so that studies that are analysed at a time take turns anyway, and releases no memory while
        another runs.
        """
        key = digest, precision, threads = self._key
        with _held(_compiling):  # two studies at a time would both compile, and hold the weights twice
            if key not in _compiled:
                _compiled[key] = _compile(self.conversion, precision, threads, self.cache), threading.Lock()
                _required.pop(digest, None)
            return _compiled[key]


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """A context that holds a lock; one that waits for it can be interrupted."""
    while not lock.acquire(timeout=_LOOK_S):
        interruption.check()
    try:
        yield
    finally:
        lock.release()


def _inferred(model: Any, channels: Float32) -> tuple[Float32, ...]:  # noqa: ANN401
    """Copies of the outputs: the request, and what it holds, ends here.

    Raises:
        Interrupted: between two layers.
    """
    request = model.create_infer_request()
    request.start_async([channels], share_inputs=True)
    try:
        while not request.wait_for(round(1000 * _LOOK_S)):
            interruption.check()
    except BaseException:
        request.cancel()
        with suppress(RuntimeError):  # it was cancelled
            request.wait()  # it reads the input until then
        raise
    return tuple(np.array(tensor.data) for tensor in request.output_tensors)


def _compile(conversion: Conversion, precision: Precision, threads: int, cache: Path | None) -> Any:  # noqa: ANN401
    from models.engines.openvino_library import core

    representation = _required.get(conversion.digest) or _representation(conversion, cache)
    interruption.check()
    compiled = core().compile_model(
        core().read_model(representation.xml, representation.weights),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": _NAMES[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Several workers on one machine would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        },
    )
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if used != _NAMES[precision]:
        raise EngineError(
            f"OpenVINO computes in {used} on this processor instead of {precision}: set another precision"
        )
    return compiled


def _representation(conversion: Conversion, cache: Path | None) -> ir_cache.Representation:
    convert = partial(_represented, conversion)
    alone = conversion.heavy and cache is not None
    return ir_cache.kept(cache, conversion.digest, partial(apart, convert) if alone else convert)


def _represented(conversion: Conversion) -> ir_cache.Representation:
    return ir_cache.represented(_converted(conversion))


def _converted(conversion: Conversion) -> Any:  # noqa: ANN401
    """The network in OpenVINO's representation (float32)."""
    from models.engines.openvino_library import openvino

    example = torch.zeros(conversion.example)
    # The trace holds for the accepted shapes, whatever sizes a network compares; jit is deprecated, not gone.
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        # Traced here: convert_model would run the network twice more to check the trace, which the tests do once.
        traced = torch.jit.trace(conversion.module, example, check_trace=False)
    interruption.check()
    model = openvino.convert_model(traced, example_input=example)
    model.reshape(list(conversion.accepted))
    return model
