"""TLS of the listening port: its context, made anew when one of its files has changed."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from datetime import UTC, datetime

from node.dicom.certificates import expiry_warning
from node.dicom.tls import CredentialsError, server_context
from node.settings import Credentials

log = logging.getLogger(__name__)

_DAY_S = 86_400.0


class ServerTLS:
    """What a connection to the port is wrapped with; used in one thread."""

    def __init__(self, credentials: Credentials) -> None:
        """Read the files.

        Raises:
            CredentialsError: one cannot be used.
        """
        self._credentials = credentials
        self._files = self._seen()
        self._context = server_context(credentials)
        self._said_at = 0.0
        self._say_expiry()

    def wrap(self, accepted: socket.socket) -> ssl.SSLSocket:
        """The connection with TLS around it; its handshake is still to be made.

        Raises:
            OSError: the connection has ended.
        """
        self._renew()
        return self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the next connection, for those who wrap it themselves."""
        self._renew()
        return self._context

    def _renew(self) -> None:
        """Files that cannot be used leave the earlier ones in use: a certificate may come before its key."""
        if (files := self._seen()) != self._files:
            self._files = files
            try:
                self._context = server_context(self._credentials)
                log.info("TLS: the certificate files have changed; new connections are made with them")
                self._said_at = 0.0
            except CredentialsError as error:
                log.error("TLS: the certificate files have changed and cannot be used: %s", error.strerror)
        self._say_expiry()

    def _say_expiry(self) -> None:
        """Once a day."""
        if self._said_at and time.monotonic() - self._said_at < _DAY_S:
            return
        self._said_at = time.monotonic()
        if warning := expiry_warning(self._credentials, datetime.now(UTC)):
            log.warning("%s", warning)

    def _seen(self) -> tuple[tuple[int, int, int], ...]:
        """What tells one state of the files from another."""
        files = (self._credentials.certificate, self._credentials.key, self._credentials.authorities)
        try:
            states = [path.stat() for path in files]
        except OSError:
            return ()
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
