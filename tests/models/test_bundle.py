"""Bundles load strictly or not at all."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.bundle import load_weights
from models.errors import BundleError
from models.manifest import RESEARCH_STATEMENT, Manifest, digest, file_digest, load_manifest
from models.research.training.bundles import save_weights


def _build(manifest):
    return nn.Sequential(nn.Linear(3, manifest.architecture["width"]), nn.Linear(manifest.architecture["width"], 1))


def _manifest(**changes):
    facts = {
        "name": "tiny",
        "version": "1.2.3",
        "kind": "test",
        "input_sequences": ("T2WI",),
        "architecture": {"width": 4},
        "training_data": "none",
        "seed": 1,
        "command": "none",
    }
    return Manifest(**(facts | changes))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(3)
    save_weights(tmp_path / "tiny", _manifest(), _build(_manifest()))
    return tmp_path / "tiny"


def _change_weights(folder, change):
    path = folder / "weights.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"] = file_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_saved_weights_load_bit_equal_in_evaluation_mode(folder):
    torch.manual_seed(3)
    expected = _build(_manifest()).state_dict()
    manifest, network = load_weights(folder, _build, kind="test")
    assert not network.training
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert manifest.intended_use == RESEARCH_STATEMENT


def test_a_changed_weight_file_is_refused(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match=r"tiny: weights\.safetensors has SHA-256"):
        load_weights(folder, _build, kind="test")


def test_a_missing_tensor_is_named(folder):
    _change_weights(folder, lambda state: state.pop("1.bias"))
    with pytest.raises(BundleError, match=r"tensor 1\.bias is missing"):
        load_weights(folder, _build, kind="test")


def test_a_surplus_tensor_is_named(folder):
    _change_weights(folder, lambda state: state.update(extra=torch.zeros(1)))
    with pytest.raises(BundleError, match="tensor extra is not part of the network"):
        load_weights(folder, _build, kind="test")


def test_a_wrong_shape_is_named(folder):
    _change_weights(folder, lambda state: state.update({"0.bias": torch.zeros(5)}))
    with pytest.raises(BundleError, match=r"tensor 0\.bias has shape \(5,\), the network needs \(4,\)"):
        load_weights(folder, _build, kind="test")


def test_a_missing_file_is_named(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"weights\.safetensors is missing"):
        load_weights(folder, _build, kind="test")


def test_a_file_of_another_format_is_refused(folder):
    (folder / "weights.safetensors").write_bytes(b"pickle?")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"] = file_digest(folder / "weights.safetensors")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not a safetensors file"):
        load_weights(folder, _build, kind="test")


def test_a_bundle_of_another_kind_is_refused(folder):
    with pytest.raises(BundleError, match="its kind is test, segmentation is needed"):
        load_weights(folder, _build, kind="segmentation")


def test_an_unknown_key_of_the_manifest_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"wieghts": 1}))
    with pytest.raises(BundleError, match="wieghts"):
        load_manifest(folder)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        load_manifest(tmp_path)


def test_a_file_name_cannot_leave_the_bundle(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {"../weights.safetensors": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="no plain file name"):
        load_weights(folder, _build, kind="test")


def test_an_architecture_that_cannot_be_built_is_refused(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["architecture"] = {"depth": 3}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="architecture cannot be built"):
        load_weights(folder, _build, kind="test")


def test_the_digest_changes_with_the_weights_and_with_the_facts(folder):
    manifest = load_manifest(folder)
    assert digest(manifest) == digest(load_manifest(folder))
    assert digest(manifest.model_copy(update={"version": "2"})) != digest(manifest)
    assert digest(manifest.model_copy(update={"files": {"weights.safetensors": "0"}})) != digest(manifest)


def test_a_manifest_that_names_no_engine_keeps_the_digest_that_it_had_before_engines_were_named():
    assert digest(_manifest()) == "bb94811bdbad7bc153038d27438337c4629fe7cf2fadbc721b9d9bd59f56f351"
    assert digest(_manifest(execution={"engine": "torch", "precision": "float32"})) != digest(_manifest())
