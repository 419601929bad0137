"""What takes alerts: an HTTP server and an SMTP server, each a real one on a free port."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from ...parts.processes import free_port


class Posts(ThreadingHTTPServer):
    """Keeps what is posted, and answers with what it is told."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.status, self.drips = 200, False
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        self.arrived = threading.Semaphore(0)
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Posts

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(json.loads(body))
        self.server.headers.append(dict(self.headers))
        self.server.paths.append(self.path)
        if self.server.drips:
            self._drip()
            return
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.server.arrived.release()

    def _drip(self) -> None:
        """A byte of an endless header again and again."""
        self.server.arrived.release()
        try:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Slow: ")
            while True:
                self.wfile.write(b".")
                threading.Event().wait(0.05)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def running_posts(context: ssl.SSLContext | None = None) -> Iterator[Posts]:
    server = Posts(context)
    yield server
    server.shutdown()
    server.server_close()


class Mails:
    """Keeps the mails that it takes; refuses what it is told to."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.recipients: list[list[str]] = []
        self.users: list[str] = []
        self.refused: set[str] = set()
        self.answer = "250 OK"
        self.encrypted: list[bool] = []

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
            self.recipients.append(list(envelope.rcpt_tos))
            self.encrypted.append(session.ssl is not None)
        return self.answer

    def authenticate(self, _server: SMTP, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login.decode())
        return AuthResult(success=(data.login, data.password) == (b"node", b"secret"))


@contextmanager
def running_mails(context: ssl.SSLContext | None = None) -> Iterator[tuple[Mails, int]]:
    """A server and its port; with a context it wants STARTTLS and a user."""
    mails = Mails()
    wanted = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": mails.authenticate,
    }
    controller = Controller(mails, "127.0.0.1", free_port(), **(wanted if context else {}))
    controller.start()
    yield mails, controller.port
    controller.stop()
