"""C-STORE over an association that pynetdicom has negotiated, written to its connection and read from it directly.

pynetdicom's own way encodes, queues and polls for each PDU, some 10 ms for each object. Here a data set goes from its
file to the connection in large pieces, which are cut into fragments on the way (PS3.8 Annex E).
"""

from __future__ import annotations

import time
from contextlib import suppress

from pynetdicom import Association
from pynetdicom.pdu import A_RELEASE_RP, A_RELEASE_RQ

from node.dicom.command import C_STORE_RQ, RESPONSE, Command, MalformedCommandError, Originator, read_command
from node.dicom.connection import Connection
from node.dicom.encrypted import connection_over
from node.dicom.fragments import Fragments
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
_LARGEST_ANSWER = 2**16
_SLOWEST = 1.0  # bytes a second of an answer, which is small
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # A-ABORT of the user, PS3.8 9.3.8
_PARTING_S = 1.0
_LAST_MESSAGE = 0xFFFF


class LostAssociationError(Exception):
    """The association ended, or had to be ended, before the answer."""


def taken_over(association: Association, timeout_s: float) -> Connection:
    """The connection of an established association of which pynetdicom's threads end.

    Args:
        association: that pynetdicom has negotiated.
        timeout_s: for the other side to take what is sent, a piece at a time.

    Raises:
        LostAssociationError: it has ended meanwhile.
    """
    association.dul.kill_dul()
    association.dul.join()
    transport, state = association.dul.socket, association.dul.state_machine.current_state
    association.kill()
    if transport is None or transport.socket is None:
        raise LostAssociationError
    if state != _READY:
        transport.close()
        raise LostAssociationError
    return connection_over(transport.socket, timeout_s)


class StoreAssociation:
    """An association of which this is the only user from here on; used in one thread."""

    def __init__(self, association: Association, timeout_s: float, slowest_bytes_s: float = 1000.0) -> None:
        """Take an established association over from pynetdicom.

        Args:
            association: its threads end.
            timeout_s: for the receiver to take what is sent, a piece at a time, and for each answer.
            slowest_bytes_s: an object must be taken in this time, and a second more for so many bytes of it.

        Raises:
            LostAssociationError: it has ended meanwhile.
        """
        self._fragments = Fragments(association.acceptor.maximum_length)
        self._timeout_s, self._slowest_bytes_s = timeout_s, slowest_bytes_s
        self._connection = taken_over(association, timeout_s)
        self._reader = PDUReader(self._connection, 0, TimeLimits(timeout_s, _SLOWEST))
        self._message_id = 0
        self._over = False

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more."""
        if not self._over and not self._connection.rests:
            self._end(self._reason())
        return self._over

    def store(
        self,
        context_id: int,
        sop_class_uid: str,
        sop_instance_uid: str,
        file: FileBytes,
        start: int,
        originator: Originator | None = None,
    ) -> Command:
        """Send an object; returns the response.

        Args:
            context_id: of an accepted presentation context for it.
            sop_class_uid: of the object.
            sop_instance_uid: of the object.
            file: holds it, encoded as the context says.
            start: where in the file its data set begins; it goes to the end.
            originator: of the C-MOVE that the object is sent for.

        Raises:
            LostAssociationError: the association ended while the object was under way, or the receiver took it too
                slowly.
            OSError: the file cannot be read; an association whose message broke off here is aborted.
        """
        self._message_id = self._message_id % _LAST_MESSAGE + 1
        command = Command(
            C_STORE_RQ, self._message_id, True, sop_class_uid, sop_instance_uid, originator=originator
        ).encoded
        pieces = self._fragments.of_file(context_id, file, start)
        first = next(pieces)  # from here on the file is known to be there
        deadline = time.monotonic() + self._timeout_s + (len(file) - start) / self._slowest_bytes_s
        try:
            self._send(self._fragments.command(context_id, command) + first)
            for piece in pieces:
                if time.monotonic() > deadline:
                    self._abort()
                    raise LostAssociationError
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
