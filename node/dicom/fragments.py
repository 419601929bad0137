"""Messages as P-DATA: fragments of one message control header each, one in a PDU (PS3.8 9.3.5, Annex E)."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator

from node.dicom.pdu_reader import COMMAND, LAST
from storage.filebytes import FileBytes

_P_DATA_TF = 0x04
# Of the PDU: type and length. Of the fragment, the only one in it: length, presentation context, control header.
_HEADER = struct.Struct(">BxLLBB")
_BESIDE_CONTENT = 6  # bytes of the second part: they count towards the maximum length of the receiver
_SMALLEST = 2
_LARGEST = 2**20  # bytes, where the receiver names no maximum
_PIECE = 2**18  # bytes that are read and sent at a time


class Fragments:
    """Cuts what goes to one receiver."""

    def __init__(self, maximum_length: int | None) -> None:
        """`maximum_length` is that of the PDUs that the receiver takes, in bytes; 0: any."""
        self._length = min(max(maximum_length - _BESIDE_CONTENT, _SMALLEST), _LARGEST) if maximum_length else _LARGEST

    def command(self, context_id: int, command: bytes) -> bytes:
        """A command set."""
        return self._framed(context_id, COMMAND, command, last=True)

    def data_set(self, context_id: int, data_set: bytes) -> bytes:
        """A data set that is held."""
        return self._framed(context_id, 0, data_set, last=True)

    def of_file(self, context_id: int, file: FileBytes, start: int) -> Iterator[bytes]:
        """The data set in a file, from `start` to its end, several PDUs together.

        Raises:
            OSError: the file cannot be read, or has become shorter.
        """
        step = max(1, _PIECE // self._length) * self._length
        for begin in range(start, len(file), step):
            end = min(begin + step, len(file))
            piece = file[begin:end]
            if len(piece) < end - begin:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            yield self._framed(context_id, 0, piece, last=end == len(file))

    def _framed(self, context_id: int, control: int, content: bytes, last: bool) -> bytes:
        parts: list[bytes | memoryview] = []
        whole, length = memoryview(content), len(content)
        for begin in range(0, length, self._length):
            part = whole[begin : begin + self._length]
            header = control | (LAST if last and begin + len(part) == length else 0)
            count = len(part)
            parts += [_HEADER.pack(_P_DATA_TF, count + _BESIDE_CONTENT, count + 2, context_id, header), part]
        return b"".join(parts)
