"""Lines that follow one another: each holds the digest of the one before, so that none can go, change or move unseen.

A line is the number of its event, the SHA-256 of the line before (64 zeros in the first), and the message, with a blank
between each and a line feed at the end. What does not end in a line feed was being written when its process ended, or
the disk was full; the next writer ends it, and writes the event again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NOTHING: Final = "0" * 64
"""What the first line has as the digest of the line before."""

_LINE = re.compile(rb"([0-9]{1,18}) ([0-9a-f]{64}) (<AuditMessage.*</AuditMessage>)", re.DOTALL)
_NAME = re.compile(r"audit-([0-9]{6,})\.log")


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line: the number of its event, the digest of the line before and its own."""

    event: int
    before: str
    digest: str


def written(event: int, before: str, message: str) -> bytes:
    """A line, without the line feed."""
    return f"{event} {before} {message}".encode()


def digest_of(line: bytes) -> str:
    """What the next line has of this one; without the line feed."""
    return hashlib.sha256(line).hexdigest()


def read(line: bytes) -> Line | None:
    """A line without its line feed; None where it is none."""
    found = _LINE.fullmatch(line)
    return Line(int(found[1]), found[2].decode(), digest_of(line)) if found else None


def name_of(number: int) -> str:
    """The name of a file; numbers go up from 1."""
    return f"audit-{number:06d}.log"


def files_in(folder: Path) -> dict[int, Path]:
    """The files of a chain by their numbers, in the order of these; none where there is no folder.

    A folder that gets names while it is read may be said to have one of them and not the one before (POSIX, readdir):
    what was there at the end of a first look, a second one finds.
    """
    if not folder.is_dir():
        return {}
    first = _names(folder)
    last = max(first, default=0)
    return {number: path for number, path in sorted((first | _names(folder)).items()) if number <= last}


def _names(folder: Path) -> dict[int, Path]:
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    numbered = ((int(match[1]), path) for match, path in found if match)
    return {number: path for number, path in numbered if path.name == name_of(number)}
