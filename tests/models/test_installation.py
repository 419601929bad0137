"""Adding a bundle: verified before it lies where the node looks."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import models
from models import installation
from models.errors import BundleError
from models.manifest import digest, file_digest, load_manifest

WEIGHTS = Path(models.__file__).parent / "weights"


@pytest.fixture
def bundle(tmp_path):
    """A copy of the shipped super-resolution bundle, with a file that its manifest does not name."""
    shutil.copytree(WEIGHTS / "super-resolution", tmp_path / "download")
    (tmp_path / "download" / "notes.txt").write_text("not part of the bundle")
    return tmp_path / "download"


def reshape(folder: Path) -> None:
    """Gives one tensor another shape and the manifest the digest that goes with it."""
    path = folder / "weights.safetensors"
    state = load_file(path)
    name = sorted(state)[0]
    save_file(state | {name: torch.zeros(7)}, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path.name] = file_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("kind", ["super-resolution", "segmentation", "prediction"])
def test_the_shipped_bundles_verify(kind):
    assert installation.verify(WEIGHTS / kind).kind == kind


@pytest.mark.parametrize("kind", ["super-resolution", "segmentation"])
def test_weights_that_do_not_fit_their_network_are_found(kind, tmp_path):
    reshape(shutil.copytree(WEIGHTS / kind, tmp_path / kind))
    with pytest.raises(BundleError, match=r"has shape \(7,\), the network needs"):
        installation.verify(tmp_path / kind)


def test_a_bundle_is_added_under_name_and_version_with_its_own_files_only(bundle, tmp_path):
    place, manifest = installation.add(bundle, tmp_path / "models")
    assert place == tmp_path / "models" / f"{manifest.name}-{manifest.version}"
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "weights.safetensors"]
    assert installation.bundles_in(tmp_path / "models") == (place,)
    assert installation.add(bundle, tmp_path / "models") == (place, manifest)
    assert [path.name for path in (tmp_path / "models").iterdir()] == [place.name]


def test_a_zip_file_is_added_like_its_folder(bundle, tmp_path):
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for path in bundle.iterdir():
            written.write(path, f"release/{path.name}")
    place, manifest = installation.add(archive, tmp_path / "models")
    assert digest(load_manifest(place)) == digest(manifest) == digest(load_manifest(bundle))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"changed"), "has SHA-256"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "is missing"),
        (reshape, r"has shape \(7,\), the network needs"),
        (lambda folder: (folder / "manifest.json").unlink(), "0 bundles in there"),
    ],
)
def test_a_bundle_that_does_not_verify_is_not_added(bundle, tmp_path, spoil, reason):
    spoil(bundle)
    with pytest.raises(BundleError, match=reason):
        installation.add(bundle, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_another_bundle_of_the_same_name_and_version_is_not_overwritten(bundle, tmp_path):
    installation.add(bundle, tmp_path / "models")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"seed": 99}))
    with pytest.raises(BundleError, match="another one of this name and version"):
        installation.add(bundle, tmp_path / "models")


def test_a_name_cannot_leave_the_folder_of_bundles(bundle, tmp_path):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"name": "../../etc/x"}))
    with pytest.raises(BundleError, match="more than letters"):
        installation.add(bundle, tmp_path / "models")


def test_a_file_that_is_no_zip_and_a_kind_that_is_not_known_are_refused(bundle, tmp_path):
    (tmp_path / "bundle.zip").write_bytes(b"no zip")
    with pytest.raises(BundleError, match="neither a folder nor a zip file"):
        installation.add(tmp_path / "bundle.zip", tmp_path / "models")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"kind": "horoscope"}))
    with pytest.raises(BundleError, match="its kind is horoscope; known are super-resolution"):
        installation.verify(bundle)
