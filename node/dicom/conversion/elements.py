"""Headers of data elements (PS3.5 7.1), read from and written to a stream in any of the three encodings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from storage.elements import LONG, SHORT, Encoding
from storage.errors import HeaderError

PIECE = 2**18  # bytes of a value that are held at a time; a multiple of every width of numbers
_LONGEST_SHORT = 0xFFFF


@dataclass(frozen=True, slots=True)
class ElementHead:
    """Tag, VR ("" where none is written) and value length of an element, an item or a delimiter."""

    tag: int
    vr: str
    length: int

    @property
    def name(self) -> str:
        """(gggg,eeee)"""
        return f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X})"


class Forward:
    """Bytes that come in pieces and are read once, from the first to the last."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held, self._begin = b"", 0
        self.position = 0

    def read(self, count: int) -> bytes:
        """`count` bytes; fewer only at the end."""
        while len(self._held) - self._begin < count:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._held, self._begin = self._held[self._begin :] + piece, 0
        found = self._held[self._begin : self._begin + count]
        self._begin += len(found)
        self.position += len(found)
        return found

    def exactly(self, count: int) -> bytes:
        """`count` bytes.

        Raises:
            HeaderError: they are not there.
        """
        found = self.read(count)
        if len(found) < count:
            raise HeaderError("the data set is cut short")
        return found

    def value(self, length: int) -> Iterator[bytes]:
        """The next `length` bytes in pieces of at most `PIECE`, all but the last as long as that."""
        while length > 0:
            piece = self.exactly(min(length, PIECE))
            length -= len(piece)
            yield piece


def read_head(stream: Forward, encoding: Encoding) -> ElementHead | None:
    """The head of the next element; None at the end, before which zero bytes may stand.

    Raises:
        HeaderError: the head is cut short.
    """
    start = stream.read(8)
    if len(start) < 8:
        if start.strip(b"\0"):
            raise HeaderError("the data set is cut short inside the header of an element")
        return None
    group, element = struct.unpack(encoding.integers + "HH", start[:4])
    tag, vr = group << 16 | element, start[4:6]
    if encoding.explicit and group != 0xFFFE:
        if vr in SHORT:
            return ElementHead(tag, vr.decode(), struct.unpack(encoding.integers + "H", start[6:])[0])
        if vr in LONG:
            return ElementHead(tag, vr.decode(), struct.unpack(encoding.integers + "L", stream.exactly(4))[0])
    # No VR: implicit encoding, an item, or what a device wrote implicitly within explicit ones.
    return ElementHead(tag, "", struct.unpack(encoding.integers + "L", start[4:])[0])


def write_head(out: IO[bytes], head: ElementHead, encoding: Encoding) -> None:
    """Write a head; a value that is too long for its VR in explicit encoding becomes UN (PS3.5 6.2.2)."""
    group, element, vr = head.tag >> 16, head.tag & 0xFFFF, head.vr.encode()
    if not encoding.explicit or group == 0xFFFE:
        out.write(struct.pack(encoding.integers + "HHL", group, element, head.length))
    elif vr in LONG or head.length > _LONGEST_SHORT:
        out.write(struct.pack(encoding.integers + "HH2s2xL", group, element, vr if vr in LONG else b"UN", head.length))
    else:
        out.write(struct.pack(encoding.integers + "HH2sH", group, element, vr, head.length))
