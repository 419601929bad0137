"""Converted networks on disk: read where they are whole, made anew where they are not."""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.engines import ir_cache, openvino_forward
from models.engines.execution import Precision
from models.engines.openvino_forward import Conversion, OpenVinoForward


class Doubled(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv3d(2, 3, 3, padding=1)

    def forward(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.convolution(volume)
        return found, 2 * found


CHANNELS = np.random.default_rng(0).normal(size=(1, 2, 4, 6, 5)).astype(np.float32)


def doubled(seed: int) -> nn.Module:
    return Doubled(seed).eval()


def conversion(weights: str = "a", seed: int = 0, accepted=(1, 2, -1, -1, -1), code=(__name__,)) -> Conversion:
    return Conversion(partial(doubled, seed), weights, code, (1, 2, 3, 4, 5), accepted)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a conversion as a process would that has just started; `conversions` counts those that were made."""
    made: list[str] = []
    convert = openvino_forward._converted

    def counted(found: Conversion):
        made.append(found.digest)
        return convert(found)

    monkeypatch.setattr(openvino_forward, "_converted", counted)

    def call(found: Conversion, cache: Path | None = tmp_path / "engines"):
        monkeypatch.setattr(openvino_forward, "_compiled", {})
        return OpenVinoForward(found, Precision.FLOAT32, 1, cache)(CHANNELS)

    call.conversions = made
    return call


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "engines").iterdir())


def test_the_second_start_converts_nothing_and_gives_the_same_bytes(run, tmp_path):
    first, second = run(conversion()), run(conversion())
    assert len(run.conversions) == 1
    assert [it.tobytes() for it in first] == [it.tobytes() for it in second]
    assert len(kept(tmp_path)) == 1


def test_a_network_without_a_cache_gives_the_bytes_of_the_cached_one(run):
    cached, uncached = run(conversion()), run(conversion(), cache=None)
    assert len(run.conversions) == 2
    assert [it.tobytes() for it in cached] == [it.tobytes() for it in uncached]
    with torch.inference_mode():
        wanted = Doubled().eval()(torch.from_numpy(CHANNELS))
    assert all(np.allclose(found, it.numpy(), atol=1e-6) for found, it in zip(cached, wanted, strict=True))


@pytest.mark.parametrize(
    "other",
    [{"weights": "b", "seed": 1}, {"accepted": (1, 2, 4, 6, 5)}, {"code": (__name__, "models.bundle")}],
    ids=["weights", "shapes", "code"],
)
def test_other_weights_shapes_or_code_are_another_file(run, tmp_path, other):
    before, after = run(conversion()), run(conversion(**other))
    assert len(run.conversions) == len(kept(tmp_path)) == 2
    assert ("weights" in other) == (before[0].tobytes() != after[0].tobytes())


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\0" * len(data)],
    ids=["a bit", "cut off", "empty", "zeros"],
)
def test_a_damaged_file_is_made_anew(run, tmp_path, damage):
    first = run(conversion())
    (path,) = kept(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    second = run(conversion())
    assert len(run.conversions) == 2
    assert [it.tobytes() for it in first] == [it.tobytes() for it in second]
    assert zipfile.ZipFile(path).testzip() is None


def test_workers_that_convert_at_the_same_time_leave_one_whole_file(tmp_path):
    together, network = threading.Barrier(4), conversion()

    def convert():
        together.wait()
        return openvino_forward._represented(network)

    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda _: ir_cache.kept(tmp_path / "engines", "0", convert), range(4)))
    assert len({it.weights for it in found}) == 1
    (path,) = kept(tmp_path)
    assert zipfile.ZipFile(path).testzip() is None


def test_a_folder_that_cannot_be_written_costs_the_cache_alone(run, tmp_path, caplog):
    (tmp_path / "engines").write_text("a file where the folder should be")
    assert np.isfinite(run(conversion())[0]).all()
    assert "cannot be kept" in caplog.text


def test_a_network_that_was_required_and_could_not_be_kept_is_not_converted_again_until_the_next_start(run, tmp_path):
    (tmp_path / "engines").write_text("a file where the folder should be")
    OpenVinoForward(conversion(), Precision.FLOAT32, 1, tmp_path / "engines").require()
    run(conversion())
    assert len(run.conversions) == 1
    run(conversion())
    assert len(run.conversions) == 2
