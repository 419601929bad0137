"""pynetdicom's DIMSE service provider (PS3.7), which is given only messages that it understands.

pynetdicom drops a request that lacks an element without a word, and dies of others. Here every request is answered:
what pynetdicom would not understand is refused with a status after its data set has come, and what cannot be
answered ends the association.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from pynetdicom import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from node.dicom.command import (
    C_CANCEL_RQ,
    C_STORE_RQ,
    Command,
    MalformedCommandError,
    Refusal,
    read_command,
)

LARGEST_COMMAND = 2**16
"""Bytes of a command set; an honest one has some 200."""

_COMMAND, _LAST = 0x01, 0x02  # message control header, PS3.8 E.2
_INVALID = "Evt19"  # PS3.8 9.2.1: invalid PDU


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that is refused for its command; `data_set` has come whole, None where there is or is kept none."""

    command: Command
    refusal: Refusal
    context_id: int
    data_set: BytesIO | None


class Messages(DIMSEServiceProvider):
    """The messages of one association. `fault` is told what ends it; nobody sends anything after that."""

    def __init__(self, association: Association, fault: Callable[[str], None]) -> None:
        super().__init__(association)
        self._fault = fault
        self._command = bytearray()
        self._expects_data_set = False
        self._refused: RefusedRequest | None = None
        self._faulty = False

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the fragments of a P-DATA, which may belong to several messages."""
        for context_id, fragment in primitive.presentation_data_value_list:
            if self._faulty:
                return
            try:
                self._receive(context_id, fragment)
            except MalformedCommandError as error:
                self._faulty = True
                self._fault(str(error))
                self.dul.event_queue.put(_INVALID)

    def answer(self, refused: RefusedRequest, refusal: Refusal) -> None:
        """Send the status of a request that was refused."""
        self._send(refused.context_id, refused.command.answer(refusal))

    def _receive(self, context_id: int, fragment: bytes) -> None:
        if not fragment:
            raise MalformedCommandError("a fragment without its control header")
        control, content = fragment[0], fragment[1:]
        if not control & _COMMAND:
            self._receive_data(context_id, fragment)
            return
        if self._expects_data_set:
            raise MalformedCommandError("a command inside the data set of the one before")
        self._command += content
        if len(self._command) > LARGEST_COMMAND:
            raise MalformedCommandError(f"a command of more than {LARGEST_COMMAND} bytes")
        if control & _LAST:
            command = read_command(bytes(self._command))
            self._command.clear()
            self._begin(context_id, command)

    def _receive_data(self, context_id: int, fragment: bytes) -> None:
        if not self._expects_data_set:
            raise MalformedCommandError("a data set that no command announced")
        last = bool(fragment[0] & _LAST)
        self._expects_data_set = not last
        if self._refused is None:
            super().receive_primitive(_data(context_id, fragment))
            return
        if self._refused.data_set is not None:
            self._refused.data_set.write(fragment[1:])
        if last:
            self._refuse()

    def _begin(self, context_id: int, command: Command) -> None:
        if command.is_response:
            raise MalformedCommandError("a response that nobody waits for")
        if command.field == C_CANCEL_RQ:
            return  # nothing here takes long enough to be cancelled, and a C-CANCEL has no answer
        if context_id not in {context.context_id for context in self.assoc.accepted_contexts}:
            raise MalformedCommandError("a message in a presentation context that was not accepted")
        self._expects_data_set = command.has_data_set
        refusal = command.refusal()
        if refusal is None:
            super().receive_primitive(_data(context_id, bytes([_COMMAND | _LAST]) + command.encoded))
            return
        kept = BytesIO() if command.field == C_STORE_RQ and command.has_data_set else None
        self._refused = RefusedRequest(command, refusal, context_id, kept)
        if not command.has_data_set:
            self._refuse()

    def _refuse(self) -> None:
        """Leave it to the association's own thread, as every message."""
        assert self._refused is not None
        refused, self._refused = self._refused, None
        self.msg_queue.put((refused.context_id, refused))

    def _send(self, context_id: int, command: bytes) -> None:
        self.dul.send_pdu(_data(context_id, bytes([_COMMAND | _LAST]) + command))


def _data(context_id: int, fragment: bytes) -> P_DATA:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[context_id, fragment]]
    return primitive
