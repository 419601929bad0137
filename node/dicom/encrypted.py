"""A connection by TLS, read and written as one without.

TLS of Python may not be used by two threads at the same time, and an association is aborted by another one than that
which waits for its bytes: so nothing waits within TLS, but for the socket beside it.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time

from node.dicom.connection import LARGEST_PIECE, Connection


def connection_over(connected: socket.socket, silence_s: float) -> Connection:
    """The connection over a socket, by TLS where that has been agreed."""
    if isinstance(connected, ssl.SSLSocket):
        return EncryptedConnection(connected, silence_s)
    return Connection(connected, silence_s)


class EncryptedConnection(Connection):
    """The bytes of one TLS connection after its handshake; read by one thread, written by any."""

    def __init__(self, connected: ssl.SSLSocket, silence_s: float) -> None:
        """As `Connection`."""
        super().__init__(connected, silence_s)
        connected.setblocking(False)
        self._tls, self._silence_s = connected, silence_s
        self._within = threading.Lock()

    @property
    def rests(self) -> bool:
        """As `Connection.rests`; what comes of TLS alone is none of it."""
        if self.unread:
            return False
        self._make_room(LARGEST_PIECE)
        try:
            return self._take() is None
        except OSError:
            return False

    def look(self) -> memoryview:
        """As `Connection.look`."""
        self._make_room(LARGEST_PIECE)
        try:
            while self._take():
                pass
        except OSError:
            return self.unread  # what is wrong shows when more is needed
        return self.unread

    def send(self, data: bytes) -> None:
        """As `Connection.send`."""
        rest = memoryview(data)
        with self._sending:
            while rest:
                try:
                    with self._within:
                        rest = rest[self._tls.send(rest) :]
                except ssl.SSLWantWriteError:
                    self._wait(select.POLLOUT, self._silence_s)
                except ssl.SSLWantReadError:
                    self._wait(select.POLLIN, self._silence_s)

    def part(self, patience_s: float) -> None:
        """As `Connection.part`, and TLS says farewell (RFC 8446, 6.1)."""
        self._say_farewell()
        self._tls.setblocking(True)
        super().part(patience_s)

    def close(self) -> None:
        """As `Connection.close`."""
        self._say_farewell()
        super().close()

    def _say_farewell(self) -> None:
        try:
            with self._within:
                self._tls.unwrap()
        except (OSError, ValueError):
            return  # the other side has not answered yet, and need not; or nobody is there any more

    def _shut(self, how: int) -> None:
        try:
            socket.socket.shutdown(self._tls, how)  # that of TLS would let go of its keys, and the rest be unreadable
        except OSError:
            return  # it has ended already

    def _fill(self, count: int, deadline: float) -> None:
        self._make_room(count)
        while self._end - self._begin < count:
            got = self._take()
            if got == 0:
                raise EOFError
            if got is None:
                self._wait(select.POLLIN, deadline - time.monotonic())

    def _take(self) -> int | None:
        """Read what is there without waiting; how many bytes, 0 at the end or without room, None where nothing is."""
        free = self._buffer[self._end :]
        if not free:
            return 0
        try:
            with self._within:
                got = self._tls.recv_into(free)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            self._wait(select.POLLOUT, self._silence_s)
            return None
        self._end += got
        return got

    def _wait(self, event: int, seconds: float) -> None:
        """Until the socket is ready.

        Raises:
            TimeoutError: it is not in that time.
        """
        ready = select.poll()
        ready.register(self._tls, event)
        if seconds <= 0 or not ready.poll(seconds * 1000):
            raise TimeoutError
