"""The signature of a bundle: Ed25519 (RFC 8032) of the bytes of its manifest, which holds the digest of every file.

It lies beside the manifest, 64 bytes, as `openssl pkeyutl -sign -rawin` writes it (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from models.errors import BundleError
from models.manifest import MANIFEST_NAME

SIGNATURE_NAME = "manifest.sig"
_BYTES = 64


def signer(folder: Path, keys: Sequence[Path]) -> Path:
    """The one of these public keys (PEM) that the bundle in `folder` is signed by.

    Raises:
        BundleError: it has no signature, or that is by none of them; or a key cannot be read.
    """
    known = {key: _read(key) for key in keys}
    signed = (folder / MANIFEST_NAME).read_bytes()
    signature = _signature(folder)
    for path, key in known.items():
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            continue
        return path
    raise BundleError(
        f"bundle {folder.name}: its signature is by none of the trusted keys ({', '.join(key.name for key in keys)}), "
        f"or {MANIFEST_NAME} is not what was signed"
    )


def _signature(folder: Path) -> bytes:
    path = folder / SIGNATURE_NAME
    if not path.is_file():
        raise BundleError(
            f"bundle {folder.name}: {SIGNATURE_NAME} is missing, and only signed bundles are trusted here"
        )
    with path.open("rb") as stream:
        found = stream.read(_BYTES + 1)
    if len(found) != _BYTES:
        raise BundleError(f"bundle {folder.name}: {SIGNATURE_NAME} is no Ed25519 signature, which has {_BYTES} bytes")
    return found


def _read(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise BundleError(f"trusted key {path}: no public key in PEM that can be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"trusted key {path}: it is no Ed25519 key")
    return key
