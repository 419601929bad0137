"""The DIMSE messages (PS3.7) of one association, taken as their fragments come.

A C-STORE never becomes a message of pynetdicom: its data set goes to its file piece by piece. Messages of other
services are put together by pynetdicom and served by its service classes, in the thread of the association; while one
runs, `get_msg` and `cancel_req` read what it asks for. Every request is answered: what cannot be understood is refused
with a status after its data set has come, and what cannot be answered ends the association.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pynetdicom import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.pdu_primitives import P_DATA

from node.dicom.command import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    REMADE,
    Command,
    MalformedCommandError,
    Refusal,
    read_command,
)
from node.dicom.connection import Connection
from node.dicom.pdu_reader import COMMAND, LAST, MALFORMED, AssociationEnd, FaultError, PDUReader

LARGEST_COMMAND = 2**16
"""Bytes of a command set; an honest one has some 200."""

LARGEST_IDENTIFIER = 2**24
"""Bytes of the data set of a message that is no C-STORE: it is held in memory."""

_P_DATA_TF = 0x04
_BEFORE_CONTENT = 6  # bytes of a PDU's body before the content of its only fragment
_MOST_CANCELLED = 10


class IncomingObject(Protocol):
    """The data set of a C-STORE on its way."""

    def write(self, piece: memoryview) -> None:
        """Take a piece."""

    def end(self) -> Refusal | None:
        """The data set is whole; why it is refused, None when it is acknowledged."""

    def discard(self) -> None:
        """It will not become whole."""


class AbortedHereError(AssociationEnd):
    """By A-ABORT of this side."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A message whose command is there; `received` is that as it came."""

    command: Command
    received: bytes
    context_id: int
    refusal: Refusal | None = None


class Messages(DIMSEServiceProvider):
    """The messages of one association."""

    def __init__(
        self,
        association: Association,
        connection: Connection,
        reader: PDUReader,
        begin: Callable[[Command, int, Refusal | None], IncomingObject],
        refused: Callable[[Refusal], None],
        served: Mapping[int, Collection[str]],
    ) -> None:
        """Messages come by `reader`, and answers go to `connection`.

        Args:
            association: whose messages.
            connection: where answers go.
            reader: where requests come from.
            begin: takes the command of a C-STORE, its presentation context and why it is refused already, if it is;
                gives what takes the data set.
            refused: is told of other requests that are refused.
            served: command fields of requests that pynetdicom serves, and their SOP classes.
        """
        self._cancelled: dict[int, C_CANCEL] = {}
        super().__init__(association)
        self._connection, self._reader = connection, reader
        self._begin_object, self._told_refused, self._served = begin, refused, dict(served)
        self._command = bytearray()
        self._request: _Request | None = None  # whose data set is coming
        self._object: IncomingObject | None = None  # that takes it
        self._held = bytearray()  # or what has come of it
        self._serving = False
        self._end: AssociationEnd | None = None  # that was met while a service ran

    def serve(self) -> None:
        """Take and answer messages until the association ends.

        Raises:
            AssociationEnd: how it has.
            OSError: an answer could not be sent.
        """
        try:
            while True:
                self._take_fragment()
        finally:
            if self._object is not None:
                self._object.discard()

    # --- what a service of pynetdicom asks for while it runs

    def get_msg(self, block: bool = False) -> Any:  # noqa: ANN401 (pynetdicom's)
        """Presentation context and message that come next; (None, None) where the association has ended."""
        while block and self._end is None and self.msg_queue.empty():
            self._take_fragment_or_end()
        return super().get_msg(block=False)

    @property
    def cancel_req(self) -> dict[int, C_CANCEL]:
        """C-CANCEL by the message that it is for; what has come is read first: such a one, or the association's end."""
        while self._serving and self._end is None and self._cancel_waits():
            self._take_fragment()
        if self._serving and self._end is None and self._reader.end_waiting():
            self._take_fragment_or_end()
        return self._cancelled

    @cancel_req.setter
    def cancel_req(self, known: dict[int, C_CANCEL]) -> None:
        self._cancelled = known

    def _take_fragment_or_end(self) -> None:
        try:
            self._take_fragment()
        except AssociationEnd as end:
            self._end = end
            self.assoc.dul.aborted()

    def _cancel_waits(self) -> bool:
        command = self._reader.command_waiting()
        try:
            return command is not None and read_command(command).field == C_CANCEL_RQ
        except MalformedCommandError:
            return False  # it ends the association in its turn

    # --- fragments

    def _take_fragment(self) -> None:
        context_id, control, length = self._reader.fragment()
        if control & COMMAND:
            self._take_command(context_id, control, length)
        elif self._request is None:
            raise FaultError("a data set that no command announced")
        else:
            self._take_data(self._request, control, length)

    def _take_command(self, context_id: int, control: int, left: int) -> None:
        if self._request is not None:
            raise FaultError("a command inside the data set of the one before")
        if len(self._command) + left > LARGEST_COMMAND:
            raise FaultError(f"a command of more than {LARGEST_COMMAND} bytes")
        while left:
            piece = self._reader.content(left)
            self._command += piece
            left -= len(piece)
        if control & LAST:
            received = bytes(self._command)
            self._command.clear()
            try:
                self._begin(_Request(read_command(received), received, context_id))
            except MalformedCommandError as error:
                raise FaultError(str(error)) from None

    def _take_data(self, request: _Request, control: int, left: int) -> None:
        while left:
            piece = self._reader.content(left)
            left -= len(piece)
            if self._object is not None:
                self._object.write(piece)
            elif request.refusal is None:
                self._hold(piece)
        if control & LAST:
            self._request = None
            self._finish(request)

    def _hold(self, piece: memoryview) -> None:
        if len(self._held) + len(piece) > LARGEST_IDENTIFIER:
            raise FaultError(f"a data set of more than {LARGEST_IDENTIFIER} bytes that is no object")
        self._held += piece

    # --- messages

    def _begin(self, request: _Request) -> None:
        command = request.command
        if command.is_response and not self._serving:
            raise FaultError("a response that nobody waits for")
        if command.field == C_CANCEL_RQ:
            self._cancel(command.message_id)
            return
        if request.context_id not in self.assoc._accepted_cx:
            raise FaultError("a message in a presentation context that was not accepted")
        abstract_syntax = str(self.assoc._accepted_cx[request.context_id].abstract_syntax)
        refusal = None if command.is_response else command.refusal(self._served, abstract_syntax)
        request = _Request(command, request.received, request.context_id, refusal)
        if command.field == C_STORE_RQ and (command.has_data_set or refusal is None):
            self._object = self._begin_object(command, request.context_id, refusal)
        if command.has_data_set:
            self._request = request
        else:
            self._finish(request)

    def _cancel(self, message_id: int) -> None:
        """Note what a service looks for; where none runs there is nothing to cancel, and a C-CANCEL has no answer."""
        self._reader.end_message()
        if self._serving and len(self._cancelled) < _MOST_CANCELLED:
            self._cancelled[message_id] = C_CANCEL()

    def _finish(self, request: _Request) -> None:
        """The message is whole."""
        self._reader.end_message()
        incoming, self._object = self._object, None
        if incoming is not None:
            self._answer(request, incoming.end())
        elif request.refusal is not None:
            self._told_refused(request.refusal)
            self._answer(request, request.refusal)
        else:
            held = bytes(self._held)
            self._held.clear()
            self._hand_over(request, held)
        if self.assoc._sent_abort:
            raise AbortedHereError

    def _hand_over(self, request: _Request, data_set: bytes) -> None:
        """Let pynetdicom decode the message and serve it, or give it to the service that waits for it."""
        # Only what a service needs, where that can be: pynetdicom drops one with a wrong priority or group length.
        remade = request.command.field in REMADE
        command = request.command.encoded if remade else request.received
        try:
            self.receive_primitive(_data(request.context_id, COMMAND | LAST, command))
            if request.command.has_data_set:
                self.receive_primitive(_data(request.context_id, LAST, data_set))
        except MALFORMED as error:
            raise FaultError("a message that cannot be decoded") from error
        if not self.dul.event_queue.empty():
            raise FaultError("a message that cannot be decoded")
        if not self._serving:
            self._serve_next()

    def _serve_next(self) -> None:
        context_id, message = super().get_msg(block=False)
        if message is None:
            return
        self._serving = True
        try:
            self.assoc._serve_request(message, context_id)
        finally:
            self._serving = False
        if self._end is not None:
            raise self._end

    # --- answers

    def _answer(self, request: _Request, refusal: Refusal | None) -> None:
        """Send the response in fragments that the other side takes; usually it is one."""
        answer, maximum = request.command.answer(refusal), self.maximum_pdu_size
        room = max(maximum - _BEFORE_CONTENT, 2) if maximum else len(answer)
        pieces = [answer[start : start + room] for start in range(0, len(answer), room)]
        self._connection.send(
            b"".join(
                _fragment(request.context_id, COMMAND | (LAST if piece is pieces[-1] else 0), piece) for piece in pieces
            )
        )


def _fragment(context_id: int, control: int, content: bytes) -> bytes:
    """A P-DATA of one fragment."""
    length = len(content)
    return struct.pack(">BBLLBB", _P_DATA_TF, 0, length + _BEFORE_CONTENT, length + 2, context_id, control) + content


def _data(context_id: int, control: int, content: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[context_id, bytes([control]) + content]]
    return primitive
