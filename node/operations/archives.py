"""A ZIP archive of DICOM files: read entry by entry, and none of what archives can do to who unpacks them.

No name of an entry is ever used as a path. One that could be, elsewhere, makes the whole archive suspect: it is refused
before anything of it is taken in, as is one that unpacks to more than its bounds.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.errors import GivenFileError, NodeError
from node.failure import pass_on

MOST_ENTRIES = 50_000
LARGEST_DIRECTORY = 10**8
"""Bytes of the central directory, which is read whole."""

DEEPEST = 32
"""Folders within folders."""

LARGEST_RATIO = 200
"""Bytes unpacked for one packed, of the whole; images of hardly anything but 0 reach it, so that …"""

_FREE_OF_RATIO = 2**27
"""… so many bytes are unpacked whatever the ratio."""

LONGEST_NAME = 1024

_DRIVE = re.compile(r"[A-Za-z]:")
_ENCRYPTED = 0x1
#: zipfile bounds what it unpacks at once for these alone; eight bytes of the others may cost tens of megabytes.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
#: How zipfile tells of damage, be it in a name (ValueError) or in a place within the file (OSError, OverflowError).
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError, OSError)
#: Of an entry of the central directory: signature and, among others, the lengths of name, extra field and comment.
_ENTRY = struct.Struct("<4s24x3H12x")
_ENTRY_MAGIC = b"PK\x01\x02"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
#: How archives begin: ZIP, gzip, 7z, RAR, bzip2, xz.
_NESTED = (*_ZIP, b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ")
_LONGEST_MAGIC = 8


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, so many at most; none at the end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive; where it is refused, why."""

    name: str
    refusal: str
    content: Readable | None


def is_zip(beginning: bytes) -> bool:
    """Whether a file begins as a ZIP archive does."""
    return beginning.startswith(_ZIP)


@contextmanager
def opened(path: Path, largest: int) -> Iterator[Iterator[Entry]]:
    """The files of an archive, one after the other; `largest`: bytes that they may have together.

    Raises:
        NodeError: it is broken, suspect, or too large; also while its files are read.
        OSError: this machine cannot read it now; likewise.
    """
    packed = path.stat().st_size
    with _Listed(io.FileIO(path)) as file:
        with _readable():
            archive = zipfile.ZipFile(file)
        file.is_listed = True
        with archive:
            infos = archive.infolist()
            for info in infos:
                if fault := suspect(info):
                    named = f"the archive is refused: entry {shown(info.orig_filename)!r} {fault}"
                    raise GivenFileError(named, f"the archive is refused: an entry {fault}")
            meter = _Meter(packed, largest)
            meter.look(sum(info.file_size for info in infos))
            yield _entries(archive, infos, meter)


@contextmanager
def _readable() -> Iterator[None]:
    """Round what zipfile does; what the one who reads the entries does is not damage of the archive."""
    try:
        yield
    except _BROKEN as error:
        pass_on(error)
        raise NodeError(f"the archive is broken: {type(error).__name__}") from error


class _Listed(io.BufferedReader):
    """An archive whose central directory is counted before zipfile makes an object of each of its entries.

    The count that an archive states is not looked at: zipfile does not either.
    """

    is_listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            NodeError: they are a central directory that is too large.
        """
        if not self.is_listed and (size or 0) > LARGEST_DIRECTORY:
            raise NodeError(f"the directory of the archive has more than {LARGEST_DIRECTORY / 1e6:g} MB")
        data = super().read(size)
        if not self.is_listed:
            _count(data)
        return data


def _count(directory: bytes) -> None:
    """Whether what was read is a central directory of too many entries."""
    at = count = 0
    while directory.startswith(_ENTRY_MAGIC, at) and at + _ENTRY.size <= len(directory):
        count += 1
        if count > MOST_ENTRIES:
            raise NodeError(f"the archive has more than {MOST_ENTRIES} entries")
        at += _ENTRY.size + sum(_ENTRY.unpack_from(directory, at)[1:])


def suspect(info: zipfile.ZipInfo) -> str:
    """What of an entry would lead a careless program astray; empty where nothing does."""
    name = info.orig_filename.replace("\\", "/")
    parts = name.split("/")
    mode = info.external_attr >> 16
    checks = (
        ("\0" in name, "has a zero byte in its name"),
        (name.startswith("/"), "has an absolute path"),
        (bool(_DRIVE.match(name)), "names a drive"),
        (".." in parts, "leads out of its folder"),
        (len(name) > LONGEST_NAME, f"has a name of more than {LONGEST_NAME} characters"),
        (len(parts) > DEEPEST + 1, f"lies in more than {DEEPEST} folders"),
        (stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR), "is a link or a device"),
    )
    return next((words for found, words in checks if found), "")


def shown(name: str) -> str:
    """A name as it is told to a person."""
    printable = "".join(it if it.isprintable() else "\N{REPLACEMENT CHARACTER}" for it in name)
    return printable if len(printable) <= 200 else f"…{printable[-199:]}"


def _entries(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], meter: _Meter) -> Iterator[Entry]:
    for info in infos:
        if info.is_dir():
            continue
        name = shown(info.filename)
        if info.flag_bits & _ENCRYPTED:
            yield Entry(name, "it is encrypted", None)
            continue
        if info.compress_type not in _METHODS:
            yield Entry(name, f"it is packed by method {info.compress_type}, not stored or deflated", None)
            continue
        with _readable():
            source = archive.open(info)
        with source:
            with _readable():
                beginning = source.read(_LONGEST_MAGIC)
            if beginning.startswith(_NESTED):
                yield Entry(name, "an archive within an archive is not opened", None)
            else:
                meter.count(len(beginning))
                yield Entry(name, "", _Metered(beginning, source, meter))


class _Meter:
    """How much has been unpacked: what an archive says of itself may be wrong."""

    def __init__(self, packed: int, largest: int) -> None:
        self._packed, self._largest, self._unpacked = packed, largest, 0

    def count(self, size: int) -> None:
        """So many bytes more."""
        self._unpacked += size
        self.look(self._unpacked)

    def look(self, unpacked: int) -> None:
        """Whether so many bytes are too many.

        Raises:
            NodeError: they are.
        """
        if unpacked > self._largest:
            raise NodeError(f"the archive unpacks to more than {self._largest / 1e9:g} GB")
        if unpacked > max(_FREE_OF_RATIO, LARGEST_RATIO * self._packed):
            raise NodeError(f"the archive unpacks to more than {LARGEST_RATIO} times its size")


class _Metered:
    """An entry as it is read."""

    def __init__(self, beginning: bytes, source: Readable, meter: _Meter) -> None:
        self._beginning, self._source, self._meter = beginning, source, meter

    def read(self, size: int, /) -> bytes:
        """The next bytes; raises as `opened`."""
        first, self._beginning = self._beginning, b""
        with _readable():
            more = self._source.read(max(size - len(first), 0))
        self._meter.count(len(more))
        return first + more
