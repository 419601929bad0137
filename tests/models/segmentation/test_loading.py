"""Loading a segmentation bundle: its network is built where it is not converted yet, and nowhere else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.engines.execution import Engine, Installation, Precision
from models.engines.openvino_forward import OpenVinoForward
from models.errors import BundleError
from models.manifest import Manifest, file_digest
from models.research.training.bundles import save_weights
from models.segmentation.inference import InferenceSettings, Segmenter, load_segmenter
from models.segmentation.network import build_network
from models.sequence import Sequence

FEATURES = (4, 4, 4, 4, 4, 4)
SETTINGS = InferenceSettings(window=(16, 16, 32))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("small") / "bundle"
    manifest = Manifest(
        name="small",
        version="0",
        kind="segmentation",
        input_sequences=(Sequence.T2WI,),
        architecture={"features": FEATURES},
        settings=SETTINGS.model_dump(mode="json"),
        training_data="none",
        seed=1,
        command="none",
    )
    save_weights(folder, manifest, build_network(FEATURES, 1))
    return folder


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """A folder that has the converted network of the bundle, which is built for it in another process."""
    folder = tmp_path_factory.mktemp("engines")
    assert not is_built(loaded(bundle, folder))
    return folder


def loaded(bundle: Path, cache: Path | None, engine: Engine = Engine.OPENVINO) -> Segmenter:
    return load_segmenter(bundle, Installation(engine, Precision.FLOAT32, 1, cache))


def is_built(segmenter: Segmenter) -> bool:
    assert isinstance(segmenter.logits, OpenVinoForward)
    return "module" in vars(segmenter.logits.conversion)


def without_a_tensor(folder: Path) -> None:
    """Takes one out, and gives the manifest the digest that goes with it."""
    path = folder / "weights.safetensors"
    state = load_file(path)
    state.pop(sorted(state)[0])
    save_file(state, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path.name] = file_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_network_that_is_kept_converted_is_neither_built_nor_converted_again(bundle, converted):
    (kept,) = converted.iterdir()
    before = kept.stat().st_mtime_ns
    assert not is_built(loaded(bundle, converted))
    assert kept.stat().st_mtime_ns == before


def test_a_network_that_is_kept_converted_gives_the_bytes_of_one_that_is_not(bundle, converted):
    window = np.random.default_rng(0).normal(size=(1, 1, *SETTINGS.window)).astype(np.float32)
    (from_kept,), (from_torch,) = (loaded(bundle, cache).logits(window) for cache in (converted, None))
    assert from_kept.tobytes() == from_torch.tobytes()
    assert np.allclose(from_kept, loaded(bundle, None, Engine.TORCH).logits(window)[0], atol=1e-4)


def test_weights_that_were_changed_are_refused_though_their_conversion_is_kept(bundle, converted, tmp_path):
    changed = shutil.copytree(bundle, tmp_path / "changed")
    weights = changed / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BundleError, match=r"weights\.safetensors has SHA-256"):
        loaded(changed, converted)


@pytest.mark.parametrize("engine", Engine)
def test_weights_that_do_not_fit_are_found_when_they_are_loaded(engine, bundle, tmp_path):
    broken = shutil.copytree(bundle, tmp_path / "broken")
    without_a_tensor(broken)
    with pytest.raises(BundleError, match=r"bundle broken: tensor \S+ is missing"):
        loaded(broken, tmp_path / "engines", engine)
    assert not (tmp_path / "engines").exists()
