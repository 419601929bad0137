"""A secret of the site, by which digests of what identifies a person can be compared and not be guessed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from storage.durability import sync
from storage.errors import StorageError

NAME = "site-secret"
_BYTES = 32


class SiteSecret:
    """The secret of a root, made at its first use; who has it can find out whether a digest is of a known ID."""

    def __init__(self, root: Path) -> None:
        self._path = root / NAME

    def digest(self, text: str) -> str:
        """HMAC-SHA256 (hex) of a text; empty for an empty one.

        Raises:
            OSError: the disk refused.
            StorageError: the secret is damaged.
        """
        return hmac.new(self._read(), text.encode(), hashlib.sha256).hexdigest() if text else ""

    def _read(self) -> bytes:
        if not self._path.exists():
            self._make()
        secret = self._path.read_bytes()
        if len(secret) != _BYTES:
            raise StorageError(f"{self._path}: is not a secret of this node: put it back from a backup, or remove it")
        return secret

    def _make(self) -> None:
        """Under a name of its own first: of several processes one has made it, and all read that."""
        partial = self._path.with_name(f"{NAME}.{os.getpid()}-{secrets.token_hex(4)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, self._path)
        partial.unlink()
        sync(self._path.parent)
