"""A file in the spool while its bytes arrive: written and hashed piece by piece, never held whole."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
from pathlib import Path

from storage.identity import Content

# No two writers meet: the process is in the name, and by a random part the machine or container that it runs on.
_WRITER = f"{os.getpid()}-{secrets.token_hex(4)}"
_numbers = itertools.count()


class SpooledFile:
    """A DICOM file that is being written; `ObjectStore.store` and `quarantine` take it over, `discard` removes it.

    Attributes:
        path: where it is.
        size: bytes so far.
        data_set_size: of these, bytes of the data set.
    """

    def __init__(self, folder: Path, head: bytes, transfer_syntax_uid: str) -> None:
        """Create the file with preamble and file meta information; what is written after them is the data set.

        Raises:
            OSError: the disk refused; nothing is left behind.
        """
        self.path = f"{folder}/{_WRITER}-{next(_numbers)}.part"
        self.size = self.data_set_size = 0
        self._moved = False
        self._syntax = transfer_syntax_uid
        self._hash = hashlib.sha256()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._put(memoryview(head))
        except OSError:
            self.discard()
            raise

    @property
    def content(self) -> Content:
        """What has been written so far."""
        return Content(self._hash.hexdigest(), self._syntax)

    def fileno(self) -> int:
        """The descriptor of the open file."""
        return self._descriptor

    def write(self, piece: memoryview) -> None:
        """Append to the data set.

        Raises:
            OSError: the disk refused; the file is of no use any more.
        """
        self._put(piece)
        self._hash.update(piece)
        self.data_set_size += len(piece)

    def sync(self) -> None:
        """Return when the bytes survive a power cut, and close the file.

        Raises:
            OSError: the disk refused.
        """
        os.fsync(self._descriptor)
        self._close()

    def move(self, target: Path) -> None:
        """Give it its name.

        Raises:
            OSError: the disk refused.
        """
        os.replace(self.path, target)
        self._moved = True

    def discard(self) -> None:
        """Close and remove it; nothing where it has its name."""
        self._close()
        if not self._moved:
            Path(self.path).unlink(missing_ok=True)

    def _put(self, piece: memoryview) -> None:
        written = os.write(self._descriptor, piece)
        self.size += written
        while written < len(piece):
            more = os.write(self._descriptor, piece[written:])
            written += more
            self.size += more

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
