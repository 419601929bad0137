"""The bytes of a data set, read forwards: all there, or inflated as far as they are asked for.

A deflated data set (PS3.5 A.5) can inflate to a thousand times its size. It is never held whole: a window moves
over it, so that a walk to its end costs time but no memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from storage.errors import HeaderError
from storage.filebytes import FileBytes

Buffer = bytes | FileBytes

MAXIMUM_INFLATED = 2**30  # bytes; a data set that inflates beyond is taken for an attack on the machine
MAXIMUM_READS = 5_000_000  # of one data set; ten times the elements of an enhanced object of 5,000 frames

_GIBIBYTE = 2**30
_PIECE_IN = 2**14  # bytes; zlib copies what it has not come to at each call, hence small beside a data set
_PIECE_OUT = 2**18  # bytes


class Plain:
    """Bytes that are all there, from `start` of a buffer on."""

    def __init__(self, buffer: Buffer, start: int = 0) -> None:
        self._buffer, self._start = buffer, start
        self._reads = 0
        self.end = len(buffer) - start

    def at(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position` on; fewer only where the data set ends.

        Raises:
            HeaderError: nobody reads a data set so often; it is made of nothing but tiny elements.
        """
        self._reads = _counted(self._reads)
        begin = self._start + position
        return self._buffer[begin : begin + count]

    def count(self, elements: int) -> None:
        """So many elements were passed over without `at`.

        Raises:
            HeaderError: as `at`.
        """
        self._reads = _counted(self._reads, elements)

    def reaches(self, position: int) -> bool:
        """Whether the data set has so many bytes."""
        return position <= self.end


class Inflated:
    """The inflated bytes of a raw deflate stream. Positions that are asked for never go back.

    Raises, with every method, HeaderError: see `inflated`.
    """

    def __init__(self, deflated: Buffer, start: int = 0, limit: int = MAXIMUM_INFLATED) -> None:
        self._pieces = inflated(deflated, start, limit)
        self._window, self._base = b"", 0
        self._reads = 0

    @property
    def end(self) -> int:
        """How far the data set has been inflated: its size, once `reaches` has said no."""
        return self._base + len(self._window)

    def at(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position` on; fewer only where the data set ends."""
        self._reads = _counted(self._reads)
        while self.end < position + count and self._inflate(keep_from=position):
            continue
        begin = position - self._base
        return self._window[begin : begin + count]

    def reaches(self, position: int) -> bool:
        """Whether the data set has so many bytes; what lies before `position` is given up."""
        while self.end < position:
            if not self._inflate(keep_from=position):
                return False
        return True

    def _inflate(self, keep_from: int) -> bool:
        """Lengthen the window by a piece and drop what lies before `keep_from`; False at the end of the stream."""
        piece = next(self._pieces, b"")
        drop = min(max(keep_from - self._base, 0), len(self._window))
        self._window = self._window[drop:] + piece
        self._base += drop
        return bool(piece)


def inflated(deflated: Buffer, start: int, limit: int) -> Iterator[bytes]:
    """The inflated bytes of a raw deflate stream from `start` of a buffer on, in pieces.

    Raises:
        HeaderError: the stream is broken, cut short, or inflates beyond `limit` bytes.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    while not stream.eof:
        held = stream.unconsumed_tail
        if not held:
            held = deflated[start : start + _PIECE_IN]
            start += len(held)
        try:
            piece = stream.decompress(held, _PIECE_OUT)
        except zlib.error as error:
            raise HeaderError(f"the deflated data set cannot be inflated: {error}") from error
        if not piece and not held and not stream.eof:
            raise HeaderError("the deflated data set is cut short")
        size += len(piece)
        if size > limit:
            raise HeaderError(f"the deflated data set inflates beyond {limit / _GIBIBYTE:g} GiB")
        if piece:
            yield piece


def _counted(reads: int, more: int = 1) -> int:
    if reads + more > MAXIMUM_READS:
        raise HeaderError(f"the data set has more than {MAXIMUM_READS} elements")
    return reads + more
