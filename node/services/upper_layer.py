"""pynetdicom's upper layer service provider (PS3.8) with bounds on what the other side can make it do.

The request has been read by the acceptor. A PDU that cannot be is a fault of the association: told once, answered by
A-ABORT, and what follows it is thrown away unread.
"""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Callable

from pynetdicom import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import AssociationSocket

from node.errors import told
from node.services.request import ABORT, HEADER

log = logging.getLogger(__name__)

LARGEST_PDU = 2**20
"""Bytes of a PDU that are read at least, whatever maximum the node has named: some senders do not keep to it."""

#: What pynetdicom raises where a PDU holds what it should not.
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
_PDU_TYPES = range(0x01, 0x08)
_CLOSED, _INVALID = "Evt17", "Evt19"  # PS3.8 9.2.1: transport connection closed, unrecognised or invalid PDU
_CLOSING = "Sta13"
_PARTING_S = 1.0
_PIECE = 2**16


class UpperLayer(DULServiceProvider):
    """The provider of one association whose request has been read.

    `fault` is told in words of ours, which hold nothing of what was sent, what was wrong.
    """

    def __init__(
        self, association: Association, request: bytes, largest_pdu: int, fault: Callable[[str], None]
    ) -> None:
        super().__init__(association)
        self._request = request
        self._largest = max(largest_pdu, LARGEST_PDU)
        self._fault = fault
        self._parting_until = 0.0

    def run_reactor(self) -> None:
        """Run until the association has ended; then nobody waits for anything from here any more."""
        try:
            super().run_reactor()
        except (InvalidEventError, *MALFORMED) as error:
            log.debug("upper layer ended by %s", told(error))
            self._fault("a PDU that cannot be, or not then")
            if self.socket is not None and self.socket.socket is not None:
                self.socket.send(ABORT)
        finally:
            # Who still waits for a request, or for a message, learns that none will come.
            self.to_user_queue.put(None)
            self.assoc.dimse.msg_queue.put((None, None))

    def _is_transport_event(self) -> bool:
        if self._request:
            request, self._request = self._request, b""
            self._decode(bytearray(request))
            return True
        if self.state_machine.current_state != _CLOSING:
            return super()._is_transport_event()
        assert self.socket is not None
        if not self._parts(self.socket):
            self.socket.close()
        return True

    def _process_recv_primitive(self) -> bool:
        if self.state_machine.current_state != _CLOSING:
            return super()._process_recv_primitive()
        while not self.to_provider_queue.empty():  # nothing is said after the last word
            self.to_provider_queue.get()
        return False

    def _parts(self, transport: AssociationSocket) -> bool:
        """After the last word: leave the other side a moment to read it and to close; throw away what it says."""
        connection, now = transport.socket, time.monotonic()
        if connection is None or (self._parting_until and now > self._parting_until):
            return False
        try:
            if not self._parting_until:
                self._parting_until = now + _PARTING_S
                connection.shutdown(socket.SHUT_WR)
            return not transport.ready or bool(connection.recv(_PIECE))
        except OSError:
            return False

    def _read_pdu_data(self) -> None:
        assert self.socket is not None
        try:
            header = self.socket.recv(HEADER)
            length = int.from_bytes(header[2:HEADER], "big")
            if header and not self._possible(header, length):
                return
            body = self.socket.recv(length) if header else b""
        except TimeoutError:
            self._lost("silence inside a PDU")
        except OSError:
            self._lost("a connection that broke inside a PDU")
        else:
            if not header:
                self.event_queue.put(_CLOSED)
            elif len(header) < HEADER or len(body) < length:
                self._lost("a connection that ended inside a PDU")
            else:
                self._decode(header + body)

    def _possible(self, header: bytearray, length: int) -> bool:
        if header[0] not in _PDU_TYPES:
            self._invalid("a PDU of an unknown type")
        elif len(header) == HEADER and length > self._largest:
            self._invalid(f"a PDU that announces {length} bytes")
        else:
            return True
        return False

    def _decode(self, pdu: bytearray) -> None:
        try:
            decoded, event = self._decode_pdu(pdu)
        except MALFORMED as error:
            log.debug("PDU not decoded: %s", told(error))
            self._invalid("a PDU that cannot be decoded")
            return
        self._recv_pdu.put(decoded)
        self.event_queue.put(event)

    def _invalid(self, what: str) -> None:
        self._fault(what)
        self.event_queue.put(_INVALID)

    def _lost(self, what: str) -> None:
        self._fault(what)
        self.event_queue.put(_CLOSED)
