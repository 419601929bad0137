"""Element headers of a data set (PS3.5 7), in every encoding: where each value begins and ends, never what it says."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from storage.errors import HeaderError
from storage.inflation import Inflated, Plain

Source = Plain | Inflated

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_MAXIMUM_DEPTH = 60
LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
    | {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the elements of a data set are encoded; `integers` is the struct prefix of the byte order."""

    explicit: bool
    integers: str
    tag: struct.Struct
    long: struct.Struct
    short: struct.Struct


_NO_GROUPS = (b"\0\0", b"\xfe\xff")  # zeros after a data set, delimiters


def _encoding(explicit: bool, integers: str) -> Encoding:
    return Encoding(explicit, integers, *(struct.Struct(integers + form) for form in ("HH", "L", "H")))


EXPLICIT, EXPLICIT_BIG, IMPLICIT = _encoding(True, "<"), _encoding(True, ">"), _encoding(False, "<")


def element(source: Source, position: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
    """Tag, VR (b"" where none is written), value length and value offset of the element at `position`."""
    head = source.at(position, 12)
    try:
        group, number = encoding.tag.unpack_from(head)
        tag = group << 16 | number
        vr = head[4:6] if encoding.explicit and group != 0xFFFE else b""
        if vr in SHORT:
            return tag, vr, encoding.short.unpack_from(head, 6)[0], position + 8
        if vr in LONG:
            return tag, vr, encoding.long.unpack_from(head, 8)[0], position + 12
        # No VR: implicit encoding, an item, or what a device wrote implicitly within explicit ones.
        return tag, b"", encoding.long.unpack_from(head, 4)[0], position + 8
    except struct.error:
        raise HeaderError("the data set is cut short inside the header of an element") from None


def looked_at(tags: Iterable[int]) -> frozenset[bytes]:
    """Tags as they are encoded in little endian, and those of items, which have no VR in any encoding."""
    return frozenset(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in (*tags, ITEM, ITEM_END, SEQUENCE_END))


def after_others(head: bytes, position: int, end: int, encoding: Encoding, wanted: frozenset[bytes]) -> tuple[int, int]:
    """Offset after elements that nobody looks at, in little endian and within the `head` of a data set; their number.

    What it stops at has to be looked at by `element`: a wanted tag, a length that is not defined or leads beyond the
    `end`, a VR that is none.
    """
    if encoding.integers != "<":
        return position, 0
    passed = _after_explicit if encoding.explicit else _after_implicit
    return passed(head, position, end, wanted)


def _after_explicit(head: bytes, position: int, end: int, wanted: frozenset[bytes]) -> tuple[int, int]:
    last = min(len(head), end) - 12
    short, long = EXPLICIT.short.unpack_from, EXPLICIT.long.unpack_from
    count = 0
    while position <= last and head[position : position + 4] not in wanted:
        vr = head[position + 4 : position + 6]
        if vr in SHORT:
            after = position + 8 + short(head, position + 6)[0]
        elif vr in LONG:
            (length,) = long(head, position + 8)
            after = position + 12 + length if length != UNDEFINED else end + 1
        else:
            break
        if after > end:
            break
        position, count = after, count + 1
    return position, count


def _after_implicit(head: bytes, position: int, end: int, wanted: frozenset[bytes]) -> tuple[int, int]:
    last = min(len(head), end) - 8
    long = IMPLICIT.long.unpack_from
    count = 0
    while position <= last and head[position : position + 4] not in wanted:
        (length,) = long(head, position + 4)
        after = position + 8 + length
        if length == UNDEFINED or after > end or head[position : position + 2] in _NO_GROUPS:
            break
        position, count = after, count + 1
    return position, count


def end_of(source: Source, tag: int, length: int, value: int) -> int:
    end = value + length
    if not source.reaches(end):
        raise HeaderError(
            f"the data set is cut short: ({tag >> 16:04X},{tag & 0xFFFF:04X}) has a length of {length} bytes "
            f"and {source.end - value} are there"
        )
    return end


def after_items(source: Source, position: int, encoding: Encoding, depth: int) -> int:
    """Offset after the delimiter of a sequence, or of encapsulated pixel data, of undefined length."""
    if depth > _MAXIMUM_DEPTH:
        raise HeaderError(f"sequences are nested deeper than {_MAXIMUM_DEPTH}")
    while True:
        tag, _, length, value = element(source, position, encoding)
        if tag == SEQUENCE_END:
            return value
        if tag != ITEM:
            raise HeaderError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) stands where an item of a sequence should")
        if length == UNDEFINED:
            position = _after_item(source, value, encoding, depth)
        else:
            position = end_of(source, tag, length, value)


def _after_item(source: Source, position: int, encoding: Encoding, depth: int) -> int:
    """Offset after the delimiter of an item of undefined length."""
    while True:
        tag, vr, length, value = element(source, position, encoding)
        if tag == ITEM_END:
            return value
        if length == UNDEFINED:
            position = after_items(source, value, IMPLICIT if vr == b"UN" else encoding, depth + 1)
        else:
            position = end_of(source, tag, length, value)
