"""The DIMSE messages (PS3.7) of one association, taken as their fragments come.

A C-STORE never becomes a message of pynetdicom: its data set goes to its file piece by piece. Messages of other
services are put together by pynetdicom and served by its service classes, in the thread of the association; while one
runs, `get_msg` and `cancel_req` read what it asks for. Services of the node's own get their request as it came
(`Operation`). Every request is answered: what cannot be understood is refused with a status after its data set has
come, and what cannot be answered ends the association.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from pynetdicom import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_CANCEL
from pynetdicom.pdu_primitives import P_DATA

from node.dicom.command import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    NOT_AUTHORISED,
    REMADE,
    Command,
    MalformedCommandError,
    Refusal,
    read_command,
)
from node.dicom.connection import Connection
from node.dicom.fragments import Fragments
from node.dicom.pdu_reader import COMMAND, LAST, MALFORMED, AssociationEnd, FaultError, PDUReader

LARGEST_COMMAND = 2**16
"""Bytes of a command set; an honest one has some 200."""

LARGEST_IDENTIFIER = 2**24
"""Bytes of the data set of a message that is no C-STORE: it is held in memory."""

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
class Request:
    """A message whose command is there; `received` is that as it came."""

    command: Command
    received: bytes
    context_id: int
    refusal: Refusal | None = None


#: Serves a request whose data set is this, in the thread of the association, and answers it.
Operation: TypeAlias = "Callable[[Messages, Request, bytes], None]"


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
        operations: Mapping[int, Operation],
    ) -> None:
        """Messages come by `reader`, and answers go to `connection`.

        Args:
            association: whose messages.
            connection: where answers go.
            reader: where requests come from.
            begin: takes the command of a C-STORE, its presentation context and why it is refused already, if it is;
                gives what takes the data set.
            refused: is told of other requests that are refused.
            served: command fields of requests that are served, and their SOP classes.
            operations: those of these requests that pynetdicom does not serve, and what does.
        """
        self._cancelled: dict[int, C_CANCEL] = {}
        super().__init__(association)
        self._connection, self._reader = connection, reader
        self._begin_object, self._told_refused, self._served = begin, refused, dict(served)
        self._operations = dict(operations)
        self._operating = False
        self._responses: deque[Command] = deque()  # to what an operation sends
        self._command = bytearray()
        self._request: Request | None = None  # whose data set is coming
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
            self.discard()

    def discard(self) -> None:
        """Remove what has come of an object that will not become whole."""
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

    # --- what an operation asks for while it runs

    def is_cancelled(self, message_id: int) -> bool:
        """Whether the request of this message was cancelled; what has come is read first, and nothing waited for.

        Raises:
            AssociationEnd: the other side has ended the association.
        """
        while not self._connection.rests:
            self._take_fragment()
        return message_id in self._cancelled

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Meanwhile responses are kept for `next_response`."""
        self._cancelled = {}
        self._serving = self._operating = True
        try:
            yield
        finally:
            self._serving = self._operating = False
            self._responses.clear()

    def next_response(self) -> Command:
        """Wait for the response to what was sent.

        Raises:
            AssociationEnd: none comes.
        """
        while not self._responses:
            self._take_fragment()
        return self._responses.popleft()

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send P-DATA.

        Raises:
            OSError: the connection is broken, or takes no more; or the pieces cannot be had.
        """
        for piece in pieces:
            self._connection.send(piece)

    @property
    def fragments(self) -> Fragments:
        """Cuts messages into what the other side takes."""
        return Fragments(self.maximum_pdu_size)

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
                self._begin(Request(read_command(received), received, context_id))
            except MalformedCommandError as error:
                raise FaultError(str(error)) from None

    def _take_data(self, request: Request, control: int, left: int) -> None:
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

    def _begin(self, request: Request) -> None:
        command = request.command
        if command.is_response and not self._serving:
            raise FaultError("a response that nobody waits for")
        if command.field == C_CANCEL_RQ:
            self._cancel(command.message_id)
            return
        if request.context_id not in self.assoc._accepted_cx:
            raise FaultError("a message in a presentation context that was not accepted")
        context = self.assoc._accepted_cx[request.context_id]
        refusal = None if command.is_response else command.refusal(self._served, str(context.abstract_syntax))
        takes = command.field == C_STORE_RQ and context.as_scp
        if command.field == C_STORE_RQ and not takes:
            refusal = Refusal(NOT_AUTHORISED, "the role in this presentation context is to take objects")
        request = Request(command, request.received, request.context_id, refusal)
        if takes and (command.has_data_set or refusal is None):
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

    def _finish(self, request: Request) -> None:
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

    def _hand_over(self, request: Request, data_set: bytes) -> None:
        """Let pynetdicom decode the message and serve it, or give it to the service that waits for it."""
        operation = self._operations.get(request.command.field)
        if self._operating or (operation is not None and self._serving):
            self._keep_response(request)
            return
        if operation is not None:
            self._operate(operation, request, data_set)
            return
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

    def _keep_response(self, request: Request) -> None:
        if not request.command.is_response:
            raise FaultError("a request while another one is served")
        self._responses.append(request.command)

    def _operate(self, operation: Operation, request: Request, data_set: bytes) -> None:
        with self.asking():
            operation(self, request, data_set)

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

    def _answer(self, request: Request, refusal: Refusal | None) -> None:
        """Send the response in fragments that the other side takes; usually it is one."""
        self._connection.send(self.fragments.command(request.context_id, request.command.answer(refusal)))


def _data(context_id: int, control: int, content: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[context_id, bytes([control]) + content]]
    return primitive
