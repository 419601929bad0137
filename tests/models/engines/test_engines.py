"""Engines: each setting runs its own, gives the same bytes again, and stays near torch in float32."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from models.engines import openvino_forward
from models.engines.execution import Engine, Execution, Installation, Precision
from models.engines.openvino_forward import OpenVinoForward
from models.engines.processor import computes_bfloat16, require_native
from models.engines.torch_forward import TorchForward
from models.errors import EngineError
from models.interruption import Interrupted, ended_by
from models.super_resolution.inference import load_super_resolver

SHIPPED = Path(models.__file__).parent / "weights" / "super-resolution"
EVERY_EXECUTION = [(engine, precision) for engine in Engine for precision in Precision]
#: Of an output, as a share of its largest value.
LARGEST_DIFFERENCE = {Precision.FLOAT32: 1e-5, Precision.BFLOAT16: 0.02}


def convolve(engine=None, precision=None, threads=1):
    return load_super_resolver(SHIPPED, Installation(engine, precision, threads)).convolve


def folded(slices=6, rows=20, columns=14, seed=3):
    """Folded pixels (1, 4, Z, Y, X) of a smooth stack, 0 to 1."""
    random = np.random.default_rng(seed).uniform(0, 1, (1, 4, slices, rows, columns))
    return random.astype(np.float32)


@pytest.fixture(scope="module")
def expected():
    return convolve(Engine.TORCH, Precision.FLOAT32)(folded())


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("engine", "kind"), [(Engine.TORCH, TorchForward), (Engine.OPENVINO, OpenVinoForward)])
@pytest.mark.parametrize("precision", Precision)
def test_a_network_runs_in_the_engine_and_precision_that_are_set(engine, kind, precision):
    forward = convolve(engine, precision)
    assert isinstance(forward, kind)
    assert forward.precision is precision


def test_what_is_not_set_is_what_the_manifest_says():
    of_bundle = Execution(engine=Engine.TORCH, precision=Precision.BFLOAT16)
    assert Installation().execution(of_bundle) == of_bundle
    assert Installation(engine=Engine.OPENVINO).execution(of_bundle) == Execution(
        engine=Engine.OPENVINO, precision=Precision.BFLOAT16
    )


def test_a_bundle_of_which_nothing_was_measured_runs_in_float32():
    assert Installation().execution(None).precision is Precision.FLOAT32


def test_a_call_is_interrupted_between_two_layers_and_the_next_one_gives_the_same_bytes(one_thread):
    forward, stack = convolve(Engine.OPENVINO, Precision.FLOAT32), folded(12, 96, 96)
    forward(folded())
    begun = time.monotonic()
    whole = forward(stack)
    took_s = time.monotonic() - begun
    begun = time.monotonic()
    with pytest.raises(Interrupted), ended_by(lambda: True):
        forward(stack)
    assert time.monotonic() - begun < took_s / 2
    assert [it.tobytes() for it in forward(stack)] == [it.tobytes() for it in whole]


@pytest.mark.parametrize("call", [lambda forward: forward(folded()), OpenVinoForward.release], ids=["call", "release"])
def test_what_waits_for_the_call_of_another_study_is_interrupted(call, one_thread):
    forward = convolve(Engine.OPENVINO, Precision.FLOAT32)
    _, alone = forward._model()
    with alone, pytest.raises(Interrupted), ended_by(lambda: True):
        call(forward)


def test_a_call_that_waits_while_another_study_compiles_is_interrupted():
    forward = convolve(Engine.OPENVINO, Precision.FLOAT32)
    with openvino_forward._compiling, pytest.raises(Interrupted), ended_by(lambda: True):
        forward(folded())


@pytest.mark.parametrize(("engine", "precision"), EVERY_EXECUTION)
def test_outputs_repeat_bit_equal_and_stay_near_torch_in_float32(engine, precision, expected, one_thread):
    if precision is Precision.BFLOAT16 and not computes_bfloat16():
        pytest.skip("the processor computes no bfloat16")
    forward = convolve(engine, precision)
    found, _, again = forward(folded()), forward(folded(rows=12, seed=4)), forward(folded())
    for output, repeated, wanted in zip(found, again, expected, strict=True):
        assert output.dtype == np.float32
        assert output.shape == wanted.shape
        assert output.tobytes() == repeated.tobytes()
        assert np.abs(output - wanted).max() < LARGEST_DIFFERENCE[precision] * np.abs(wanted).max()


def test_studies_that_are_analysed_at_a_time_get_the_bytes_of_one_alone():
    forward = convolve(Engine.OPENVINO, Precision.FLOAT32)
    inputs = [folded(slices, rows, columns) for slices, rows, columns in ((5, 20, 30), (8, 40, 22), (3, 64, 64))]
    wanted = [forward(it)[0].tobytes() for it in inputs]
    with ThreadPoolExecutor(3) as side_by_side:
        found = list(side_by_side.map(lambda number: forward(inputs[number % 3])[0].tobytes(), range(18)))
    assert found == wanted * 6


@pytest.mark.parametrize("engine", Engine)
def test_bfloat16_is_another_computation_than_float32(engine, one_thread):
    if not computes_bfloat16():
        pytest.skip("the processor computes no bfloat16")
    reduced, full = (convolve(engine, precision)(folded())[0] for precision in reversed(Precision))
    assert np.abs(reduced - full).max() > 1e-5


def test_a_precision_that_the_processor_lacks_is_refused_by_name():
    reduced = Execution(precision=Precision.BFLOAT16)
    with pytest.raises(EngineError, match=r'bundle 1\.0 .*bfloat16.* precision = "float32"'):
        require_native(reduced, "bundle 1.0", native=lambda: {"FP32", "INT8"})
    require_native(reduced, "bundle 1.0", native=lambda: {"FP32", "BF16"})
    require_native(Execution(precision=Precision.FLOAT32), "bundle 1.0", native=lambda: {"FP32"})


def test_openvino_reports_to_nobody_that_it_runs(tmp_path):
    code = (
        "import sys, numpy as np; from pathlib import Path;"
        "from models.engines.execution import Installation, Precision;"
        "from models.super_resolution.inference import load_super_resolver as load;"
        f"convolve = load(Path({str(SHIPPED)!r}), Installation(precision=Precision.FLOAT32)).convolve;"
        "convolve(np.zeros((1, 4, 2, 4, 4), np.float32));"
        "print('openvino' in sys.modules, sorted(n for n, m in sys.modules.items() if 'telemetry' in n and m))"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("True")
    assert "openvino_telemetry" not in ended.stdout
    assert not (tmp_path / "intel").exists()


def test_a_signal_is_handled_when_networks_have_come_and_gone():
    code = """
import os, signal, torch
from models.engines.execution import Precision
from models.engines.openvino_forward import Conversion, _compile

def compiled(channels):
    build, shape = lambda: torch.nn.Conv3d(1, channels, 1), (1, 1, 4, 4, 4)
    conversion = Conversion(build, str(channels), ("torch.nn",), shape, shape)
    return _compile(conversion, Precision.FLOAT32, 1, None)

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
first, second = compiled(1), compiled(2)
del first
del second
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
