"""A data set from one encoding into another, element by element, in one pass."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import numpy as np

from node.dicom.conversion.elements import ElementHead, Forward, read_head, write_head
from node.dicom.conversion.errors import ConversionError
from node.dicom.conversion.pixels import NativePixels
from node.dicom.conversion.representations import BITS_ALLOCATED, DECISIVE, PIXEL_DATA, representation
from storage.elements import IMPLICIT, ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Encoding
from storage.errors import HeaderError

_WIDTHS = {vr: 2 for vr in ("AT", "OW", "SS", "US")}
_WIDTHS |= {vr: 4 for vr in ("FL", "OF", "OL", "SL", "UL")}
_WIDTHS |= {vr: 8 for vr in ("FD", "OD", "OV", "SV", "UV")}
_ENCAPSULATED = frozenset({"OB", "OW"})

_PHOTOMETRIC_INTERPRETATION, _PLANAR_CONFIGURATION = 0x00280004, 0x00280006
#: Extended Offset Table, its lengths, Encapsulated Pixel Data Value Total Length: they describe encapsulated frames.
_OF_FRAMES = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})


@dataclass(frozen=True, slots=True)
class _Level:
    """Where an element stands: encodings, whether in the data set itself, and what decides on representations."""

    source: Encoding
    target: Encoding
    outermost: bool
    decisive: dict[int, int]

    def inside(self, source: Encoding, target: Encoding) -> _Level:
        """An item of a sequence here."""
        return _Level(source, target, False, dict(self.decisive))


@dataclass(frozen=True, slots=True)
class Reencoding:
    """From a stream to a file; `pixels` take the place of encapsulated ones.

    Sequences come out with undefined lengths, group lengths, which are retired (PS3.5 7.2), not at all.
    """

    stream: Forward
    out: IO[bytes]
    pixels: NativePixels | None = None

    def run(self, source: Encoding, target: Encoding, decisive: Mapping[int, int]) -> None:
        """Write the whole data set.

        Raises:
            ConversionError: it holds encapsulated pixel data for which there are no decoded ones.
            HeaderError: it is cut short or broken.
        """
        self._elements(_Level(source, target, True, dict(decisive)), None)

    def _elements(self, level: _Level, end: int | None) -> None:
        """All elements up to the offset `end`, else to the delimiter of the item or the end of the data set."""
        while end is None or self.stream.position < end:
            head = read_head(self.stream, level.source)
            if head is None and not level.outermost:
                raise HeaderError("an item of a sequence has no end")
            if head is None or (head.tag == ITEM_END and not level.outermost):
                return
            self._element(head, level)

    def _element(self, head: ElementHead, level: _Level) -> None:
        vr = head.vr or representation(head.tag, level.decisive)
        replaced = self._replaced(head.tag, level)
        if head.tag & 0xFFFF == 0 or replaced is not None:
            for _ in self.stream.value(head.length):
                continue
            if replaced:
                write_head(self.out, ElementHead(head.tag, vr, len(replaced)), level.target)
                self.out.write(replaced)
        elif head.length == UNDEFINED and vr in _ENCAPSULATED:
            self._pixels(head, level)
        elif vr == "SQ" or head.length == UNDEFINED:
            self._sequence(head, level)
        else:
            self._value(head, vr, level)

    def _replaced(self, tag: int, level: _Level) -> bytes | None:
        """The value that an attribute of the pixels has after decoding; empty where it goes, None where it stays."""
        if self.pixels is None or not level.outermost:
            return None
        if tag == _PHOTOMETRIC_INTERPRETATION:
            text = self.pixels.photometric_interpretation
            return text.ljust(len(text) + len(text) % 2).encode()
        if tag == _PLANAR_CONFIGURATION:
            return struct.pack("<H", 0)
        return b"" if tag in _OF_FRAMES else None

    def _value(self, head: ElementHead, vr: str, level: _Level) -> None:
        width = _WIDTHS.get(vr, 1) if level.source.integers != level.target.integers else 1
        if width > 1 and head.tag == PIXEL_DATA and level.decisive.get(BITS_ALLOCATED, 16) > 16:
            raise ConversionError("readers disagree on the byte order of pixels of more than 16 bits in big endian")
        write_head(self.out, ElementHead(head.tag, vr, head.length), level.target)
        for piece in self.stream.value(head.length):
            written = _swapped(piece, width)
            if head.tag in DECISIVE and head.length == 2:
                level.decisive[head.tag] = int.from_bytes(written, "little")
            self.out.write(written)

    def _sequence(self, head: ElementHead, level: _Level) -> None:
        """Items, of a sequence of known or unknown representation; the latter are implicit (PS3.5 6.2.2)."""
        unknown = head.vr == "UN"
        inside = (IMPLICIT, IMPLICIT) if unknown else (level.source, level.target)
        write_head(self.out, ElementHead(head.tag, "UN" if unknown else "SQ", UNDEFINED), level.target)
        end = None if head.length == UNDEFINED else self.stream.position + head.length
        while end is None or self.stream.position < end:
            item = read_head(self.stream, inside[0])
            if item is not None and item.tag == SEQUENCE_END:
                break
            if item is None or item.tag != ITEM:
                raise HeaderError(f"in {head.name} something else stands where an item of a sequence should")
            write_head(self.out, ElementHead(ITEM, "", UNDEFINED), inside[1])
            self._elements(
                level.inside(*inside), None if item.length == UNDEFINED else self.stream.position + item.length
            )
            write_head(self.out, ElementHead(ITEM_END, "", 0), inside[1])
        write_head(self.out, ElementHead(SEQUENCE_END, "", 0), inside[1])

    def _pixels(self, head: ElementHead, level: _Level) -> None:
        if self.pixels is None or not level.outermost:
            raise ConversionError(f"{head.name} holds encapsulated data where none can be decoded")
        self._skip_fragments(head, level)
        length = self.pixels.length + self.pixels.length % 2
        if length >= UNDEFINED:
            raise ConversionError(f"the decoded pixels have {length} bytes, more than an element can hold")
        vr = "OW" if self.pixels.bits_allocated > 8 else "OB"
        write_head(self.out, ElementHead(head.tag, vr, length), level.target)
        for frame in self.pixels.frames:
            self.out.write(frame)
        self.out.write(b"\0" * (length - self.pixels.length))

    def _skip_fragments(self, head: ElementHead, level: _Level) -> None:
        while True:
            item = read_head(self.stream, level.source)
            if item is None or item.tag not in (ITEM, SEQUENCE_END):
                raise HeaderError(f"in {head.name} something else stands where a fragment should")
            if item.tag == SEQUENCE_END:
                return
            for _ in self.stream.value(item.length):
                continue


def _swapped(value: bytes, width: int) -> bytes:
    """The numbers of a value in the other byte order; bytes beyond the last whole number stay."""
    if width == 1:
        return value
    whole = len(value) - len(value) % width
    return np.frombuffer(value[:whole], f"<u{width}").byteswap().tobytes() + value[whole:]
