"""An A-ASSOCIATE-RQ (PS3.8 9.3.2), read as far as it must be understood before anything is spent on it.

AE titles are taken as DCMTK and Orthanc take them: blanks around them do not count, and a NUL ends them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from node.dicom.pdu_reader import HEADER

PDU_TYPE = 0x01
SMALLEST_BODY = 68

_FIXED = 74  # bytes before the variable items
_CALLED, _CALLING = slice(10, 26), slice(26, 42)
_CONTEXT, _USER = 0x20, 0x50
_MAXIMUM_ITEMS = 16_384  # an honest request has 128 contexts with at most some 40 transfer syntaxes each


class Rejection(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    VERSION = (1, 2, 2)
    CALLING_AE = (1, 1, 3)
    CALLED_AE = (1, 1, 7)
    CONGESTION = (2, 3, 1)
    LIMIT = (2, 3, 2)

    @property
    def words(self) -> str:
        """The reason for a person."""
        return {
            "VERSION": "it speaks another version of the protocol",
            "CALLING_AE": "what it calls itself is no AE title",
            "CALLED_AE": "what it calls is no AE title",
            "CONGESTION": "this machine can take no more",
            "LIMIT": "as many associations are open as may be",
        }[self.name]

    @property
    def encoded(self) -> bytes:
        """The PDU."""
        return b"\x03\x00\x00\x00\x00\x04\x00" + bytes(self.value)


#: A-ABORT of the provider, and its reasons (PS3.8 9.3.8): no reason given, invalid parameter value.
ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"
ABORT_INVALID = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"


class MalformedRequestError(Exception):
    """The bytes are no A-ASSOCIATE-RQ; the message holds nothing of them."""


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """`encoded` is the PDU as strict readers want it; a title is empty where what stands there is none."""

    encoded: bytes
    calling_ae: str
    called_ae: str
    version: int

    @property
    def rejection(self) -> Rejection | None:
        """Why no node could accept the request."""
        if not self.version & 1:
            return Rejection.VERSION
        if not self.called_ae:
            return Rejection.CALLED_AE
        return None if self.calling_ae else Rejection.CALLING_AE


def read_request(pdu: bytes) -> AssociationRequest:
    """The request in a whole PDU.

    Raises:
        MalformedRequestError: it is too short, or its items do not fit into one another.
    """
    if len(pdu) < HEADER + SMALLEST_BODY:
        raise MalformedRequestError("an association request of less than 68 bytes")
    _check_items(pdu)
    called, calling = _title(pdu[_CALLED]), _title(pdu[_CALLING])
    encoded = b"".join(
        (pdu[:6], b"\0\1", pdu[8:10], called.ljust(16).encode(), calling.ljust(16).encode(), pdu[_CALLING.stop :])
    )
    return AssociationRequest(encoded, calling, called, int.from_bytes(pdu[6:8], "big"))


def _title(field: bytes) -> str:
    """AE value representation (PS3.5 6.2); empty where the bytes are no AE title."""
    title = field.partition(b"\0")[0].strip(b" ").decode("latin-1")
    return title if title.isascii() and title.isprintable() and "\\" not in title else ""


def _check_items(pdu: bytes) -> None:
    """Items and sub-items must end where their lengths say (PS3.8 9.3.2.1 to 9.3.2.3), and be of a sane number."""
    counted = 0
    to_do = [(_FIXED, len(pdu), True)]
    while to_do:
        position, end, top = to_do.pop()
        while position < end:
            counted += 1
            if end - position < 4 or counted > _MAXIMUM_ITEMS:
                raise MalformedRequestError("items of an association request that are cut short or too many")
            kind, length = struct.unpack_from(">BxH", pdu, position)
            value, position = position + 4, position + 4 + length
            if position > end:
                raise MalformedRequestError("an item of an association request that is longer than the request")
            if top and kind in (_CONTEXT, _USER):
                to_do.append((value + (4 if kind == _CONTEXT else 0), position, False))
