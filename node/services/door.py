"""The door in front of the associations: one thread accepts every connection and reads its request whole.

What closes, keeps silent or is no DICOM costs a descriptor until it goes, and no thread. Whoever has sent a whole
A-ASSOCIATE-RQ enters when there is a place, or is rejected at once where all are taken (PS3.8 9.3.4: transient,
local limit exceeded). What entering means is not known here.
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

from node.logs import Sparing, title
from node.services.places import Place, Places
from node.services.request import (
    ABORT,
    ABORT_INVALID,
    HEADER,
    PDU_TYPE,
    SMALLEST_BODY,
    AssociationRequest,
    MalformedRequestError,
    Rejection,
    read_request,
)

log = logging.getLogger(__name__)

BACKLOG = 512
_AT_ONCE = 64  # connections accepted, or pieces read, before others have their turn
_PIECE = 2**16  # bytes
_LONGEST_PAUSE_S = 30.0
_BREATH_S = 0.01  # until the next try where the machine had nothing to accept a connection with

Address = tuple[str, int] | tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What may wait at the door.

    Attributes:
        connections: without an association yet. Half of the descriptors that a process usually has, and beyond 1023
            pynetdicom cannot wait for one.
        request_s: from the connection to the last byte of the request.
        request_bytes: of one request; one with 128 contexts of 40 transfer syntaxes has 360,000.
        all_bytes: of all requests that are not whole yet.
        parting_s: that the other side has to close after a rejection, so that it can read it.
    """

    connections: int = 512
    request_s: float = 10.0
    request_bytes: int = 2**20
    all_bytes: int = 2**25
    parting_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A connection whose request is whole, and the place that it holds from now on."""

    socket: socket.socket
    address: Address
    request: AssociationRequest
    place: Place


@dataclass(eq=False, slots=True)
class _Visitor:
    """A connection at the door: reading, in line (`request` is there), or on its way out."""

    socket: socket.socket
    address: Address
    deadline: float
    received: bytearray = field(default_factory=bytearray)
    request: AssociationRequest | None = None
    leaving: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing has come from it."""
        return not self.received and self.request is None and not self.leaving

    @property
    def wanted(self) -> int:
        """Bytes until the header, or the request, is whole."""
        length = int.from_bytes(self.received[2:HEADER], "big") if len(self.received) >= HEADER else 0
        return HEADER + length - len(self.received)


class Door:
    """A listening socket and its thread.

    Attributes:
        address: where it listens, once it is open.
    """

    def __init__(
        self,
        places: int,
        enter: Callable[[Arrival], None],
        refused: Callable[[], None] = lambda: None,
        limits: DoorLimits | None = None,
    ) -> None:
        """`enter` must not wait, and raises RuntimeError where it cannot take anybody; `refused` is told of each."""
        self._places = Places(places, self._wake)
        self._enter, self._refused = enter, refused
        self._limits = limits or DoorLimits()
        self._visitors: dict[_Visitor, None] = {}  # in the order of their arrival
        self._selector = selectors.DefaultSelector()
        self._sparing = Sparing(log)
        self._bell, self._ear = socket.socketpair()
        self._stopping = False
        self._listening: socket.socket | None = None
        self.address: Address = ("", 0)
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    @property
    def waiting(self) -> int:
        """Connections that have not entered."""
        return len(self._visitors)

    def open(self, host: str, port: int) -> None:
        """Bind and listen.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(known, key=lambda entry: entry[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        self._listening = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
        self.address = self._listening.getsockname()
        for each in (self._listening, self._ear, self._bell):
            each.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ, self._accept)
        self._selector.register(self._ear, selectors.EVENT_READ, self._listen)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and send away who waits. What has entered stays."""
        self._stopping = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        """Let the thread look again; in any thread."""
        try:
            self._bell.send(b"\0")
        except BlockingIOError:
            return  # it has been rung often enough
        except OSError:
            return  # the door is closed already

    def _listen(self) -> None:
        self._ear.recv(_PIECE)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._pause()):
                key.data()
            self._serve_line()
            self._send_away_late()
            self._sparing.flush()
        for visitor in tuple(self._visitors):
            self._drop(visitor)
        self._selector.close()
        for each in (self._listening, self._ear, self._bell):
            if each is not None:
                each.close()

    def _pause(self) -> float:
        first = min((visitor.deadline for visitor in self._visitors), default=float("inf"))
        return min(max(first - time.monotonic(), 0.0), _LONGEST_PAUSE_S)

    # --- arriving

    def _accept(self) -> None:
        assert self._listening is not None
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor, no memory, or gone again before it was accepted
                self._sparing.write(logging.WARNING, "accept", "", "connection not accepted: %s", error.strerror)
                self._make_room()
                time.sleep(_BREATH_S)
                return
            connection.setblocking(False)
            visitor = _Visitor(connection, address, time.monotonic() + self._limits.request_s)
            self._visitors[visitor] = None
            self._selector.register(connection, selectors.EVENT_READ, partial(self._read, visitor))
            if len(self._visitors) > self._limits.connections:
                self._make_room()

    def _make_room(self) -> None:
        """Send away the oldest of those who have said nothing, else the oldest."""
        before = len(self._visitors)
        for visitor in [each for each in self._visitors if each.silent]:
            self._read(visitor)  # it may have spoken meanwhile, or gone
            if visitor.silent and visitor in self._visitors:
                self._note(visitor, "closed: too many connections wait")
                self._drop(visitor)
            if len(self._visitors) < before:
                return
        for visitor in tuple(self._visitors)[:1]:
            self._drop(visitor)

    def _read(self, visitor: _Visitor) -> None:
        for _ in range(_AT_ONCE):
            if visitor not in self._visitors:
                return
            try:
                data = visitor.socket.recv(_PIECE if visitor.leaving else min(visitor.wanted, _PIECE))
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if visitor.leaving and data:
                continue
            if not data or visitor.request is not None:
                self._went(visitor)
                return
            visitor.received += data
            self._consider(visitor)

    def _went(self, visitor: _Visitor) -> None:
        """It has closed, or talks on although it has to wait for its answer."""
        if not visitor.leaving:
            self._note(visitor, "closed before its request was answered")
        self._drop(visitor)

    def _consider(self, visitor: _Visitor) -> None:
        """Look at what has come: no request, not the whole of one, or one."""
        received = visitor.received
        if received[0] != PDU_TYPE:
            self._note(visitor, "closed: it did not begin with an association request")
            self._part(visitor, ABORT)
        elif len(received) < HEADER:
            return
        elif not SMALLEST_BODY <= len(received) + visitor.wanted - HEADER <= self._limits.request_bytes:
            self._malformed(visitor, "an association request of impossible length")
        elif visitor.wanted:
            if sum(len(each.received) for each in self._visitors) > self._limits.all_bytes:
                self._drop(next(each for each in self._visitors if each.received and each.request is None))
        else:
            self._arrived(visitor)

    def _arrived(self, visitor: _Visitor) -> None:
        try:
            visitor.request = read_request(bytes(visitor.received))
        except MalformedRequestError as error:
            self._malformed(visitor, str(error))
            return
        visitor.received.clear()
        if (rejection := visitor.request.rejection) is not None:
            self._refuse(visitor, rejection)

    # --- entering

    def _serve_line(self) -> None:
        """Those whose request is whole enter in the order of their arrival, or are told that there is no place."""
        for visitor in [each for each in self._visitors if each.request is not None and not each.leaving]:
            if self._places.full:
                self._refuse(visitor, Rejection.LIMIT)
                continue
            place = self._places.take()
            if place is None:
                return
            self._hand_over(visitor, place)

    def _hand_over(self, visitor: _Visitor, place: Place) -> None:
        assert visitor.request is not None
        try:
            self._selector.unregister(visitor.socket)
            visitor.socket.setblocking(True)
            self._enter(Arrival(visitor.socket, visitor.address, visitor.request, place))
            del self._visitors[visitor]
        except (RuntimeError, OSError):  # no thread could be started, or the connection is gone
            place.leave()
            visitor.socket.setblocking(False)
            self._selector.register(visitor.socket, selectors.EVENT_READ, partial(self._read, visitor))
            self._refuse(visitor, Rejection.CONGESTION)

    # --- leaving

    def _send_away_late(self) -> None:
        now = time.monotonic()
        for visitor in [each for each in self._visitors if each.deadline <= now]:
            if visitor.request is not None and not visitor.leaving:
                self._refuse(visitor, Rejection.CONGESTION)
                continue
            if not visitor.leaving:
                self._note(visitor, f"closed: no whole association request within {self._limits.request_s:g} s")
            self._drop(visitor)

    def _refuse(self, visitor: _Visitor, rejection: Rejection) -> None:
        self._refused()
        caller, address = title(visitor.request.calling_ae) if visitor.request else "", visitor.address[0]
        kind = f"association rejected ({rejection.words})"
        self._sparing.write(logging.WARNING, kind, address, "%s: AE %s from %s", kind, caller, address)
        self._part(visitor, rejection.encoded)

    def _malformed(self, visitor: _Visitor, what: str) -> None:
        address = visitor.address[0]
        self._sparing.write(logging.WARNING, what, address, "connection from %s aborted: %s", address, what)
        self._part(visitor, ABORT_INVALID)

    def _part(self, visitor: _Visitor, last_words: bytes) -> None:
        """Say it, and leave the other side a moment to read it and to close."""
        try:
            visitor.socket.send(last_words)
            visitor.socket.shutdown(socket.SHUT_WR)
        except OSError:  # it does not listen any more
            self._drop(visitor)
            return
        visitor.leaving = True
        visitor.deadline = time.monotonic() + self._limits.parting_s

    def _note(self, visitor: _Visitor, what: str) -> None:
        self._sparing.write(logging.DEBUG, what, visitor.address[0], "connection from %s %s", visitor.address[0], what)

    def _drop(self, visitor: _Visitor) -> None:
        if visitor in self._visitors:
            del self._visitors[visitor]
            self._selector.unregister(visitor.socket)
            visitor.socket.close()
