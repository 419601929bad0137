"""The listener: its connections are accepted and counted here, and served here or by several processes.

What comes by TLS is served here in any case: the keys of a connection cannot be passed to another process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

from node.audit.recorder import Recorder
from node.dicom.tls import is_encrypted
from node.services.acceptor import Acceptor, AcceptorLimits, ReceivedRequest
from node.services.associations import Associations, Service
from node.services.leases import LEASE_S
from node.services.offered import offered
from node.services.processes import Processes
from node.services.server_tls import ServerTLS
from node.settings import ListenerSettings, RemoteSettings
from storage.files import ObjectStore
from storage.index import Index
from storage.recovery import clear_spool, finish_names

_SPOOL_AGE_S = 3600  # far beyond the writing of one file: what is older was left by a crash


class Listener:
    """The listening ports of a node, with TLS and without.

    Attributes:
        tls_port: the port with TLS, once it is open; None where there is none.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        remotes: Sequence[RemoteSettings],
        store: ObjectStore,
        index: Index,
        lease_s: float = LEASE_S,
        limits: AcceptorLimits | None = None,
        services: Sequence[Service] | None = None,
        time_zone: str = "",
    ) -> None:
        """`services` stand in the place of those that the settings offer, where this process serves; `time_zone` is
        the site's by its IANA name, empty: the machine's."""
        self._settings, self._store, self._index = settings, store, index
        self._recorder = Recorder(index.engine)
        self._here: Associations | None = None
        several = settings.processes > 1 and settings.plain
        if not several or settings.tls_port is not None:
            if services is None:
                services = offered(settings, remotes, store, index, time_zone, self._recorder)
            self._here = Associations(settings, remotes, store, index, lease_s, services, self._recorder)
        self._processes: Processes | None = None
        if several:
            self._processes = Processes(settings, remotes, store, index, lease_s, time_zone)
        self._acceptor = Acceptor(
            settings.maximum_associations,
            settings.maximum_associations_per_remote,
            self._begin,
            self._count_rejected,
            limits,
            self._recorder.add_recurring,
        )
        self._open = False
        self._port, self.tls_port = settings.port, settings.tls_port
        self._rejected = 0
        self._counting = threading.Lock()  # who looks does so in a thread of its own

    @property
    def port(self) -> int:
        """The port without TLS; the free one that was found where the settings say 0."""
        return self._port

    @property
    def open_associations(self) -> int:
        """Associations open now."""
        return sum(each.open for each in self._serving)

    @property
    def waiting_connections(self) -> int:
        """Connections that have not asked for an association yet, or wait for the answer."""
        return self._acceptor.waiting

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: associations accepted and rejected, objects by how they ended."""
        with self._counting:
            total = Counter(rejected=self._rejected)
            for each in self._serving:
                total.update(each.counts)
            return dict(+total)

    def start(self) -> None:
        """Bind the ports and listen.

        Raises:
            OSError: a port is taken, or the address is not of this machine.
            CredentialsError: a certificate file cannot be used.
            RuntimeError: a listener process does not start.
        """
        finish_names(self._store, self._index)
        clear_spool(self._store, self._index, _SPOOL_AGE_S)
        try:
            self._bind()
            for each in self._serving:
                each.start()
        except BaseException:
            self._acceptor.close()
            raise
        self._recorder.start()
        self._acceptor.start()
        self._open = True

    def _bind(self) -> None:
        settings = self._settings
        if settings.plain:
            self._port = self._acceptor.bind(settings.host, settings.port)
        if settings.tls_port is not None:
            assert settings.credentials is not None, "the settings have checked it"
            self.tls_port = self._acceptor.bind(settings.host, settings.tls_port, ServerTLS(settings.credentials))

    def _begin(self, request: ReceivedRequest) -> None:
        """Raises RuntimeError where the association cannot be begun."""
        serving = self._here if self._processes is None or is_encrypted(request.socket) else self._processes
        assert serving is not None
        serving.begin(request)

    @property
    def _serving(self) -> tuple[Associations | Processes, ...]:
        return tuple(each for each in (self._processes, self._here) if each is not None)

    def stop(self, patience_s: float = 10.0) -> None:
        """Refuse new associations, wait for the open ones, then abort those that remain.

        Returns when no object is in the middle of being stored: what was not acknowledged, the sender repeats.
        """
        if not self._open:
            return
        self._acceptor.close()
        self._open = False
        until = time.monotonic() + patience_s
        for each in self._serving:
            each.stop(max(until - time.monotonic(), 0.0))
        self._recorder.close()

    def _count_rejected(self) -> None:
        with self._counting:
            self._rejected += 1
