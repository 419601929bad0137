"""The HTTP server: a port, uvicorn in a thread of its own, and the rooms behind it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.audit.recorder import Recorder
from node.bodies import UploadLimits
from node.clock import PARTING_S, STOPS_WITHIN_S
from node.dicom.tls import shown_by
from node.errors import told
from node.services.brought import Brought, received
from node.services.leases import LEASE_S, Leases, Sender
from node.services.server_tls import ServerTLS
from node.services.store import StorageSCP
from node.settings import ListenerSettings, RemoteSettings, WebSettings
from node.web.access import Access
from node.web.app import application
from node.web.objects import WebObjects
from node.web.qido import Searching, search_routes
from node.web.stow import Storing, store_routes
from node.web.wado import Retrieving, rendered_routes, retrieve_routes
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)

_STARTS_WITHIN_S = 30.0
#: Of every answer: it is of patients, and of one caller.
_HEADERS = [
    ("Cache-Control", "private, no-cache"),
    ("Vary", "Accept, Authorization"),
    ("X-Content-Type-Options", "nosniff"),
]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]


class WebServer:
    """DICOMweb on one port.

    Attributes:
        port: where it listens, once it does.
        application: what it serves.
    """

    def __init__(
        self,
        settings: WebSettings,
        listener: ListenerSettings,
        remotes: Sequence[RemoteSettings],
        files: ObjectStore,
        index: Index,
        time_zone: str = "",
        lease_s: float = LEASE_S,
        request_s: float = 10.0,
        page: ASGIApp | None = None,
    ) -> None:
        """What holds for objects that come by C-STORE (`listener`) holds here; `time_zone` is the site's by its IANA
        name, empty: the machine's. `request_s`: from the connection, or the answer before, to the end of a header.
        `page` answers what is not asked of DICOMweb."""
        self._request_s = request_s
        self._settings, self.port = settings, settings.port
        self._leases = Leases(index, lease_s)
        limits = UploadLimits(
            largest=int(settings.largest_request_gb * 1e9),
            silence_s=listener.network_timeout_s,
            slowest=listener.slowest_kb_s * 1e3,
        )
        self._recorder = recorder = Recorder(index.engine)

        def recorded(sender: Sender, brought: dict[str, Brought]) -> None:
            recorder.add(*received(sender, "STOW-RS", brought, index.engine, files))

        self._storage = StorageSCP(
            files, index, self._leases, listener.minimum_free_gb, listener.largest_object_gb, recorded
        )
        access, public = Access(settings, remotes, recorder), settings.public_url
        zone = ZoneInfo(time_zone) if time_zone else None
        searching = Searching(index.engine, settings.most_matches, zone, public, recorder)
        retrieving = Retrieving(WebObjects(index.engine, files), public, recorder)
        storing = Storing(self._storage, self._leases, limits, public, recorded)
        routers = (
            search_routes(searching, access),
            retrieve_routes(retrieving, access),
            rendered_routes(retrieving, access),
            store_routes(storing, access),
        )
        self.application = application(settings, routers, page)
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Bind the port and serve.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
            CredentialsError: a certificate file cannot be used.
            RuntimeError: the server does not start.
        """
        config = uvicorn.Config(
            self.application,
            http=type("_LimitedProtocol", (_Protocol,), {"request_s": self._request_s}),
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=_HEADERS,
            limit_concurrency=self._settings.maximum_connections,
            timeout_graceful_shutdown=int(PARTING_S),
        )
        config.load()
        if self._settings.tls:
            assert self._settings.credentials is not None, "the settings have checked it"
            config.ssl = _context(ServerTLS(self._settings.credentials))
        self._socket = bound(self._settings.host, self._settings.port)
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(config)
        self._leases.start()
        self._thread.start()
        for _ in range(int(_STARTS_WITHIN_S / 0.01)):
            if self._server.started:
                return
            self._thread.join(0.01)
            if not self._thread.is_alive():
                break
        raise RuntimeError("the HTTP server does not start")

    def stop(self) -> None:
        """Take no more requests, wait for those under way, and return when no object is just being stored."""
        if self._server is None:
            return
        self._server.should_exit = True
        self._thread.join(STOPS_WITHIN_S)
        self._storage.wait_until_idle()
        self._leases.stop()
        self._recorder.close()
        self._server = None

    def _run(self) -> None:
        assert self._server is not None
        assert self._socket is not None
        asyncio.run(self._server.serve(sockets=[self._socket]))


class _Protocol(H11Protocol):
    """Hands the certificate of who calls to the application, and waits for the header of a request so long and no more;
    uvicorn does neither.

    Attributes:
        request_s: so long.
    """

    request_s: float
    _late: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes of a request have come."""
        super().data_received(data)
        self._wait_for_header()

    def on_response_complete(self) -> None:
        """A request is answered, and another may come."""
        super().on_response_complete()
        self._wait_for_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)

    def _wait_for_header(self) -> None:
        serving = self.cycle is not None and not self.cycle.response_complete
        if serving and self._late is not None:
            self._late.cancel()
            self._late = None
        elif not serving and self._late is None:
            self._late = self.loop.call_later(self.request_s, self.transport.close)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_header()
        encrypted = transport.get_extra_info("ssl_object")
        certificate = shown_by(encrypted) if encrypted is not None and encrypted.getpeercert(True) else None
        answer = self.app

        async def with_certificate(scope: _Scope, receive: _Receive, send: _Send) -> None:
            scope["state"] = {**scope.get("state", {}), "certificate": certificate}
            try:
                await answer(scope, receive, send)
            except Exception as error:  # noqa: BLE001 (a damaged file, or a fault of the node; the log gets its place)
                # What has begun ends without its end, by which the caller knows; else 500 was said already.
                log.error("a request is not answered as it was meant: %s", told(error))

        self.app = with_certificate


def _context(tls: ServerTLS) -> ssl.SSLContext:
    """Who calls may show a certificate, or a token in its place; files that have changed count for new connections."""
    context = tls.context
    context.verify_mode = ssl.CERT_OPTIONAL

    def renewed(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = tls.context

    context.sni_callback = renewed
    return context


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens; raises OSError where the port is taken, or the address is not of this machine."""
    known = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(known, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.create_server(address, family=family, backlog=128)
    # What is accepted has it from here. asyncio sets it for sockets that say that they are TCP, and these do not;
    # without it an answer of several pieces waits 40 ms for the acknowledgement of the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
