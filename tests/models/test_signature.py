"""Bundles that are signed, by OpenSSL, as whoever hands them on signs them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import models
from models import installation
from models.errors import BundleError
from models.signature import SIGNATURE_NAME, signer

WEIGHTS = Path(models.__file__).parent / "weights"


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def key_pair(folder: Path, name: str, algorithm: str = "ed25519") -> tuple[Path, Path]:
    """A private and a public key."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    openssl("genpkey", "-algorithm", algorithm, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def sign(bundle: Path, private: Path) -> None:
    manifest, signature = bundle / "manifest.json", bundle / SIGNATURE_NAME
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", manifest, "-out", signature)


@pytest.fixture
def lab(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path, "lab")


@pytest.fixture
def other(tmp_path: Path) -> tuple[Path, Path]:
    return key_pair(tmp_path, "other")


@pytest.fixture
def bundle(tmp_path: Path, lab: tuple[Path, Path]) -> Path:
    """The shipped super-resolution, signed by the laboratory."""
    folder = shutil.copytree(WEIGHTS / "super-resolution", tmp_path / "download")
    sign(folder, lab[0])
    return folder


def test_it_is_told_by_which_of_several_keys_a_bundle_is_signed(bundle: Path, lab, other) -> None:
    assert signer(bundle, [other[1], lab[1]]) == lab[1]


def test_a_signed_bundle_is_added_with_its_signature(bundle: Path, lab, tmp_path: Path) -> None:
    place, _ = installation.add(bundle, tmp_path / "models", [lab[1]])
    assert signer(place, [lab[1]]) == lab[1]


def change_manifest(bundle: Path, other: tuple[Path, Path]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"seed": 99}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change_manifest, "is not what was signed"),
        (lambda bundle, other: sign(bundle, other[0]), r"none of the trusted keys \(lab\.pub\.pem\)"),
        (lambda bundle, other: (bundle / SIGNATURE_NAME).unlink(), "only signed bundles are trusted"),
        (lambda bundle, other: (bundle / SIGNATURE_NAME).write_bytes(b"\0" * 65), "no Ed25519 signature"),
        (lambda bundle, other: (bundle / SIGNATURE_NAME).write_bytes(b"\0" * 64), "none of the trusted keys"),
        (lambda bundle, other: (bundle / "weights.safetensors").write_bytes(b"changed"), "has SHA-256"),
    ],
    ids=["manifest changed", "other key", "unsigned", "too long", "zeros", "weights changed"],
)
def test_what_is_not_signed_by_a_trusted_key_is_not_added(
    bundle: Path, lab, other, tmp_path: Path, spoil, reason
) -> None:
    spoil(bundle, other)
    with pytest.raises(BundleError, match=reason):
        installation.add(bundle, tmp_path / "models", [lab[1]])
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: key_pair(folder, "rsa", "rsa")[1], "it is no Ed25519 key"),
        (lambda folder: key_pair(folder, "private")[0], "no public key in PEM"),
        (lambda folder: folder / "none.pem", "no public key in PEM"),
    ],
    ids=["RSA", "private", "missing"],
)
def test_a_key_that_is_none_is_named(bundle: Path, tmp_path: Path, make, reason) -> None:
    with pytest.raises(BundleError, match=reason):
        signer(bundle, [make(tmp_path)])


def test_an_unsigned_bundle_is_added_where_no_keys_are_asked_for(tmp_path: Path) -> None:
    place, _ = installation.add(WEIGHTS / "super-resolution", tmp_path / "models")
    assert not (place / SIGNATURE_NAME).exists()
