"""A DIMSE command set (PS3.7 6.3, E.1): read without trust, judged, and written.

Encoded in Implicit VR Little Endian. The group length is not looked at: the fragments say where a command ends.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import StorageCommitmentPushModelInstance, Verification, uid_to_service_class

from storage.errors import HeaderError
from storage.header import check_uid

C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
N_EVENT_REPORT_RQ, N_ACTION_RQ = 0x0100, 0x0130
RESPONSE = 0x8000

SUCCESS = 0x0000
# PS3.7 Annex C, and PS3.4 B.2.3 for the first.
MISMATCH = 0xA900
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
INVALID_INSTANCE = 0x0117
NO_SUCH_CLASS = 0x0118
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
UNRECOGNISED_OPERATION = 0x0211

#: Requests of which `Command.encoded` holds all that their service needs, whatever else came with them.
REMADE = frozenset({C_ECHO_RQ, C_FIND_RQ, C_GET_RQ})

_CLASS, _REQUESTED_CLASS, _FIELD, _MESSAGE, _ANSWERED = 0x0002, 0x0003, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _COMMENT, _INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
_REQUESTED_INSTANCE, _EVENT_TYPE, _ACTION_TYPE = 0x1001, 0x1002, 0x1008
_NO_DATA_SET = 0x0101
_PRIORITIES = (0, 1, 2)
_DESTINATION, _OFFENDING = 0x0600, 0x0901
_REMAINING, _COMPLETED, _FAILED, _WARNING = 0x1020, 0x1021, 0x1022, 0x1023
_ORIGINATOR, _ORIGINATOR_MESSAGE = 0x1030, 0x1031
_WITH_IDENTIFIER = (C_FIND_RQ, C_GET_RQ, C_MOVE_RQ)
#: Types of normalised requests of storage commitment, and the status for others (PS3.4 J.3.2, J.3.3).
_TYPES = {N_ACTION_RQ: ((1,), NO_SUCH_ACTION), N_EVENT_REPORT_RQ: ((1, 2), NO_SUCH_EVENT_TYPE)}
_LONGEST_COMMENT = 64  # bytes, LO


class MalformedCommandError(Exception):
    """The bytes are no command set that could be answered; the message holds nothing of them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: a status, words of ours, and the tags of its elements that are at fault."""

    status: int
    reason: str
    offending: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked by C-MOVE for an object that is sent: its AE title, and the message of that request."""

    ae_title: str
    message_id: int


@dataclass(frozen=True, slots=True)
class SubOperations:
    """Numbers of the sub-operations of a C-MOVE or C-GET (PS3.7 9.1.3.1, 9.1.4.1); two bytes each.

    `remaining` is None in a response after which nothing remains to be told.
    """

    remaining: int | None
    completed: int
    failed: int
    warning: int


@dataclass(frozen=True, slots=True)
class Command:
    """A request or a response. UIDs stand as they came, without padding; empty where there is none.

    Attributes:
        message_id: of the request; a response repeats it.
        sop_class_uid: the affected SOP class, of some normalised services the requested one.
        type_id: of an action or an event; None where it states none.
        status: of a response; None where it states none.
        comment: Error Comment (0000,0902) of a response.
        move_destination: AE title, of a C-MOVE.
        originator: of the C-MOVE for which a C-STORE is made.
        sub_operations: of a response to a C-MOVE or C-GET that tells them.
    """

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    priority: int = 0
    type_id: int | None = None
    status: int | None = None
    comment: str = ""
    move_destination: str = ""
    originator: Originator | None = None
    sub_operations: SubOperations | None = None

    @property
    def is_response(self) -> bool:
        """Whether it answers something."""
        return bool(self.field & RESPONSE)

    def is_answer_to(self, field: int) -> bool:
        """Whether it answers a request with this command field."""
        return self.field == field | RESPONSE

    @property
    def encoded(self) -> bytes:
        """A request with what the node makes use of, and nothing else."""
        elements = {
            _CLASS: _uid(self.sop_class_uid),
            _FIELD: _number(self.field),
            _MESSAGE: _number(self.message_id),
            _PRIORITY: _number(self.priority if self.priority in _PRIORITIES else 0),
            _DATA_SET_TYPE: _number(0x0001 if self.has_data_set else _NO_DATA_SET),
        }
        if self.field == C_STORE_RQ:
            elements[_INSTANCE] = _uid(self.sop_instance_uid)
        if self.field == C_MOVE_RQ:
            elements[_DESTINATION] = _even(self.move_destination.encode("ascii"), b" ")
        if self.originator is not None:
            elements[_ORIGINATOR] = _even(self.originator.ae_title.encode("ascii", "replace"), b" ")
            elements[_ORIGINATOR_MESSAGE] = _number(self.originator.message_id)
        return _encoded(elements)

    def refusal(self, served: Mapping[int, Collection[str]], abstract_syntax: str) -> Refusal | None:
        """Why it is refused before anything else of it is looked at.

        Args:
            served: command fields other than C-STORE, and the SOP classes that each is served for.
            abstract_syntax: of its presentation context.
        """
        if self.field == C_ECHO_RQ and self.sop_class_uid != Verification:
            return Refusal(SOP_CLASS_NOT_SUPPORTED, "C-ECHO is of the verification class")
        if self.field in served:
            return self._refusal_of_service(served[self.field], abstract_syntax)
        if self.field != C_STORE_RQ:
            return Refusal(UNRECOGNISED_OPERATION, f"command {self.field:04X} is not served here")
        return self._refusal_of_object()

    def _refusal_of_service(self, classes: Collection[str], abstract_syntax: str) -> Refusal | None:
        """A context is accepted by right, so a request of another class than that of its context has none."""
        if self.sop_class_uid not in classes:
            return Refusal(UNRECOGNISED_OPERATION, f"command {self.field:04X} is not of that SOP class")
        if self.sop_class_uid != abstract_syntax and self.field != C_ECHO_RQ:
            status = NO_SUCH_CLASS if self.field in _TYPES else SOP_CLASS_NOT_SUPPORTED
            return Refusal(status, "the SOP class is not that of the presentation context")
        if self.field in _TYPES:
            return self._refusal_of_commitment()
        if self.field in _WITH_IDENTIFIER and not self.has_data_set:
            return Refusal(MISMATCH, "there is no identifier")
        return None

    def _refusal_of_commitment(self) -> Refusal | None:
        types, no_such_type = _TYPES[self.field]
        if self.sop_instance_uid != StorageCommitmentPushModelInstance:
            return Refusal(NO_SUCH_INSTANCE, "the SOP instance is not the well-known one of the class")
        if self.type_id not in types:
            return Refusal(no_such_type, f"the class has no type {self.type_id}")
        return None

    def _refusal_of_object(self) -> Refusal | None:
        try:
            check_uid(self.sop_class_uid, "Affected SOP Class UID")
        except HeaderError as error:
            return Refusal(MISMATCH, str(error))
        try:
            check_uid(self.sop_instance_uid, "Affected SOP Instance UID")
        except HeaderError as error:
            return Refusal(INVALID_INSTANCE, str(error))
        if uid_to_service_class(self.sop_class_uid) is not StorageServiceClass:
            return Refusal(SOP_CLASS_NOT_SUPPORTED, f"{self.sop_class_uid} is no class that is stored here")
        return None

    def answer(self, refusal: Refusal | None) -> bytes:
        """The response, which says Success where there is no refusal; it repeats no UID that is none."""
        elements = self._response(SUCCESS if refusal is None else refusal.status, False)
        if refusal is not None:
            elements |= _said(refusal)
        if _is_uid(self.sop_instance_uid):
            elements[_INSTANCE] = _uid(self.sop_instance_uid)
        return _encoded(elements)

    def progress(
        self, status: int, done: SubOperations, refusal: Refusal | None = None, has_data_set: bool = False
    ) -> bytes:
        """A response of a C-MOVE or C-GET; `refusal` says why some or all of it could not be done."""
        elements = self._response(status, has_data_set)
        if done.remaining is not None:
            elements[_REMAINING] = _number(done.remaining)
        elements |= {
            _COMPLETED: _number(done.completed),
            _FAILED: _number(done.failed),
            _WARNING: _number(done.warning),
        }
        if refusal is not None:
            elements |= _said(refusal)
        return _encoded(elements)

    def _response(self, status: int, has_data_set: bool) -> dict[int, bytes]:
        elements = {
            _FIELD: _number(self.field | RESPONSE),
            _ANSWERED: _number(self.message_id),
            _DATA_SET_TYPE: _number(0x0001 if has_data_set else _NO_DATA_SET),
            _STATUS: _number(status),
        }
        if _is_uid(self.sop_class_uid):
            elements[_CLASS] = _uid(self.sop_class_uid)
        return elements


def _said(refusal: Refusal) -> dict[int, bytes]:
    """Error Comment and Offending Element."""
    said = {_COMMENT: _even(refusal.reason.encode("ascii", "replace")[:_LONGEST_COMMENT], b" ")}
    if refusal.offending:
        said[_OFFENDING] = b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in refusal.offending)
    return said


def read_command(data: bytes) -> Command:
    """The command in the bytes of all fragments of a command set.

    Raises:
        MalformedCommandError: the elements do not fit, or one is missing without which nobody can answer.
    """
    elements = _elements(data)
    field, data_set = _as_number(elements, _FIELD), _as_number(elements, _DATA_SET_TYPE)
    cancelled = field is not None and (field & RESPONSE or field == C_CANCEL_RQ)
    message = _as_number(elements, _ANSWERED if cancelled else _MESSAGE)
    if field is None or message is None or data_set is None:
        raise MalformedCommandError("a command without Command Field, Message ID or Command Data Set Type")
    return Command(
        field=field,
        message_id=message,
        # A C-ECHO has none whatever it says (PS3.7 9.3.5.1).
        has_data_set=data_set != _NO_DATA_SET and field != C_ECHO_RQ,
        sop_class_uid=_as_text(elements, _CLASS)
        or _as_text(elements, _REQUESTED_CLASS)
        or (str(Verification) if field == C_ECHO_RQ else ""),
        sop_instance_uid=_as_text(elements, _INSTANCE) or _as_text(elements, _REQUESTED_INSTANCE),
        type_id=_as_number(elements, _ACTION_TYPE if field == N_ACTION_RQ else _EVENT_TYPE),
        priority=_as_number(elements, _PRIORITY) or 0,
        status=_as_number(elements, _STATUS),
        comment=_as_text(elements, _COMMENT),
        move_destination=_as_text(elements, _DESTINATION),
        sub_operations=_as_sub_operations(elements),
    )


def _as_sub_operations(elements: Mapping[int, bytes]) -> SubOperations | None:
    numbers = {tag: _as_number(elements, tag) for tag in (_REMAINING, _COMPLETED, _FAILED, _WARNING)}
    if all(number is None for number in numbers.values()):
        return None
    completed, failed, warning = (numbers[tag] or 0 for tag in (_COMPLETED, _FAILED, _WARNING))
    return SubOperations(numbers[_REMAINING], completed, failed, warning)


def _elements(data: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if len(data) - position < 8:
            raise MalformedCommandError("a command that ends inside an element")
        group, number, length = struct.unpack_from("<HHL", data, position)
        position += 8 + length
        if group != 0 or position > len(data):
            raise MalformedCommandError("a command whose elements are longer than it, or none of a command")
        elements[number] = data[position - length : position]
    return elements


def _as_number(elements: Mapping[int, bytes], tag: int) -> int | None:
    value = elements.get(tag, b"")
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _as_text(elements: Mapping[int, bytes], tag: int) -> str:
    return elements.get(tag, b"").decode("latin-1").strip(" \0")


def _encoded(elements: Mapping[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def _number(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _uid(uid: str) -> bytes:
    return _even(uid.encode("ascii"), b"\0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)


def _is_uid(uid: str) -> bool:
    try:
        return bool(check_uid(uid, ""))
    except HeaderError:
        return False
