"""Alerts by HTTP POST of JSON. Redirects are not followed: what is told goes where the settings say."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import socket
import ssl
import threading
from urllib.parse import urlsplit

from node.maintenance.message import Message, NotTakenError
from node.settings import WebhookSettings


class Webhook:
    """A service that takes alerts."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def tell(self, message: Message) -> str:
        """Post a message; returns nothing.

        Raises:
            NotTakenError: it was not taken.
        """
        body = json.dumps(message.document()).encode()
        try:
            status, words = self._post(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # Neither address nor token stand in a reason that everybody may read.
            why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            why = f"{error.filename}: {why}" if isinstance(error, OSError) and error.filename else why
            raise NotTakenError(f"webhook: {why}") from error
        if not 200 <= status < 300:
            raise NotTakenError(f"webhook: HTTP status {status} {words}".rstrip())
        return ""

    def _post(self, body: bytes) -> tuple[int, str]:
        parts = urlsplit(self._settings.address())
        headers = {"Content-Type": "application/json", "User-Agent": "rectal-node"}
        if token := self._settings.token():
            headers["Authorization"] = f"Bearer {token}"
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        # A service that answers drop by drop keeps within the time of each drop, but not within that of the whole.
        is_late = threading.Event()
        late = threading.Timer(self._settings.timeout_s, _end, [connection, is_late])
        late.daemon = True
        try:
            late.start()
            connection.connect()
            target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            if is_late.is_set():
                raise TimeoutError(errno.ETIMEDOUT, "no answer in its time")
            return answer.status, answer.reason
        finally:
            late.cancel()
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        timeout = self._settings.timeout_s
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        context = ssl.create_default_context(cafile=self._settings.authorities)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _end(connection: http.client.HTTPConnection, is_late: threading.Event) -> None:
    is_late.set()
    with contextlib.suppress(OSError, AttributeError):  # it is over, or not connected yet
        connection.sock.shutdown(socket.SHUT_RDWR)
