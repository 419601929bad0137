"""The Siemens CSA image header, (0029,xx10) of SIEMENS CSA HEADER: little-endian entries after `SV10`.

Every read is checked against the length of the element; an overrun is a fault of the header, not an exception.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from node.recognition.facts import Fault
from node.recognition.private import PrivateElements

_CREATOR = "SIEMENS CSA HEADER"
_MAGIC = b"SV10"
_ENTRY = struct.Struct("<64s i 4s i i i")
_ITEM = struct.Struct("<4i")
_LARGEST_COUNT = 1000


def number(private: PrivateElements, name: str) -> float | None:
    """The first value of an entry as a number."""
    raw = private.binary(0x0029, _CREATOR, 0x10)
    if not raw.startswith(_MAGIC):
        return None
    try:
        return next((entry for found, entry in _entries(raw) if found == name), None)
    except (struct.error, ValueError) as error:
        private.faults.append(Fault("E-PRIVATE-UNDECODED", f"(0029,xx10) {_CREATOR}: {error}"))
        return None


def _entries(raw: bytes) -> Iterator[tuple[str, float | None]]:
    (count,) = struct.unpack_from("<i", raw, 8)
    offset = 16
    for _ in range(_checked(count)):
        name, _, _, _, items, _ = _ENTRY.unpack_from(raw, offset)
        offset += _ENTRY.size
        first: float | None = None
        for _ in range(_checked(items)):
            length = _ITEM.unpack_from(raw, offset)[1]
            offset += _ITEM.size
            if length < 0 or offset + length > len(raw):
                raise ValueError("an item ends behind the element")
            if first is None:
                first = _number(raw[offset : offset + length])
            offset += (length + 3) & ~3
        yield name.split(b"\0", 1)[0].decode("latin-1"), first


def _checked(count: int) -> int:
    if not 0 <= count <= _LARGEST_COUNT:
        raise ValueError(f"{count} entries")
    return count


def _number(raw: bytes) -> float | None:
    try:
        return float(raw.split(b"\0", 1)[0])
    except ValueError:
        return None
