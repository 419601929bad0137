"""DICOM files as pydicom reads them, with bounds on what a small file can become in memory.

pydicom inflates a deflated data set (PS3.5 A.5) whole before it reads the first element of it. Here it is inflated
only as far as it is read, so up to the pixels where those are not asked for.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from storage.errors import HeaderError
from storage.header import file_meta
from storage.inflation import inflated

ELEMENT_ERRORS = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    EOFError,
    struct.error,
    zlib.error,
    BytesLengthException,
)
"""What pydicom raises for an element that cannot be decoded or converted; nothing of a disk or of memory."""

LARGEST_INFLATED = 2**28
"""Bytes of a deflated data set that are read; the largest that scanners write, without compression, is smaller."""

_META = 2**14  # bytes; file meta information has about 500


def read_dataset(path: Path, **options: Any) -> Dataset:  # noqa: ANN401 - pydicom's own
    """`pydicom.dcmread`, for which a deflated file becomes one in Explicit VR Little Endian.

    Raises:
        InvalidDicomError: no DICOM file, or the deflated data set is broken or larger than `LARGEST_INFLATED`.
        OSError, MemoryError: this machine cannot read the file now.
    """
    with _opened(path) as file:
        if isinstance(file, _Inflating):
            return dcmread(file, **options)
        try:
            return dcmread(path, **options)
        except MemoryError:  # of this machine, or of an element that says it is larger than its file
            with _Bounded(io.FileIO(path)) as bounded:
                return dcmread(bounded, **options)


def read_beginning(path: Path, last: int, defer_size: int) -> Dataset:
    """The elements of a data set up to the tag `last`; they stand in the order of their tags (PS3.5 7.1).

    Raises:
        InvalidDicomError: as `read_dataset`.
        OSError: the file cannot be read.
    """
    with _opened(path) as file:
        return read_partial(file, stop_when=lambda tag, _vr, _length: tag > last, defer_size=defer_size)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file at its beginning, inflated as it is read where its data set is deflated."""
    with path.open("rb") as file:
        head = file.read(_META)
        deflated = DeflatedExplicitVRLittleEndian.encode() in head
        try:
            syntax, start = file_meta(head) if deflated else ("", 0)
            if syntax != DeflatedExplicitVRLittleEndian:
                file.seek(0)
                yield file
            else:
                yield _Inflating(_explicit(head[:start]), inflated(head[start:] + file.read(), 0, LARGEST_INFLATED))
        except HeaderError as error:
            raise InvalidDicomError(str(error)) from error


def _explicit(head: bytes) -> bytes:
    """The file meta information with the other transfer syntax in the same number of bytes."""
    deflated = DeflatedExplicitVRLittleEndian.encode()
    return head.replace(deflated, ExplicitVRLittleEndian.encode().ljust(len(deflated), b"\0"))


class _Bounded(io.BufferedReader):
    """A file that asks for no more memory than for what is left of it."""

    def read(self, size: int | None = -1) -> bytes:
        left = max(os.fstat(self.fileno()).st_size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left))


class _Inflating(io.BytesIO):
    """A file that grows by pieces as it is read."""

    def __init__(self, head: bytes, pieces: Iterator[bytes]) -> None:
        super().__init__(head)
        self._size = len(head)
        self._pieces = pieces

    def read(self, size: int | None = -1) -> bytes:
        self._reach(None if size is None or size < 0 else self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = self.tell() if whence == io.SEEK_CUR else 0
        self._reach(None if whence == io.SEEK_END else origin + offset)
        return super().seek(offset, whence)

    def _reach(self, position: int | None) -> None:
        """Grow up to a position; to the end for None."""
        place = self.tell()
        while position is None or self._size < position:
            piece = next(self._pieces, b"")
            if not piece:
                break
            super().seek(self._size)
            self._size += self.write(piece)
        super().seek(place)
