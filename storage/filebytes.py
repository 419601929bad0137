"""The bytes of a file by position, read a page at a time.

A mapping would be shorter. But where the disk below it fails, or the file is cut short by somebody else, touching a
mapping ends the process (SIGBUS); here it is an OSError, or the end of the bytes.
"""

from __future__ import annotations

import os
from typing import Protocol

_PAGE = 2**14  # bytes; the heads of a data set's elements lie close together, its pixels are passed over


class HasDescriptor(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Its descriptor."""


class FileBytes:
    """An open file as a sequence of bytes, of the size that it had at first."""

    def __init__(self, file: HasDescriptor) -> None:
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self._page, self._begin = b"", 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> bytes:
        """The bytes from one position to another; fewer where the file ends.

        Raises:
            OSError: the file cannot be read.
        """
        begin, end = where.start or 0, self._size if where.stop is None else where.stop
        at = begin - self._begin
        if at < 0 or end > self._begin + len(self._page):
            count = min(end, self._size) - begin
            if count <= 0:
                return b""
            self._page, self._begin, at = self._read(begin, max(count, _PAGE)), begin, 0
        return self._page[at : at + end - begin]

    def _read(self, begin: int, count: int) -> bytes:
        found = os.pread(self._descriptor, count, begin)
        while len(found) < count and (more := os.pread(self._descriptor, count - len(found), begin + len(found))):
            found += more
        return found
