"""How large a compressed frame says that it is, read before anything of it is decoded.

A codestream of 200 bytes can hold an image of a gigabyte, whatever the image attributes say.
"""

from __future__ import annotations

import struct

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
#: Start-of-frame markers of JPEG (ISO/IEC 10918-1 B.1.1.3) and of JPEG-LS (ISO/IEC 14495-1 C.1.1).
_FRAMES = frozenset({0xF7, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def size_of(codestream: bytes) -> tuple[int, int] | None:
    """Rows and columns; None where they are not said, or in no way that is known here.

    Raises:
        struct.error: the codestream ends before them.
    """
    if codestream.startswith(_JPEG_2000):  # SIZ, ISO/IEC 15444-1 A.5.1; of HTJ2K as well
        right, lower, left, upper = struct.unpack_from(">4L", codestream, 8)
        return lower - upper, right - left
    if not codestream.startswith(_JPEG):
        return None
    position = len(_JPEG)
    while True:
        prefix, marker, length = struct.unpack_from(">BBH", codestream, position)
        if prefix != 0xFF:
            return None
        if marker in _FRAMES:
            rows, columns = struct.unpack_from(">HH", codestream, position + 5)
            return rows, columns
        position += 2 + length
