"""The listener: one port whose connections are accepted and counted here, and served here or by several processes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from node.services.acceptor import Acceptor, AcceptorLimits
from node.services.associations import Associations, Service
from node.services.leases import LEASE_S
from node.services.offered import offered
from node.services.processes import Processes
from node.services.recovery import finish_names
from node.settings import ListenerSettings, RemoteSettings
from storage.files import ObjectStore
from storage.index import Index

_SPOOL_AGE_S = 3600  # far beyond the writing of one file: what is older was left by a crash


class Listener:
    """One listening port."""

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
        self._associations: Associations | Processes
        if settings.processes > 1:
            self._associations = Processes(settings, remotes, store, index, lease_s, time_zone)
        else:
            if services is None:
                services = offered(settings, remotes, store, index, time_zone)
            self._associations = Associations(settings, remotes, store, index, lease_s, services)
        self._acceptor = Acceptor(
            settings.maximum_associations,
            settings.maximum_associations_per_remote,
            self._associations.begin,
            self._count_rejected,
            limits,
        )
        self._open = False
        self._rejected = 0
        self._counting = threading.Lock()  # who looks does so in a thread of its own

    @property
    def port(self) -> int:
        """The port in use; the free one that was found where the settings say 0."""
        return self._acceptor.address[1] if self._open else self._settings.port

    @property
    def open_associations(self) -> int:
        """Associations open now."""
        return self._associations.open

    @property
    def waiting_connections(self) -> int:
        """Connections that have not asked for an association yet, or wait for the answer."""
        return self._acceptor.waiting

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: associations accepted and rejected, objects by how they ended."""
        with self._counting:
            return dict(Counter(self._associations.counts) + Counter(rejected=self._rejected))

    def start(self) -> None:
        """Bind the port and listen.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
            RuntimeError: a listener process does not start.
        """
        finish_names(self._store, self._index)
        self._store.sweep_spool(_SPOOL_AGE_S)
        self._acceptor.bind(self._settings.host, self._settings.port)
        self._associations.start()
        self._acceptor.start()
        self._open = True

    def stop(self, patience_s: float = 10.0) -> None:
        """Refuse new associations, wait for the open ones, then abort those that remain.

        Returns when no object is in the middle of being stored: what was not acknowledged, the sender repeats.
        """
        if not self._open:
            return
        self._acceptor.close()
        self._open = False
        self._associations.stop(patience_s)

    def _count_rejected(self) -> None:
        with self._counting:
            self._rejected += 1
