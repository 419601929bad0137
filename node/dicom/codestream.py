"""How large a compressed frame says that it is, read before anything of it is decoded.

A codestream of 200 bytes can hold an image of a gigabyte, whatever the image attributes say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
#: The signature box of a JP2 file (ISO/IEC 15444-1 I.5.1).
_JP2 = b"\0\0\0\x0cjP  "
#: Start-of-frame markers of JPEG (ISO/IEC 10918-1 B.1.1.3) and of JPEG-LS (ISO/IEC 14495-1 C.1.1).
_FRAMES = frozenset({0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_FILL = 0xFF
#: Markers of JPEG 2000 (ISO/IEC 15444-1 A.2): coding style, and the first tile, before which the main header ends.
_CODING_STYLE, _FIRST_TILE = 0xFF52, 0xFF90


@dataclass(frozen=True, slots=True)
class Coded:
    """What a codestream says of itself.

    `irreversible`: JPEG 2000 with a wavelet that does not give back what it took (9-7); False does not say that
    nothing was lost.
    """

    rows: int
    columns: int
    components: int
    irreversible: bool = False

    @property
    def samples(self) -> int:
        """How many numbers come out of it; 0 where the rows or columns are told later, or elsewhere."""
        return self.rows * self.columns * self.components


def read_codestream(codestream: bytes) -> Coded | None:
    """What the main header of JPEG, JPEG-LS, JPEG 2000 or HTJ2K says; None where it is none of them.

    Raises:
        struct.error: the codestream ends before that.
    """
    if codestream.startswith(_JP2):
        codestream = _boxed(codestream)
    if codestream.startswith(_JPEG_2000):
        return _jpeg_2000(codestream)
    return _jpeg(codestream) if codestream.startswith(_JPEG) else None


def _jpeg_2000(codestream: bytes) -> Coded:
    """SIZ (A.5.1) and, where there is one, COD (A.6.1) of ISO/IEC 15444-1; those of HTJ2K are the same."""
    length, right, lower, left, upper = struct.unpack_from(">H2x4L", codestream, 4)
    (components,) = struct.unpack_from(">H", codestream, 40)
    irreversible = False
    position = 4 + length
    while position + 4 <= len(codestream):
        marker, length = struct.unpack_from(">2H", codestream, position)
        if marker == _FIRST_TILE:
            break
        if marker == _CODING_STYLE:
            irreversible = codestream[position + 13 : position + 14] == b"\0"
        position += 2 + length
    return Coded(lower - upper, right - left, components, irreversible)


def _jpeg(codestream: bytes) -> Coded | None:
    position = len(_JPEG)
    while True:
        prefix, marker = struct.unpack_from(">2B", codestream, position)
        if prefix != 0xFF:
            return None
        if marker == _FILL:  # before a marker there may be any number of them (ISO/IEC 10918-1 B.1.1.2)
            position += 1
            continue
        (length,) = struct.unpack_from(">H", codestream, position + 2)
        if marker in _FRAMES:
            return Coded(*struct.unpack_from(">2HB", codestream, position + 5))
        position += 2 + length


def _boxed(file: bytes) -> bytes:
    """The codestream within a JP2 file (ISO/IEC 15444-1 Annex I), which some writers store whole; empty without one."""
    position = 0
    while position < len(file):
        length, kind, head = *struct.unpack_from(">L4s", file, position), 8
        if length == 1:
            length, head = *struct.unpack_from(">Q", file, position + 8), 16
        if kind == b"jp2c":
            return file[position + head :]
        if length < head:  # 0 for the last box, which reaches to the end
            break
        position += length
    return b""
