"""The acceptor: one thread that accepts every connection and reads its A-ASSOCIATE-RQ whole.

A connection that closes, keeps silent or is no DICOM costs a descriptor until it goes, and no thread. One that has sent
a whole A-ASSOCIATE-RQ gets an association when there is a slot, or is rejected at once where all are taken (PS3.8
9.3.4: transient, local limit exceeded). Negotiation is not done here.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from node.dicom.pdu_reader import HEADER
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
from node.services.slots import Slot, Slots

log = logging.getLogger(__name__)

BACKLOG = 512
_AT_ONCE = 64  # connections accepted, or pieces read, before others have their turn
_PIECE = 2**16  # bytes
_LONGEST_PAUSE_S = 30.0
_RETRY_S = 0.01  # until the next try where the machine had nothing to accept a connection with

Address = tuple[str, int] | tuple[str, int, int, int]


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


@dataclass(eq=False, slots=True)
class _Connection:
    """A connection without association: being read, waiting for a slot (`request` is there), or closing."""

    socket: socket.socket
    address: Address
    deadline: float
    received: bytearray = field(default_factory=bytearray)
    request: AssociationRequest | None = None
    closing: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing has come from it."""
        return not self.received and self.request is None and not self.closing

    @property
    def wanted(self) -> int:
        """Bytes until the header, or the request, is whole."""
        length = int.from_bytes(self.received[2:HEADER], "big") if len(self.received) >= HEADER else 0
        return HEADER + length - len(self.received)


class Acceptor:
    """A listening socket and its thread.

    Attributes:
        address: where it listens, once it is open.
    """

    def __init__(
        self,
        maximum: int,
        maximum_per_remote: int,
        negotiate: Callable[[ReceivedRequest], None],
        refused: Callable[[], None] = lambda: None,
        limits: AcceptorLimits | None = None,
    ) -> None:
        """`negotiate` must not wait, and raises RuntimeError where it cannot; `refused` is called for each rejection.

        Args:
            maximum: associations at once.
            maximum_per_remote: of these, from one address.
            negotiate: begins the association of a request.
            refused: counts.
            limits: of connections without association.
        """
        self._slots = Slots(maximum, maximum_per_remote, self._wake)
        self._negotiate, self._refused = negotiate, refused
        self._limits = limits or AcceptorLimits()
        self._connections: dict[_Connection, None] = {}  # in the order in which they came
        self._selector = selectors.DefaultSelector()
        self._sparing = Sparing(log)
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._stopping = False
        self._listening: socket.socket | None = None
        self.address: Address = ("", 0)
        self._thread = threading.Thread(target=self._run, name="acceptor", daemon=True)

    @property
    def waiting(self) -> int:
        """Connections without an association."""
        return len(self._connections)

    def bind(self, host: str, port: int) -> None:
        """Bind; connections wait until `start`.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(known, key=lambda entry: entry[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self._listening = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
        self.address = self._listening.getsockname()
        for each in (self._listening, self._wake_receiver, self._wake_sender):
            each.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ, self._drain_wakes)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and close what waits. Associations stay."""
        self._stopping = True
        self._wake()
        self._thread.join()

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
                key.data()
            self._admit_waiting()
            self._close_late()
            self._sparing.flush()
        for connection in tuple(self._connections):
            self._drop(connection)
        self._selector.close()
        for each in (self._listening, self._wake_receiver, self._wake_sender):
            if each is not None:
                each.close()

    def _pause(self) -> float:
        first = min((connection.deadline for connection in self._connections), default=float("inf"))
        return min(max(first - time.monotonic(), 0.0), _LONGEST_PAUSE_S)

    # --- connections and their requests

    def _accept(self) -> None:
        assert self._listening is not None
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor, no memory, or gone again before it was accepted
                self._sparing.write(logging.WARNING, "accept", "", "connection not accepted: %s", error.strerror)
                self._make_room()
                time.sleep(_RETRY_S)
                return
            accepted.setblocking(False)
            connection = _Connection(accepted, address, time.monotonic() + self._limits.request_s)
            self._connections[connection] = None
            self._selector.register(accepted, selectors.EVENT_READ, partial(self._read, connection))
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

    def _read(self, connection: _Connection) -> None:
        for _ in range(_AT_ONCE):
            if connection not in self._connections:
                return
            try:
                data = connection.socket.recv(_PIECE if connection.closing else min(connection.wanted, _PIECE))
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if connection.closing and data:
                continue
            if not data or connection.request is not None:
                self._closed_or_impatient(connection)
                return
            connection.received += data
            self._consider(connection)

    def _closed_or_impatient(self, connection: _Connection) -> None:
        """It has closed, or talks on although it has to wait for its answer."""
        if not connection.closing:
            self._note(connection, "closed before its request was answered")
        self._drop(connection)

    def _consider(self, connection: _Connection) -> None:
        """Look at what has come: no request, not the whole of one, or one."""
        received = connection.received
        if received[0] != PDU_TYPE:
            self._note(connection, "closed: it did not begin with an association request")
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

    def _complete(self, connection: _Connection) -> None:
        try:
            connection.request = read_request(bytes(connection.received))
        except MalformedRequestError as error:
            self._malformed(connection, str(error))
            return
        connection.received.clear()
        if (rejection := connection.request.rejection) is not None:
            self._refuse(connection, rejection)

    # --- admission

    def _admit_waiting(self) -> None:
        """Negotiate with those whose request is whole, the first first, or reject them where no slot is free."""
        for connection in [each for each in self._connections if each.request is not None and not each.closing]:
            remote = connection.address[0]
            if self._slots.full(remote):
                self._refuse(connection, Rejection.LIMIT)
            elif (slot := self._slots.take(remote)) is not None:
                self._hand_over(connection, slot)

    def _hand_over(self, connection: _Connection, slot: Slot) -> None:
        assert connection.request is not None
        try:
            self._selector.unregister(connection.socket)
            connection.socket.setblocking(True)
            del self._connections[connection]  # before the other side can know of its association
            self._negotiate(ReceivedRequest(connection.socket, connection.address, connection.request, slot))
        except (RuntimeError, OSError):  # no thread could be started, or the connection is gone
            slot.release()
            self._connections[connection] = None
            connection.socket.setblocking(False)
            self._selector.register(connection.socket, selectors.EVENT_READ, partial(self._read, connection))
            self._refuse(connection, Rejection.CONGESTION)

    # --- closing

    def _close_late(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self._connections if each.deadline <= now]:
            if connection.request is not None and not connection.closing:
                self._refuse(connection, Rejection.CONGESTION)
                continue
            if not connection.closing:
                self._note(connection, f"closed: no whole association request within {self._limits.request_s:g} s")
            self._drop(connection)

    def _refuse(self, connection: _Connection, rejection: Rejection) -> None:
        self._refused()
        caller, address = title(connection.request.calling_ae) if connection.request else "", connection.address[0]
        kind = f"association rejected ({rejection.words})"
        self._sparing.write(logging.WARNING, kind, address, "%s: AE %s from %s", kind, caller, address)
        self._say_and_close(connection, rejection.encoded)

    def _malformed(self, connection: _Connection, what: str) -> None:
        address = connection.address[0]
        self._sparing.write(logging.WARNING, what, address, "connection from %s aborted: %s", address, what)
        self._say_and_close(connection, ABORT_INVALID)

    def _say_and_close(self, connection: _Connection, pdu: bytes) -> None:
        """Send a last PDU, and leave the other side a moment to read it and to close."""
        try:
            connection.socket.send(pdu)
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:  # it does not listen any more
            self._drop(connection)
            return
        connection.closing = True
        connection.deadline = time.monotonic() + self._limits.closing_s

    def _note(self, connection: _Connection, what: str) -> None:
        address = connection.address[0]
        self._sparing.write(logging.DEBUG, what, address, "connection from %s %s", address, what)

    def _drop(self, connection: _Connection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._selector.unregister(connection.socket)
            connection.socket.close()
