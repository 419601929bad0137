"""C-STORE over an association that pynetdicom has negotiated, written to its connection and read from it directly.

pynetdicom's own way encodes, queues and polls for each PDU, some 10 ms for each object. Here a data set goes from its
file to the connection in large pieces, which are cut into fragments on the way (PS3.8 Annex E).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from contextlib import suppress

from pynetdicom import Association
from pynetdicom.pdu import A_RELEASE_RP, A_RELEASE_RQ

from node.dicom.command import C_STORE_RQ, RESPONSE, Command, MalformedCommandError, read_command
from node.dicom.encrypted import connection_over
from node.dicom.pdu_reader import (
    COMMAND,
    LAST,
    AssociationEnd,
    BrokenConnectionError,
    ConnectionClosed,
    PDUReader,
    PeerAborted,
    ReleaseRequested,
    TimeLimits,
)
from storage.filebytes import FileBytes

_READY = "Sta6"  # for data transfer, PS3.8 9.2.1
_P_DATA_TF = 0x04
# Of the PDU: type and length. Of the fragment, the only one in it: length, presentation context, control header.
_HEADER = struct.Struct(">BxLLBB")
_BESIDE_CONTENT = 6  # bytes of the second part: they count towards the maximum length of the receiver
_LARGEST_FRAGMENT = 2**20  # bytes, where the receiver names no maximum
_PIECE = 2**18  # bytes that are read and sent at a time
_LARGEST_ANSWER = 2**16
_SLOWEST = 1.0  # bytes a second of an answer, which is small
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # A-ABORT of the user, PS3.8 9.3.8
_PARTING_S = 1.0
_LAST_MESSAGE = 0xFFFF


class LostAssociationError(Exception):
    """The association ended, or had to be ended, before the answer."""


class StoreAssociation:
    """An association of which this is the only user from here on; used in one thread."""

    def __init__(self, association: Association, timeout_s: float) -> None:
        """Take an established association over from pynetdicom.

        Args:
            association: its threads end.
            timeout_s: for the receiver to take what is sent, a piece at a time, and for each answer.

        Raises:
            LostAssociationError: it has ended meanwhile.
        """
        maximum = association.acceptor.maximum_length
        self._fragment = min(maximum - _BESIDE_CONTENT, _LARGEST_FRAGMENT) if maximum else _LARGEST_FRAGMENT
        association.dul.kill_dul()
        association.dul.join()
        transport, state = association.dul.socket, association.dul.state_machine.current_state
        association.kill()
        if transport is None or transport.socket is None:
            raise LostAssociationError
        if state != _READY:
            transport.close()
            raise LostAssociationError
        self._connection = connection_over(transport.socket, timeout_s)
        self._reader = PDUReader(self._connection, 0, TimeLimits(timeout_s, _SLOWEST))
        self._message_id = 0
        self._over = False

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        if not self._over and not self._connection.rests:
            self._end(self._reason())
        return self._over

    def store(self, context_id: int, sop_class_uid: str, sop_instance_uid: str, file: FileBytes, start: int) -> Command:
        """Send an object; returns the response.

        Args:
            context_id: of an accepted presentation context for it.
            sop_class_uid: of the object.
            sop_instance_uid: of the object.
            file: holds it, encoded as the context says.
            start: where in the file its data set begins; it goes to the end.

        Raises:
            LostAssociationError: the association ended while the object was under way.
            OSError: the file cannot be read; an association whose message broke off here is aborted.
        """
        self._message_id = self._message_id % _LAST_MESSAGE + 1
        command = Command(C_STORE_RQ, self._message_id, True, sop_class_uid, sop_instance_uid, 0).encoded
        pieces = self._pieces(context_id, file, start)
        first = next(pieces)  # from here on the file is known to be there
        try:
            self._send(self._framed(context_id, COMMAND, command, last=True) + first)
            for piece in pieces:
                self._send(piece)
        except OSError:
            self._abort()
            raise
        return self._response()

    def close(self) -> None:
        """Release the association, unless it has ended."""
        if self._over:
            return
        with suppress(AssociationEnd, LostAssociationError):  # what comes is the answer, or the end without one
            self._send(A_RELEASE_RQ().encode())
            self._reader.fragment()
        self._over = True
        self._connection.close()

    def _pieces(self, context_id: int, file: FileBytes, start: int) -> Iterator[bytes]:
        """PDUs with the data set, several of them together."""
        step = max(1, _PIECE // self._fragment) * self._fragment
        for begin in range(start, len(file), step):
            end = min(begin + step, len(file))
            piece = file[begin:end]
            if len(piece) < end - begin:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            yield self._framed(context_id, 0, piece, last=end == len(file))

    def _framed(self, context_id: int, control: int, content: bytes, last: bool) -> bytes:
        """PDUs of one fragment each."""
        parts: list[bytes | memoryview] = []
        whole, length = memoryview(content), len(content)
        for begin in range(0, length, self._fragment):
            part = whole[begin : begin + self._fragment]
            header = control | (LAST if last and begin + len(part) == length else 0)
            count = len(part)
            parts += [_HEADER.pack(_P_DATA_TF, count + _BESIDE_CONTENT, count + 2, context_id, header), part]
        return b"".join(parts)

    def _send(self, data: bytes) -> None:
        try:
            self._connection.send(data)
        except OSError as error:
            self._end(BrokenConnectionError("a connection that broke"))
            raise LostAssociationError from error

    def _response(self) -> Command:
        try:
            answer = read_command(self._message())
        except (AssociationEnd, MalformedCommandError) as error:
            self._end(error)
            raise LostAssociationError from error
        self._reader.end_message()
        # Which message it says that it answers does not matter: there is one only.
        if answer.field != C_STORE_RQ | RESPONSE or answer.status is None:
            self._abort()
            raise LostAssociationError
        return answer

    def _message(self) -> bytes:
        """The next command."""
        found, control = bytearray(), COMMAND
        while not control & LAST:
            _, control, left = self._reader.fragment()
            if not control & COMMAND or len(found) + left > _LARGEST_ANSWER:
                raise MalformedCommandError("no response")
            while left:
                piece = self._reader.content(left)
                found += piece
                left -= len(piece)
        return bytes(found)

    def _reason(self) -> Exception:
        """How the association has ended, as what has come without being asked for says."""
        try:
            self._message()
        except (AssociationEnd, MalformedCommandError) as end:
            return end
        return MalformedCommandError("a message that nobody waits for")

    def _end(self, end: Exception) -> None:
        """Give the connection back, with a last word where one is due."""
        if isinstance(end, PeerAborted | ConnectionClosed | BrokenConnectionError):
            self._over = True
            self._connection.close()
        elif isinstance(end, ReleaseRequested):
            self._part(A_RELEASE_RP().encode())
        else:
            self._abort()

    def _abort(self) -> None:
        self._part(_ABORT)

    def _part(self, last_word: bytes) -> None:
        self._over = True
        with suppress(OSError):  # nobody may be there any more
            self._connection.send(last_word)
            self._connection.part(_PARTING_S)
        self._connection.close()
