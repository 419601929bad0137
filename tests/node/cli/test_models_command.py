"""`rectal-node models` and the refusal of a damaged bundle at start, as a person at a terminal meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

import models
from models.errors import BundleError
from models.manifest import digest, file_digest, load_manifest
from node.cli.main import app

from ...parts import processor

WEIGHTS = Path(models.__file__).parent / "weights"


def command(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with its own copies of the shipped bundles."""
    lines = ["[analysis]", processor.in_configuration()]
    for kind in ("super-resolution", "segmentation", "prediction"):
        shutil.copytree(WEIGHTS / kind, tmp_path / "models" / "weights" / kind)
        lines.append(f'{kind.replace("-", "_")} = "models/weights/{kind}"')
    (tmp_path / "config.toml").write_text("\n".join(lines))
    return tmp_path / "config.toml"


def damage(folder: Path) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


def reshape(folder: Path) -> None:
    path = folder / "weights.safetensors"
    state = load_file(path)
    save_file(state | {sorted(state)[0]: torch.zeros(7)}, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][path.name] = file_digest(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_list_shows_what_is_configured_and_what_only_lies_there(config: Path) -> None:
    shutil.copytree(WEIGHTS / "segmentation", config.parent / "models" / "weights" / "spare")
    text = command("models", "list", "--config", config).stdout
    shipped = load_manifest(WEIGHTS / "segmentation")
    assert f"{shipped.name} {shipped.version}  segmentation, digest {digest(shipped)[:12]}" in text
    assert text.count("used as") == 4
    assert text.count("analysis.segmentation") == 1
    assert text.count("not used") == 1
    assert shipped.training_data[:40] in text
    assert "research use only" in text


def test_verify_names_the_bundle_that_is_damaged_and_goes_on(config: Path) -> None:
    assert command("models", "verify", "--config", config).exit_code == 0
    damage(config.parent / "models" / "weights" / "segmentation")
    answer = command("models", "verify", "--config", config)
    assert answer.exit_code == 1
    assert sum("good" in line for line in answer.stdout.splitlines()) == 2
    assert "bundle segmentation: weights.safetensors has SHA-256" in answer.stdout


def test_add_says_which_key_to_set_and_the_node_runs_with_it(config: Path) -> None:
    answer = command("models", "add", WEIGHTS / "super-resolution", "--to", config.parent / "new")
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    config.write_text("\n".join([*lines[lines.index("[analysis]") :], processor.in_configuration()]))
    assert command("check-config", "--config", config).exit_code == 0
    assert command("models", "list", "--config", config).stdout.count("analysis.super_resolution") == 1


def test_check_config_says_that_an_existing_root_is_open(config: Path) -> None:
    root = config.parent / "var"
    root.mkdir()
    root.chmod(0o755)
    answer = command("check-config", "--config", config)
    assert answer.exit_code == 0
    assert f"warning: {root} is open to other users" in answer.stdout
    assert f"chmod -R go= {root}\n" in answer.stdout
    root.chmod(0o700)
    assert "warning" not in command("check-config", "--config", config).stdout


@pytest.mark.parametrize(("spoil", "reason"), [(damage, "has SHA-256"), (reshape, r"has shape \(7,\)")])
def test_a_bundle_of_wrong_digest_or_shape_is_refused_at_start(config: Path, spoil, reason) -> None:
    spoil(config.parent / "models" / "weights" / "super-resolution")
    answer = command("check-config", "--config", config)
    assert answer.exit_code == 1
    with pytest.raises(BundleError, match=reason):
        raise answer.exception  # what `run` prints as one line


def trusting(config: Path) -> Path:
    """A configuration that trusts one key, by which nothing is signed; gives the configuration."""
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (config.parent / "lab.pub.pem").write_bytes(pem)
    config.write_text(config.read_text() + '\ntrusted_keys = ["lab.pub.pem"]\n')
    return config


@pytest.mark.parametrize("arguments", [("models", "verify"), ("check-config",)])
def test_with_trusted_keys_what_is_not_signed_is_refused(config: Path, arguments: tuple[str, ...]) -> None:
    found = command(*arguments, "--config", trusting(config))
    assert found.exit_code == 1
    assert "manifest.sig is missing" in f"{found.output} {found.exception}".replace("\n", " ")


def test_with_trusted_keys_an_unsigned_bundle_is_not_added(config: Path) -> None:
    to = config.parent / "added"
    found = command("models", "add", WEIGHTS / "segmentation", "--to", to, "--config", trusting(config))
    assert found.exit_code == 1
    assert list(to.iterdir()) == []


def test_bundles_that_came_with_the_node_need_no_signature(config: Path) -> None:
    lines = [it for it in trusting(config).read_text().splitlines() if "models/weights" not in it]
    config.write_text("\n".join(lines))
    assert command("models", "verify", "--config", config).exit_code == 0
