"""The acceptor: one thread that accepts every connection and reads its A-ASSOCIATE-RQ whole.

A connection that closes, keeps silent or is no DICOM costs a descriptor until it goes, and no thread. One that has sent
a whole A-ASSOCIATE-RQ gets an association when there is a slot, or is rejected at once where all are taken (PS3.8
9.3.4: transient, local limit exceeded). Negotiation is not done here. A port with TLS has the same thread and limits:
its handshakes are made as their bytes come.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from node.clock import utc_now
from node.dicom.pdu_reader import HEADER
from node.dicom.tls import is_encrypted
from node.logs import Sparing, title
from node.services.request import (
    ABORT,
    ABORT_INVALID,
    PDU_TYPE,
    SMALLEST_BODY,
    AssociationRequest,
    MalformedRequestError,
    Rejection,
    read_request,
)
from node.services.server_tls import ServerTLS
from node.services.slots import Slot, Slots
from node.services.unassociated import Address, HandshakeError, UnassociatedConnection
from storage.audit import AuditAction, AuditEvent, Facts

log = logging.getLogger(__name__)

BACKLOG = 512
_AT_ONCE = 64  # connections accepted, or pieces read, before others have their turn
_PIECE = 2**16  # bytes
_LONGEST_PAUSE_S = 30.0
_TLS_HANDSHAKE = 0x16  # first byte of a TLS connection, RFC 8446 5.1
_RETRY_S = 0.01  # until the next try where the machine had nothing to accept a connection with


@dataclass(frozen=True, slots=True)
class AcceptorLimits:
    """Limits of connections that have no association yet.

    Attributes:
        connections: how many. Half of the descriptors that a process usually has, and beyond 1023
            pynetdicom cannot wait for one.
        request_s: from the connection to the last byte of the request.
        request_bytes: of one request; one with 128 contexts of 40 transfer syntaxes has 360,000.
        all_bytes: of all requests that are not whole yet.
        closing_s: that the other side has to close after a rejection, so that it can read it.
    """

    connections: int = 512
    request_s: float = 10.0
    request_bytes: int = 2**20
    all_bytes: int = 2**25
    closing_s: float = 1.0


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A connection whose request is whole, and the slot that it holds from now on."""

    socket: socket.socket
    address: Address
    request: AssociationRequest
    slot: Slot


class Acceptor:
    """Listening sockets and their thread."""

    def __init__(
        self,
        maximum: int,
        maximum_per_remote: int,
        negotiate: Callable[[ReceivedRequest], None],
        refused: Callable[[], None] = lambda: None,
        limits: AcceptorLimits | None = None,
        audit: Callable[[AuditEvent], None] = lambda _event: None,
    ) -> None:
        """`negotiate` must not wait, and raises RuntimeError where it cannot; `refused` is called for each rejection.

        Args:
            maximum: associations at once.
            maximum_per_remote: of these, from one address.
            negotiate: begins the association of a request.
            refused: counts.
            limits: of connections without association.
            audit: is told of whom nothing is served; must not wait.
        """
        self._audit = audit
        self._slots = Slots(maximum, maximum_per_remote, self._wake)
        self._negotiate, self._refused = negotiate, refused
        self._limits = limits or AcceptorLimits()
        self._connections: dict[UnassociatedConnection, None] = {}  # in the order in which they came
        self._selector = selectors.DefaultSelector()
        self._sparing = Sparing(log)
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._stopping = False
        self._listening: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run, name="acceptor", daemon=True)

    @property
    def waiting(self) -> int:
        """Connections without an association."""
        return len(self._connections)

    def bind(self, host: str, port: int, tls: ServerTLS | None = None) -> int:
        """Bind a port, with TLS or without; connections wait until `start`. Returns it; 0 takes a free one.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(known, key=lambda entry: entry[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        listening = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
        listening.setblocking(False)
        self._listening.append(listening)
        self._selector.register(listening, selectors.EVENT_READ, partial(self._accept, listening, tls))
        return int(listening.getsockname()[1])

    def start(self) -> None:
        """Listen."""
        for each in (self._wake_receiver, self._wake_sender):
            each.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, partial(self._drain_wakes))
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and close what waits. Associations stay."""
        self._stopping = True
        if self._thread.is_alive():
            self._wake()
            self._thread.join()
        else:
            self._close_all()

    def _wake(self) -> None:
        """Let the thread look again; in any thread."""
        try:
            self._wake_sender.send(b"\0")
        except BlockingIOError:
            return  # it has been woken often enough
        except OSError:
            return  # closed already

    def _drain_wakes(self) -> None:
        self._wake_receiver.recv(_PIECE)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._pause()):
                self._attempt(key.data)
            now = time.monotonic()
            for connection in [it for it in self._connections if it.request is not None or it.deadline <= now]:
                self._attempt(partial(self._admit_or_close, connection))
            self._sparing.flush()
        self._close_all()

    def _attempt(self, work: partial[None]) -> None:
        """What goes wrong with one connection ends that one: the thread is the only one that accepts."""
        try:
            work()
        except Exception:
            log.exception("acceptor: a fault of the node; the connection is closed")
            for connection in work.args:
                if isinstance(connection, UnassociatedConnection):
                    self._drop(connection)

    def _admit_or_close(self, connection: UnassociatedConnection) -> None:
        if connection.request is not None and not connection.closing:
            self._admit(connection)
        if connection in self._connections and connection.deadline <= time.monotonic():
            self._close_late(connection)

    def _close_all(self) -> None:
        for connection in tuple(self._connections):
            self._drop(connection)
        self._selector.close()
        for each in (*self._listening, self._wake_receiver, self._wake_sender):
            each.close()

    def _pause(self) -> float:
        first = min((connection.deadline for connection in self._connections), default=float("inf"))
        return min(max(first - time.monotonic(), 0.0), _LONGEST_PAUSE_S)

    # --- connections and their requests

    def _accept(self, listening: socket.socket, tls: ServerTLS | None) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor, no memory, or gone again before it was accepted
                self._sparing.write(logging.WARNING, "accept", "", "connection not accepted: %s", error.strerror)
                self._make_room()
                time.sleep(_RETRY_S)
                return
            accepted.setblocking(False)
            try:
                connected = accepted if tls is None else tls.wrap(accepted)
            except OSError:  # it has gone again
                accepted.close()
                continue
            deadline = time.monotonic() + self._limits.request_s
            connection = UnassociatedConnection(connected, address, deadline, agreed=tls is None)
            self._connections[connection] = None
            self._selector.register(connected, selectors.EVENT_READ, partial(self._read, connection))
            if len(self._connections) > self._limits.connections:
                self._make_room()

    def _make_room(self) -> None:
        """Close the oldest of those that have sent nothing, else the oldest."""
        before = len(self._connections)
        for connection in [each for each in self._connections if each.silent]:
            self._read(connection)  # it may have sent something meanwhile, or closed
            if connection.silent and connection in self._connections:
                self._note(connection, "closed: too many connections wait")
                self._drop(connection)
            if len(self._connections) < before:
                return
        for connection in tuple(self._connections)[:1]:
            self._drop(connection)

    def _read(self, connection: UnassociatedConnection) -> None:
        tries = 0
        while connection in self._connections and (tries < _AT_ONCE or connection.held_back):
            tries += 1
            try:
                data = connection.read(_PIECE if connection.closing else min(connection.wanted, _PIECE))
            except HandshakeError as refused:
                self._not_agreed(connection, str(refused))
                return
            if data is None:
                self._wait_for(connection)
                return
            if connection.closing and data:
                continue
            if not data or connection.request is not None:
                self._closed_or_impatient(connection)
                return
            connection.received += data
            self._consider(connection)

    def _wait_for(self, connection: UnassociatedConnection) -> None:
        """Be told of what it waits for: a handshake may have to write."""
        key = self._selector.get_key(connection.socket)
        if key.events != connection.events:
            self._selector.modify(connection.socket, connection.events, key.data)

    def _not_agreed(self, connection: UnassociatedConnection, why: str) -> None:
        address = connection.address[0]
        self._sparing.write(logging.WARNING, why, address, "TLS connection from %s refused: %s", address, why)
        self._refused_on_record(connection, why)
        self._say_and_close(connection, b"")

    def _closed_or_impatient(self, connection: UnassociatedConnection) -> None:
        """It has closed, or talks on although it has to wait for its answer."""
        if not connection.closing:
            self._note(connection, "closed before its request was answered")
        self._drop(connection)

    def _consider(self, connection: UnassociatedConnection) -> None:
        """Look at what has come: no request, not the whole of one, or one."""
        received = connection.received
        if received[0] != PDU_TYPE:
            if received[0] == _TLS_HANDSHAKE and not is_encrypted(connection.socket):
                kind, address = "TLS on a port without it", connection.address[0]
                self._sparing.write(logging.WARNING, kind, address, "%s: %s must call `tls_port`", kind, address)
            self._note(connection, "closed: it did not begin with an association request")
            self._refused_on_record(connection, "it did not begin with an association request")
            self._say_and_close(connection, ABORT)
        elif len(received) < HEADER:
            return
        elif not SMALLEST_BODY <= len(received) + connection.wanted - HEADER <= self._limits.request_bytes:
            self._malformed(connection, "an association request of impossible length")
        elif connection.wanted:
            if sum(len(each.received) for each in self._connections) > self._limits.all_bytes:
                self._drop(next(each for each in self._connections if each.received and each.request is None))
        else:
            self._complete(connection)

    def _complete(self, connection: UnassociatedConnection) -> None:
        try:
            connection.request = read_request(bytes(connection.received))
        except MalformedRequestError as error:
            self._malformed(connection, str(error))
            return
        connection.received.clear()
        if (rejection := connection.request.rejection) is not None:
            self._refuse(connection, rejection)

    # --- admission

    def _admit(self, connection: UnassociatedConnection) -> None:
        """Negotiate with one whose request is whole, or reject it where no slot is free."""
        remote = connection.address[0]
        if self._slots.full(remote):
            self._refuse(connection, Rejection.LIMIT)
        elif (slot := self._slots.take(remote)) is not None:
            self._hand_over(connection, slot)

    def _hand_over(self, connection: UnassociatedConnection, slot: Slot) -> None:
        assert connection.request is not None
        try:
            self._selector.unregister(connection.socket)
            connection.socket.setblocking(True)
            del self._connections[connection]  # before the other side can know of its association
            self._negotiate(ReceivedRequest(connection.socket, connection.address, connection.request, slot))
        except Exception as error:  # whatever it is, slot and connection are given back
            if not isinstance(error, RuntimeError | OSError):  # no thread could be started, or the connection is gone
                log.exception("acceptor: a fault of the node; the association is rejected")
            slot.release()
            self._connections[connection] = None
            connection.socket.setblocking(False)
            self._selector.register(connection.socket, selectors.EVENT_READ, partial(self._read, connection))
            self._refuse(connection, Rejection.CONGESTION)

    # --- closing

    def _close_late(self, connection: UnassociatedConnection) -> None:
        if connection.request is not None and not connection.closing:
            self._refuse(connection, Rejection.CONGESTION)
            return
        if not connection.closing:
            self._note(connection, f"closed: no whole association request within {self._limits.request_s:g} s")
        self._drop(connection)

    def _refuse(self, connection: UnassociatedConnection, rejection: Rejection) -> None:
        self._refused()
        caller, address = title(connection.request.calling_ae) if connection.request else "", connection.address[0]
        kind = f"association rejected ({rejection.words})"
        self._sparing.write(logging.WARNING, kind, address, "%s: AE %s from %s", kind, caller, address)
        self._refused_on_record(connection, rejection.words)
        self._say_and_close(connection, rejection.encoded)

    def _malformed(self, connection: UnassociatedConnection, what: str) -> None:
        address = connection.address[0]
        self._sparing.write(logging.WARNING, what, address, "connection from %s aborted: %s", address, what)
        self._refused_on_record(connection, what)
        self._say_and_close(connection, ABORT_INVALID)

    def _refused_on_record(self, connection: UnassociatedConnection, why: str) -> None:
        asked = connection.request
        caller, called = (asked.calling_ae, asked.called_ae) if asked else ("", "")
        facts, address = Facts(service="association", called=called), connection.address[0]
        event = AuditEvent(
            utc_now(), AuditAction.REFUSED, False, address=address, detail=why, remote=caller, facts=facts
        )
        self._audit(event)

    def _say_and_close(self, connection: UnassociatedConnection, pdu: bytes) -> None:
        """Send a last PDU, and leave the other side a moment to read it and to close."""
        try:
            connection.say_last(pdu)
        except OSError:  # it does not listen any more
            self._drop(connection)
            return
        self._wait_for(connection)
        connection.deadline = time.monotonic() + self._limits.closing_s

    def _note(self, connection: UnassociatedConnection, what: str) -> None:
        address = connection.address[0]
        self._sparing.write(logging.DEBUG, what, address, "connection from %s %s", address, what)

    def _drop(self, connection: UnassociatedConnection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            with suppress(KeyError):  # it is on its way to its association
                self._selector.unregister(connection.socket)
            connection.socket.close()
