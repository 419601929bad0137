"""The PDUs of an association, read from its connection: P-DATA as fragments, piece by piece, and what ends it.

Every wait has a limit of the whole: a PDU must be there within the time of silence, however its bytes drip in, and a
message within this time and the time that its bytes take at the slowest rate that is put up with.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass

from pynetdicom.dul import _PDU_TYPES as DECODERS

from node.dicom.connection import LARGEST_PIECE, Connection

HEADER = 6
"""Bytes of every PDU before its body."""

LARGEST_PDU = 2**20
"""Bytes of a PDU that are read at least, whatever maximum the node has named: some senders do not keep to it."""

#: What pynetdicom raises where a PDU or a message holds what it should not.
MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    AssertionError,
    struct.error,
)
COMMAND, LAST = 0x01, 0x02  # message control header, PS3.8 E.2
_P_DATA_TF, _RELEASE_RQ, _ABORT = 0x04, 0x05, 0x07
_PDU_TYPES = range(0x01, 0x08)
_PDU_HEADER = struct.Struct(">BxL")
_FRAGMENT_HEADER = struct.Struct(">LBB")


class AssociationEnd(Exception):  # noqa: N818 (an orderly end is no error)
    """The association has ended."""


class ReleaseRequested(AssociationEnd):
    """By A-RELEASE."""


class PeerAborted(AssociationEnd):
    """By A-ABORT of the other side."""


class ConnectionClosed(AssociationEnd):
    """By the end of the connection between two PDUs."""


class SilenceError(AssociationEnd):
    """By silence between two messages."""


class FaultError(AssociationEnd):
    """By what the other side must not do; the message says it in words of ours, which hold nothing of what it sent."""


class SlowError(FaultError):
    """By what has not come in its time."""


class BrokenConnectionError(FaultError):
    """By the end of the connection within a PDU: nobody is there to be told."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long the other side may take.

    Attributes:
        silence_s: for the next PDU to begin, and for a PDU from its first byte to its last.
        slowest_bytes_s: for a message `silence_s`, and a second more for so many bytes that it has brought.
    """

    silence_s: float
    slowest_bytes_s: float

    def of_message(self, begun: float, brought: int) -> float:
        """The deadline of a message."""
        return begun + self.silence_s + brought / self.slowest_bytes_s


class PDUReader:
    """The PDUs of one association."""

    def __init__(self, connection: Connection, largest_pdu: int, limits: TimeLimits) -> None:
        self._connection, self._limits = connection, limits
        self._largest = max(largest_pdu, LARGEST_PDU)
        self._left = 0  # bytes of the P-DATA that is being read
        self._deadline = 0.0  # of the PDU that is being read
        self._begun, self._brought = 0.0, 0  # of the message that is being read: when (0: none is), and its bytes

    def fragment(self) -> tuple[int, int, int]:
        """Presentation context, message control header and length of the content of the next fragment.

        Raises:
            AssociationEnd: there is none.
        """
        while not self._left:
            self._begin_pdu()
        if self._left < _FRAGMENT_HEADER.size:
            raise FaultError("a PDU that cannot be decoded")
        length, context, control = _FRAGMENT_HEADER.unpack(self._read(_FRAGMENT_HEADER.size))
        self._left -= 4 + length
        if length < 2 or self._left < 0:
            raise FaultError("a PDU that cannot be decoded")
        if not self._begun:
            self._begun, self._brought = time.monotonic(), 0
        return context, control, length - 2

    def content(self, left: int) -> memoryview:
        """The next bytes of a fragment of which so many are left; they are there until the next call.

        Raises:
            AssociationEnd: they have not come.
        """
        piece = self._read(min(left, LARGEST_PIECE))
        self._brought += len(piece)
        return piece

    def end_message(self) -> None:
        """The message is whole; the next one has a limit of its own."""
        self._begun = 0.0

    def command_waiting(self) -> bytes | None:
        """The command in a whole P-DATA that comes next, where one is there without waiting; it is not taken."""
        if self._left:
            return None
        seen = self._connection.look()
        if len(seen) < HEADER + _FRAGMENT_HEADER.size:
            return None
        kind, length = _PDU_HEADER.unpack_from(seen)
        fragment, _, control = _FRAGMENT_HEADER.unpack_from(seen, HEADER)
        if kind != _P_DATA_TF or len(seen) < HEADER + length or control != COMMAND | LAST:
            return None
        return bytes(seen[HEADER + _FRAGMENT_HEADER.size : HEADER + 4 + fragment])

    def end_waiting(self) -> bool:
        """Whether an A-ABORT, or the end of the connection, comes next, as far as can be seen without waiting."""
        if self._left:
            return False
        seen = self._connection.look()
        return seen[0] == _ABORT if seen else self._connection.ended

    def _begin_pdu(self) -> None:
        """Read the header of the next PDU, and all of one that is no P-DATA."""
        now = time.monotonic()
        deadline = now + self._limits.silence_s
        if self._begun:
            deadline = min(deadline, self._limits.of_message(self._begun, self._brought))
        try:
            head = self._connection.read(HEADER, deadline)
        except TimeoutError:
            between = not self._begun and not self._connection.unread
            raise SilenceError if between else SlowError("silence inside a PDU or a message") from None
        except EOFError:
            if self._connection.unread:
                raise BrokenConnectionError("a connection that ended inside a PDU") from None
            raise ConnectionClosed from None
        except OSError:
            raise BrokenConnectionError("a connection that broke") from None
        kind, length = _PDU_HEADER.unpack(head)
        if kind not in _PDU_TYPES:
            raise FaultError("a PDU of an unknown type")
        if length > self._largest:
            raise FaultError(f"a PDU that announces more than {self._largest} bytes")
        self._deadline = time.monotonic() + self._limits.silence_s
        if self._begun:
            self._deadline = min(self._deadline, deadline)
        if kind == _P_DATA_TF:
            self._left = length
        else:
            self._control(kind, bytes(head), length)

    def _control(self, kind: int, head: bytes, length: int) -> None:
        """A PDU that is no P-DATA: it ends the association."""
        body = b""
        while len(body) < length:
            body += self._read(min(length - len(body), LARGEST_PIECE))
        try:
            DECODERS[head[:1]][0]().decode(head + body)
        except MALFORMED as error:
            raise FaultError("a PDU that cannot be decoded") from error
        if kind == _RELEASE_RQ:
            raise ReleaseRequested
        if kind == _ABORT:
            raise PeerAborted
        raise FaultError("a PDU that does not belong there")

    def _read(self, count: int) -> memoryview:
        try:
            return self._connection.read(count, self._deadline)
        except TimeoutError:
            raise SlowError("silence inside a PDU, or one that comes too slowly") from None
        except EOFError:
            raise BrokenConnectionError("a connection that ended inside a PDU") from None
        except OSError:
            raise BrokenConnectionError("a connection that broke inside a PDU") from None
