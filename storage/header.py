"""The few elements that the index needs, and whether a data set is whole.

One walk over the element headers (PS3.5 7) to the end of the bytes: values are skipped, never decoded, so
pixel data costs nothing; a deflated data set is inflated on the way, a piece at a time. pydicom's readers do not
tell a data set that was cut short inside a value from a whole one, hence a walk of our own. Messages never repeat
a value: what stands in the place of a UID may be a name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.elements import (
    EXPLICIT,
    EXPLICIT_BIG,
    IMPLICIT,
    UNDEFINED,
    Encoding,
    Source,
    after_items,
    after_others,
    element,
    end_of,
    looked_at,
)
from storage.errors import HeaderError
from storage.filebytes import FileBytes
from storage.identity import Content
from storage.inflation import MAXIMUM_INFLATED, Buffer, Inflated, Plain
from storage.origin import OF_ORIGIN, Origin
from storage.records import InstanceHeader
from storage.spool import SpooledFile

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99"})
BIG_ENDIAN = "1.2.840.10008.1.2.2"

_PREAMBLE = 132
_PIECE = 2**18  # bytes
_MAXIMUM_UID = 64
_LONGEST_UID_VALUE = 256  # bytes; what is padded beyond is no UID, and is not read
_ZEROS = 2**16  # bytes that are looked at together, a multiple of the 8 of an element without value
_HEAD = 2**16  # bytes of a data set that are passed over in one go where nothing is to be looked at
_TRANSFER_SYNTAX = 0x00020010
_INDEXED = {
    0x00080016: "SOP Class UID",
    0x00080018: "SOP Instance UID",
    0x0020000D: "Study Instance UID",
    0x0020000E: "Series Instance UID",
}
_LOOKED_AT = looked_at(_INDEXED.keys() | OF_ORIGIN)
# PS3.5 9.1 without the rule on leading zeros, which real devices break and which endangers nothing.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def check_uid(value: str, name: str) -> str:
    """The UID, when it is one (digits and single dots, at most 64 characters), so that it can be a file name.

    Raises:
        HeaderError: it is none.
    """
    if len(value) > _MAXIMUM_UID:
        raise HeaderError(f"{name} is not a UID: it has {len(value)} characters and not at most {_MAXIMUM_UID}")
    if not _UID.fullmatch(value):
        raise HeaderError(f"{name} is not a UID: its {len(value)} characters are not digits with single dots between")
    return value


def read_header(source: bytes | Path | SpooledFile, maximum_inflated: int = MAXIMUM_INFLATED) -> InstanceHeader:
    """The index's elements of a DICOM file (preamble, file meta information, data set) that is whole.

    Raises:
        HeaderError: no DICOM file, cut short, it inflates beyond so many bytes, or an element that the index needs
            is missing or is no UID.
    """
    with _opened(source) as buffer:
        syntax, start = file_meta(buffer)
        check_uid(syntax, "Transfer Syntax UID")
        data = Inflated(buffer, start, maximum_inflated) if syntax in DEFLATED else Plain(buffer, start)
        origin, values = Origin(), dict[int, str]()
        _read_indexed(data, _encoding(syntax), origin, values)
    missing = [name for tag, name in _INDEXED.items() if tag not in values]
    if missing:
        raise HeaderError(f"the data set has no {', '.join(missing)}")
    sop_class, instance, study, series = (check_uid(values[tag], name) for tag, name in _INDEXED.items())
    return InstanceHeader(sop_class, instance, study, series, syntax, origin.made_here, origin.sources)


def readable_uids(source: Path) -> dict[str, str]:
    """The UIDs of the index, by name, as far as they stand in a file that may be broken."""
    values: dict[int, str] = {}
    with _opened(source) as buffer, suppress(HeaderError):  # where it is broken there is nothing more to be read
        syntax, start = file_meta(buffer)
        data = Inflated(buffer, start, MAXIMUM_INFLATED) if syntax in DEFLATED else Plain(buffer, start)
        _read_indexed(data, _encoding(syntax), Origin(), values)
    found = {_INDEXED[tag]: value for tag, value in values.items()}
    return {name: value for name, value in found.items() if len(value) <= _MAXIMUM_UID and _UID.fullmatch(value)}


def content_of(source: bytes | Path) -> Content:
    """The content of a file: the bytes after the file meta information, all when there is none, and their syntax."""
    with _opened(source) as buffer:
        try:
            syntax, start = file_meta(buffer)
        except HeaderError:
            syntax, start = "", 0
        digest = hashlib.sha256()
        for begin in range(start, len(buffer), _PIECE):
            digest.update(buffer[begin : begin + _PIECE])
        return Content(digest.hexdigest(), syntax)


@contextmanager
def _opened(source: bytes | Path | SpooledFile) -> Iterator[Buffer]:
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, SpooledFile):
        yield FileBytes(source)
    else:
        with source.open("rb") as file:
            yield FileBytes(file)


def file_meta(buffer: Buffer) -> tuple[str, int]:
    """Transfer Syntax UID and offset of the data set (PS3.10 7.1: group 0002 is explicit, little endian).

    Raises:
        HeaderError: no DICOM file, or its meta information is cut short.
    """
    if len(buffer) < _PREAMBLE or buffer[128:132] != b"DICM":
        raise HeaderError("no DICOM file: there is no DICM prefix")
    source, position, syntax = Plain(buffer), _PREAMBLE, ""
    while source.reaches(position + 8) and source.at(position, 2) == b"\x02\x00":
        tag, _, length, value = element(source, position, EXPLICIT)
        position = end_of(source, tag, length, value)
        if tag == _TRANSFER_SYNTAX:
            syntax = _text(source, tag, length, value)
    if not syntax:
        raise HeaderError("the file meta information has no Transfer Syntax UID")
    return syntax, position


def _encoding(syntax: str) -> Encoding:
    if syntax == IMPLICIT_LITTLE:
        return IMPLICIT
    return EXPLICIT_BIG if syntax == BIG_ENDIAN else EXPLICIT


def _read_indexed(source: Source, encoding: Encoding, origin: Origin, values: dict[int, str]) -> None:
    """Walk all top-level elements to the end of the data set, and put those that the index needs into `values`.

    `origin` looks at each element on the way.
    """
    position = 0
    head = source.at(0, _HEAD) if isinstance(source, Plain) else b""
    while source.reaches(position + 1):
        if isinstance(source, Plain):
            position, passed = after_others(head, position, source.end, encoding, _LOOKED_AT)
            source.count(passed)
            if passed:
                continue
        if (after := _after_zeros(source, position, encoding)) > position:
            position = after
            continue
        tag, vr, length, value = element(source, position, encoding)
        origin.look(source, encoding, tag, length, value)
        if length == UNDEFINED:
            position = after_items(source, value, IMPLICIT if vr == b"UN" else encoding, 0)
            continue
        if tag in _INDEXED:
            values[tag] = _text(source, tag, length, value)
        position = end_of(source, tag, length, value)


def _after_zeros(source: Source, position: int, encoding: Encoding) -> int:
    """Offset after zero bytes, which some senders append to a data set.

    Before other bytes they count, 8 at a time, as elements (0000,0000) without value. In big endian a single one at
    the end is what a cut leaves of the next tag.
    """
    head = source.at(position, 4)
    if head.strip(b"\0") or (len(head) == 1 and encoding.integers == ">"):
        return position
    while chunk := source.at(position, _ZEROS):
        zeros = len(chunk) - len(chunk.lstrip(b"\0"))
        if zeros < len(chunk):
            return position + zeros // 8 * 8
        position += zeros
    return position


def _text(source: Source, tag: int, length: int, value: int) -> str:
    if length > _LONGEST_UID_VALUE:
        raise HeaderError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has a length of {length} bytes and should hold a UID")
    return source.at(value, length).decode("latin-1").strip(" \0")
