"""A connection, read into one buffer that is used again and again, with time limits of the whole of what is waited for.

The kernel waits (SO_RCVTIMEO with MSG_WAITALL), so that a limit counts from its beginning, not from the last byte.
"""

from __future__ import annotations

import socket
import struct
import threading
import time

BUFFER = 2**18
"""Bytes: a PDU of the default maximum, and what follows it."""

LARGEST_PIECE = 2**17
"""Bytes that can be asked for at once."""

_LIMIT_TOLERANCE = 0.1  # of a time limit: within it the kernel's is left as it is, and looked at here
_SHORTEST_S = 1e-3


class Connection:
    """The bytes of one TCP connection; read by one thread, written by any."""

    def __init__(self, connected: socket.socket, silence_s: float) -> None:
        """Take over a socket; what is sent must be taken within `silence_s`."""
        self._socket = connected
        self._buffer = memoryview(bytearray(BUFFER))
        self._begin = self._end = 0
        self._limit_s = 0.0
        self.ended = False  # the other side has closed, as far as `look` has seen
        self._sending = threading.Lock()  # whoever stops the node aborts from a thread of its own
        connected.settimeout(None)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval(silence_s))

    @property
    def unread(self) -> memoryview:
        """What has come and was not asked for yet."""
        return self._buffer[self._begin : self._end]

    @property
    def rests(self) -> bool:
        """Whether it stands, as far as is known here, and nothing has come that was not asked for."""
        if self.unread:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # there is something, or the end

    def read(self, count: int, deadline: float) -> memoryview:
        """The next `count` bytes, at most `LARGEST_PIECE`; they are there until the next call.

        Raises:
            TimeoutError: they have not come by the deadline (of `time.monotonic`).
            EOFError: the other side has closed.
            OSError: the connection is broken.
        """
        begin = self._begin
        if self._end - begin < count:
            self._fill(count, deadline)
            begin = self._begin
        self._begin = begin + count
        return self._buffer[begin : begin + count]

    def look(self) -> memoryview:
        """What has come, with what is there without waiting."""
        self._make_room(LARGEST_PIECE)
        free = self._buffer[self._end :]
        try:
            got = self._socket.recv_into(free, 0, socket.MSG_DONTWAIT) if free else 0
            self._end += got
            self.ended = bool(free) and not got
        except OSError:
            return self.unread  # nothing is there; what is wrong shows when more is needed
        return self.unread

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            OSError: the connection is broken, or takes no more.
        """
        with self._sending:
            self._socket.sendall(data)

    def part(self, patience_s: float) -> None:
        """After the last word: leave the other side a moment to read it and to close, and throw away what it says.

        To close at once, with something unread, would take the last word back (RFC 2525, 2.17).
        """
        deadline = time.monotonic() + patience_s
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while True:
                self._limit(deadline)
                if not self._socket.recv_into(self._buffer):
                    return
        except OSError:
            return

    def end_sending(self) -> None:
        """Say that nothing more comes; in any thread."""
        self._shut(socket.SHUT_WR)

    def disconnect(self) -> None:
        """End it, whoever waits for it; in any thread."""
        self._shut(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _shut(self, how: int) -> None:
        try:
            self._socket.shutdown(how)
        except OSError:
            return  # it has ended already

    def _make_room(self, count: int) -> None:
        if self._begin == self._end:
            self._begin = self._end = 0
        elif self._begin + count > BUFFER:
            rest = bytes(self.unread)
            self._begin, self._end = 0, len(rest)
            self._buffer[: len(rest)] = rest

    def _fill(self, count: int, deadline: float) -> None:
        """Wait until so many bytes are there; a header comes with whatever is behind it already."""
        self._make_room(count)
        while (missing := self._begin + count - self._end) > 0:
            self._limit(deadline)
            waits = missing > _HEADERS
            free = self._buffer[self._end : self._end + missing] if waits else self._buffer[self._end :]
            try:
                got = self._socket.recv_into(free, 0, socket.MSG_WAITALL if waits else 0)
            except BlockingIOError:
                continue  # the kernel's limit is over
            if not got:
                raise EOFError
            self._end += got

    def _limit(self, deadline: float) -> None:
        """Let the kernel wait no longer than to the deadline, or a little longer."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if abs(left - self._limit_s) > _LIMIT_TOLERANCE * left:
            self._limit_s = max(left, _SHORTEST_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(self._limit_s))


_HEADERS = 64  # bytes; less is a header, of what comes behind it as much as there is may come too


def timeval(seconds: float) -> bytes:
    """A struct timeval of this machine."""
    whole = int(seconds)
    return struct.pack("ll", whole, int((seconds - whole) * 1e6))
