"""A collector of audit messages: syslog over TLS (RFC 5425), as a server of its own."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from node.dicom.tls import server_context
from node.settings import Credentials

_HEADER = re.compile(rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) - \xef\xbb\xbf")


@dataclass
class Collector:
    """What it has got, message for message."""

    port: int
    messages: list[bytes] = field(default_factory=list)
    connections: int = 0
    goodbyes: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def break_off(self) -> None:
        """End every connection, as a collector that is stopped does."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    @property
    def documents(self) -> list[bytes]:
        """The audit messages, without their headers."""
        return [_HEADER.sub(b"", each) for each in self.messages]

    @property
    def headers(self) -> list[tuple[bytes, ...]]:
        """Priority, time, host, application, process and kind of each message."""
        return [found.groups() for each in self.messages if (found := _HEADER.match(each))]

    def take(self, connected: socket.socket) -> None:
        """Read messages, each with its length before it, until the connection ends."""
        self.connections += 1
        self._open.append(connected)
        with suppress(OSError), connected, connected.makefile("rb") as stream:
            while length := _length(stream):
                data = stream.read(length)
                if len(data) == length:
                    self.messages.append(data)
            self.goodbyes += 1

    def talk_without_end(self) -> threading.Event:
        """Send something on every connection until told to end."""
        ended = threading.Event()

        def talk(connected: socket.socket) -> None:
            with suppress(OSError):
                while not ended.is_set():
                    connected.sendall(b"x" * 4096)

        for each in self._open:
            threading.Thread(target=talk, args=[each], daemon=True).start()
        return ended


def _length(stream) -> int:
    digits = b""
    while (byte := stream.read(1)).isdigit():
        digits += byte
    assert byte in (b" ", b""), f"no length before a message: {digits + byte!r}"
    return int(digits or 0)


@contextmanager
def running_collector(credentials: Credentials, port: int = 0) -> Iterator[Collector]:
    """One that shows a certificate, and wants one that its authority has signed."""
    context = server_context(credentials)
    with socket.create_server(("127.0.0.1", port)) as listening:
        found = Collector(listening.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listening.accept()
                    try:
                        encrypted = context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False)
                    except (ssl.SSLError, OSError):
                        accepted.close()
                        continue
                    threading.Thread(target=found.take, args=[encrypted], daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield found
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            found.break_off()
