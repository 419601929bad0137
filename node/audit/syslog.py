"""Messages to a collector: syslog (RFC 5424) over TLS (RFC 5425) or UDP (RFC 5426), as PS3.15 A.6 and A.7 have it.

Neither has an answer. By TLS what was sent counts as there once the connection has stood for a moment after it, so
that what was under way when a collector ended is sent again: it may get such a message twice, and lacks none.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Sequence
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


class CollectorError(OSError):
    """The collector takes nothing; the message says why."""


class Collector(Protocol):
    """What takes messages."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Send syslog messages.

        Raises:
            OSError: they were not, or not all.
        """

    def stands(self) -> bool:
        """Whether what was sent before can be taken to be there."""

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
        self._settings = settings
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
        self._socket: ssl.SSLSocket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """As of `Collector`."""
        if not self.stands():
            self._connect()
        assert self._socket is not None
        try:
            self._socket.sendall(b"".join(b"%d %b" % (len(each), each) for each in messages))
        except OSError:
            self.close()
            raise

    def stands(self) -> bool:
        """Whether the connection does: the other side says nothing, and has not closed it."""
        if self._socket is None:
            return False
        try:
            self._socket.settimeout(0.0)
            while self._socket.recv(1024):
                pass
        except (ssl.SSLWantReadError, BlockingIOError):
            self._socket.settimeout(self._settings.timeout_s)
            return True
        except OSError:
            pass
        self.close()
        return False

    def close(self) -> None:
        """As of `Collector`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        context: ClientContext = client_context(self._remote)
        address = self._settings.host, self._settings.port
        connected = socket.create_connection(address, self._settings.timeout_s)
        try:
            self._socket = context.wrap_socket(connected, server_hostname=context.server_name)
        except OSError as error:
            connected.close()
            if context.refusal:
                raise CollectorError(0, context.refusal) from error
            raise


class DatagramCollector:
    """A datagram a message; nobody knows whether it has come."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """As of `Collector`."""
        if self._socket is None:
            where = socket.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_DGRAM)
            family, *_, address = where[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.connect(address)
        for each in messages:
            self._socket.send(each[:_LARGEST_DATAGRAM])

    def stands(self) -> bool:
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
