"""The Siemens CSA image header, (0029,xx10) of SIEMENS CSA HEADER: little-endian entries after `SV10`.

Every read is checked against the length of the element; an overrun is a fault of the header, not an exception.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from node.codes import Code
from node.errors import told
from node.recognition.header.elements import finite
from node.recognition.header.facts import Fault
from node.recognition.header.private import PrivateElements

_CREATOR = "SIEMENS CSA HEADER"
_MAGIC = b"SV10"
_ENTRY = struct.Struct("<64s i 4s i i i")
_ITEM = struct.Struct("<4i")
_LARGEST_COUNT = 1000


def number(private: PrivateElements, name: str) -> float | None:
    """The first value of an entry as a number."""
    return next(iter(numbers(private, name)), None)


def numbers(private: PrivateElements, name: str) -> tuple[float, ...]:
    """The values of an entry as numbers; what is none, such as the blank items that syngo adds, is left out."""
    raw = private.binary(0x0029, _CREATOR, 0x10)
    if not raw.startswith(_MAGIC):
        return ()
    try:
        return next((values for found, values in _entries(raw) if found == name), ())
    except (struct.error, ValueError) as error:
        private.faults.append(Fault(Code.PRIVATE_UNDECODED, f"(0029,xx10) {_CREATOR}: {told(error)}"))
        return ()


def _entries(raw: bytes) -> Iterator[tuple[str, tuple[float, ...]]]:
    (count,) = struct.unpack_from("<i", raw, 8)
    offset = 16
    for _ in range(_checked(count)):
        name, _, _, _, items, _ = _ENTRY.unpack_from(raw, offset)
        offset += _ENTRY.size
        values: list[float] = []
        for _ in range(_checked(items)):
            length = _ITEM.unpack_from(raw, offset)[1]
            offset += _ITEM.size
            if length < 0 or offset + length > len(raw):
                raise ValueError("an item ends behind the element")
            values.extend(_number(raw[offset : offset + length]))
            offset += (length + 3) & ~3
        yield name.split(b"\0", 1)[0].decode("latin-1"), tuple(values)


def _checked(count: int) -> int:
    if not 0 <= count <= _LARGEST_COUNT:
        raise ValueError(f"{count} entries")
    return count


def _number(raw: bytes) -> tuple[float, ...]:
    return finite((raw.split(b"\0", 1)[0],))
