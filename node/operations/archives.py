"""A ZIP archive of DICOM files: read entry by entry, and none of what archives can do to who unpacks them.

No name of an entry is ever used as a path. One that could be, elsewhere, makes the whole archive suspect: it is refused
before anything of it is taken in, as is one that unpacks to more than its bounds.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.errors import NodeError

MOST_ENTRIES = 50_000
DEEPEST = 32
"""Folders within folders."""

LARGEST_RATIO = 200
"""Bytes unpacked for one packed, of the whole; images of hardly anything but 0 reach it, so that …"""

_FREE_OF_RATIO = 2**27
"""… so many bytes are unpacked whatever the ratio."""

LONGEST_NAME = 1024

_DRIVE = re.compile(r"[A-Za-z]:")
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
#: How archives begin: ZIP, gzip, 7z, RAR, bzip2, xz.
_NESTED = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"BZh", b"\xfd7zXZ")
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
    return beginning[:4] in (b"PK\x03\x04", b"PK\x05\x06")


@contextmanager
def opened(path: Path, largest: int) -> Iterator[Iterator[Entry]]:
    """The files of an archive, one after the other; `largest`: bytes that they may have together.

    Raises:
        NodeError: it is broken, suspect, or too large; also while its files are read.
    """
    packed = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise NodeError(f"the archive has {len(infos)} entries, {MOST_ENTRIES} are allowed")
            for info in infos:
                if fault := suspect(info):
                    raise NodeError(f"the archive is refused: entry {shown(info.orig_filename)!r} {fault}")
            meter = _Meter(packed, largest)
            meter.look(sum(info.file_size for info in infos))
            yield _entries(archive, infos, meter)
    except _BROKEN as error:
        raise NodeError(f"the archive is broken: {type(error).__name__}") from error


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
        with archive.open(info) as source:
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
        """The next bytes; raises as `_Meter.look`."""
        first, self._beginning = self._beginning, b""
        more = self._source.read(max(size - len(first), 0))
        self._meter.count(len(more))
        return first + more
