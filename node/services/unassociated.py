"""A connection that has no association yet: being read, waiting for a slot, or closing; by TLS in its handshake before.

Nothing here waits.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from dataclasses import dataclass, field

from node.dicom.pdu_reader import HEADER
from node.dicom.tls import why_not
from node.services.request import AssociationRequest

Address = tuple[str, int] | tuple[str, int, int, int]


class HandshakeError(Exception):
    """TLS was not agreed; the message says why, and OpenSSL has told the other side in its words."""


@dataclass(eq=False, slots=True)
class UnassociatedConnection:
    """One of the acceptor's.

    Attributes:
        socket: it does not block; by TLS it is an `ssl.SSLSocket`.
        address: where it comes from.
        deadline: of `time.monotonic`, when it is closed.
        received: of its request, as long as that is not whole.
        request: once it is.
        closing: whether the last word is said to it.
        agreed: whether its handshake is over; one without TLS has none.
        events: what of its socket is waited for.
    """

    socket: socket.socket
    address: Address
    deadline: float
    received: bytearray = field(default_factory=bytearray)
    request: AssociationRequest | None = None
    closing: bool = False
    agreed: bool = True
    events: int = selectors.EVENT_READ

    @property
    def silent(self) -> bool:
        """Whether nothing of a request has come from it."""
        return not self.received and self.request is None and not self.closing

    @property
    def wanted(self) -> int:
        """Bytes until the header, or the request, is whole."""
        length = int.from_bytes(self.received[2:HEADER], "big") if len(self.received) >= HEADER else 0
        return HEADER + length - len(self.received)

    @property
    def held_back(self) -> bool:
        """Whether TLS has bytes of which the socket says nothing any more."""
        return isinstance(self.socket, ssl.SSLSocket) and self.agreed and not self.closing and self.socket.pending() > 0

    def read(self, most: int) -> bytes | None:
        """Up to so many bytes; None where there are none now, nothing at the end of the connection.

        Raises:
            HandshakeError: TLS was not agreed.
        """
        self.events = selectors.EVENT_READ
        try:
            if not self.agreed and not self.closing:
                self._shake_hands()
            return self.socket.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self.events = selectors.EVENT_WRITE
            return None
        except OSError as error:
            # By TLS 1.3 the caller may have sent its request before it is told that its certificate is refused.
            if isinstance(error, ssl.SSLError):
                raise HandshakeError(why_not(error)) from error
            return b""

    def say_last(self, pdu: bytes) -> None:
        """Send a last PDU, or nothing where there is none to be sent, and let the other side close.

        Raises:
            OSError: it does not listen any more.
        """
        self.closing, self.events = True, selectors.EVENT_READ
        if pdu:
            self.socket.send(pdu)
            if isinstance(self.socket, ssl.SSLSocket):
                self._say_farewell(self.socket)
        self.socket.shutdown(socket.SHUT_WR)  # from here on a socket is read without TLS, whose rest is thrown away

    def _shake_hands(self) -> None:
        assert isinstance(self.socket, ssl.SSLSocket)
        self.socket.do_handshake()
        self.agreed = True

    @staticmethod
    def _say_farewell(encrypted: ssl.SSLSocket) -> None:
        try:
            encrypted.unwrap()
        except OSError:
            return  # its answer is not waited for
