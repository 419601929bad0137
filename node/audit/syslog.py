"""Messages to a collector: syslog (RFC 5424) over TLS (RFC 5425) or UDP (RFC 5426), as PS3.15 A.6 and A.7 have it.

Neither has an answer. By TLS what was sent counts as there once the other machine has acknowledged all bytes (TCP), and
the connection still stands some seconds later; all else is sent again, so that a collector may get a message twice.
What it had not read from its own machine's buffer when it was killed later than that, it lacks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import socket
import ssl
import sys
import termios
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC
from typing import Protocol

from node.dicom.tls import ClientContext, client_context
from node.settings import RemoteSettings
from node.settings.audit import SyslogSettings
from storage.audit import AuditEvent

_FACILITY = 10  # security/authorization messages
_NOTICE, _WARNING = 5, 4
_MSGID = "DICOM+RFC3881"
_APPLICATION = "rectal-node"
_BOM = "\ufeff".encode()
_LARGEST_DATAGRAM = 65_507
_SLOWEST = 20_000  # bytes in a second
_PIECE = 16_384  # bytes: those of a TLS record
_MOST_HEARD = 16  # pieces at a time, of which a collector has none to say
_SETTLES_S = 3.0
_GOODBYE_S = 0.2
_KEEPALIVE_S = 30


class CollectorError(OSError):
    """The collector takes nothing; the message says why."""


class Collector(Protocol):
    """What takes messages.

    Attributes:
        settles_s: how long it must stand after a message for this to count as there.
        timeout_s: of the settings.
    """

    settles_s: float
    timeout_s: float

    def send(self, messages: Sequence[bytes]) -> None:
        """Send syslog messages.

        Raises:
            OSError: they were not, or not all.
        """

    def stands(self) -> bool:
        """Whether what was sent before can still arrive."""

    def is_drained(self) -> bool:
        """Whether all of it has left this machine, and the other has said so."""

    def close(self) -> None:
        """End it."""


def syslog_message(event: AuditEvent, host: str, message: str) -> bytes:
    """A SYSLOG-MSG (RFC 5424 section 6) with an audit message."""
    priority = _FACILITY * 8 + (_NOTICE if event.succeeded else _WARNING)
    at = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = f"<{priority}>1 {at} {_printable(host)} {_APPLICATION} {os.getpid()} {_MSGID} - "
    return head.encode() + _BOM + message.encode()


def collector_of(settings: SyslogSettings) -> Collector:
    """How a collector is reached."""
    return DatagramCollector(settings) if settings.transport == "udp" else TLSCollector(settings)


class TLSCollector:
    """Over one connection, which stays open; each message has its length before it (RFC 5425 section 4.3)."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings, self.settles_s = settings, _SETTLES_S
        self._remote = RemoteSettings(
            name="audit.syslog",
            ae_title="SYSLOG",
            host=settings.host,
            port=settings.port,
            tls=True,
            certificate_sha256=settings.certificate_sha256,
            certificate_name=settings.certificate_name,
            credentials=settings.credentials,
            timeout_s=settings.timeout_s,
        )
        self.timeout_s = settings.timeout_s
        self._socket: ssl.SSLSocket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """As of `Collector`; the time limit is of all of them, by their size."""
        connected = self._socket or self._connected()
        data = b"".join(b"%d %b" % (len(each), each) for each in messages)
        limit_s = self.timeout_s + len(data) / _SLOWEST
        until, left = time.monotonic() + limit_s, memoryview(data)
        try:
            while left:
                if time.monotonic() > until:
                    raise CollectorError(errno.ETIMEDOUT, f"it did not take {len(data)} bytes in {limit_s:.0f} s")
                try:
                    left = left[connected.send(left[:_PIECE]) :]
                except ssl.SSLWantWriteError:
                    _wait(connected, select.POLLOUT, until)
                except ssl.SSLWantReadError:
                    _wait(connected, select.POLLIN, until)
        except OSError:
            self.close()
            raise

    def stands(self) -> bool:
        """Whether the connection does: the other side has not closed it, whatever it says."""
        if self._socket is None:
            return False
        try:
            if all(self._socket.recv(_PIECE) for _ in range(_MOST_HEARD)):
                return True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            pass
        self.close()
        return False

    def is_drained(self) -> bool:
        """Whether the other machine has acknowledged every byte (SIOCOUTQ, tcp(7))."""
        if self._socket is None:
            return True
        waiting = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return not int.from_bytes(waiting, sys.byteorder)

    def close(self) -> None:
        """As of `Collector`; the other side is told so (RFC 5425, 4.4), and waited for only shortly."""
        if self._socket is None:
            return
        connected, self._socket = self._socket, None
        with closing(connected), suppress(OSError, ValueError):
            connected.settimeout(_GOODBYE_S)
            connected.unwrap()

    def _connected(self) -> ssl.SSLSocket:
        context: ClientContext = client_context(self._remote)
        address = self._settings.host, self._settings.port
        connected = socket.create_connection(address, self.timeout_s)
        try:
            # Whose machine has gone is noticed, with bytes under way and without.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.timeout_s * 1000))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
            encrypted = context.wrap_socket(connected, server_hostname=context.server_name)
        except OSError as error:
            connected.close()
            if context.refusal:
                raise CollectorError(0, context.refusal) from error
            raise
        encrypted.settimeout(0.0)
        self._socket = encrypted
        return encrypted


def _wait(connected: ssl.SSLSocket, event: int, until: float) -> None:
    """Until a connection can go on, or the time is over."""
    waiting = select.poll()
    waiting.register(connected, event)
    waiting.poll(max(0.0, until - time.monotonic()) * 1000)


class DatagramCollector:
    """A datagram a message; nobody knows whether it has come."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings, self.settles_s, self.timeout_s = settings, 0.0, settings.timeout_s
        self._socket: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """As of `Collector`."""
        try:
            connected = self._socket or self._connected()
            for each in messages:
                connected.send(each[:_LARGEST_DATAGRAM])
        except OSError:
            self.close()  # the name may stand for another address by now
            raise

    def _connected(self) -> socket.socket:
        where = socket.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_DGRAM)
        family, *_, address = where[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(self.timeout_s)
        self._socket.connect(address)
        return self._socket

    def stands(self) -> bool:
        """As far as one can know."""
        return True

    def is_drained(self) -> bool:
        """As far as one can know."""
        return True

    def close(self) -> None:
        """As of `Collector`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _printable(text: str) -> str:
    """PRINTUSASCII of a header field, of at most 255 characters; - where there is none (RFC 5424 section 6)."""
    return re.sub(r"[^\x21-\x7e]", "", text)[:255] or "-"
