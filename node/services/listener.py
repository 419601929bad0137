"""The listener: one port, the associations that it accepts, and the rights that they have.

Objects that they send are taken in by `StorageSCP`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from node.dicom.command import C_STORE_RQ, Command, Refusal
from node.dicom.contexts import acceptable, is_storage
from node.dicom.remotes import rights_of
from node.dicom.transport import send_at_once, send_even_fragments
from node.logs import Sparing, title
from node.services.acceptor import Acceptor, AcceptorLimits, ReceivedRequest
from node.services.association import AcceptedAssociation
from node.services.leases import LEASE_S, Leases
from node.services.messages import RefusedRequest
from node.services.store import Received, StorageSCP
from node.settings import ListenerSettings, RemoteSettings
from storage.files import ObjectStore
from storage.index import Index

log = logging.getLogger(__name__)

SUCCESS = 0x0000

_REJECTED_PERMANENT, _SERVICE_USER = 0x01, 0x01
_CALLING_AE_UNKNOWN, _CALLED_AE_UNKNOWN = 0x03, 0x07
_COUNTED_BY_THE_ACCEPTOR = 1_000_000
_POLL_S = 0.02
_PARTING_S = 1.0  # for the A-ABORT to be sent
_SPOOL_AGE_S = 3600  # far beyond the writing of one file: what is older was left by a crash


class Listener:
    """One listening port. Its associations run in threads of their own."""

    def __init__(
        self,
        settings: ListenerSettings,
        remotes: Sequence[RemoteSettings],
        store: ObjectStore,
        index: Index,
        lease_s: float = LEASE_S,
        limits: AcceptorLimits | None = None,
    ) -> None:
        self._settings = settings
        self._remotes = tuple(remotes)
        self._store = store
        self._leases = Leases(index, lease_s)
        self._storage = StorageSCP(store, index, self._leases, settings.minimum_free_gb)
        self._ae = AE(ae_title=settings.ae_title)
        self._ae.maximum_associations = _COUNTED_BY_THE_ACCEPTOR
        self._ae.maximum_pdu_size = settings.maximum_pdu
        self._ae.network_timeout = settings.network_timeout_s
        self._acceptor = Acceptor(
            settings.maximum_associations, self._negotiate, lambda: self._count("rejected"), limits
        )
        self._open = False
        self._sparing = Sparing(log)
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()  # associations are counted in threads of their own

    @property
    def port(self) -> int:
        """The port in use; the free one that was found where the settings say 0."""
        return self._acceptor.address[1] if self._open else self._settings.port

    @property
    def open_associations(self) -> int:
        """Associations open now."""
        return len(self._ae.active_associations)

    @property
    def waiting_connections(self) -> int:
        """Connections that have not asked for an association yet, or wait for the answer."""
        return self._acceptor.waiting

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: associations accepted and rejected, objects by how they ended."""
        with self._counting:
            return {**self._counts, **self._storage.counts}

    def start(self) -> None:
        """Bind the port and listen.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        self._store.sweep_spool(_SPOOL_AGE_S)
        self._acceptor.open(self._settings.host, self._settings.port)
        self._open = True
        self._leases.start()

    def stop(self, patience_s: float = 10.0) -> None:
        """Refuse new associations, wait for the open ones, then abort those that remain.

        Returns when no object is in the middle of being stored: what was not acknowledged, the sender repeats.
        """
        if not self._open:
            return
        self._acceptor.close()
        self._open = False
        if remaining := self._wait_for_ends(patience_s):
            log.warning("stopping: %d associations aborted", len(remaining))
            for association in remaining:
                association.abort(block=False)
            for association in self._wait_for_ends(_PARTING_S):
                association.disconnect()
            self._wait_for_ends(_PARTING_S)
        self._storage.wait_until_idle()
        self._leases.stop()

    # --- associations

    def _negotiate(self, request: ReceivedRequest) -> None:
        association = AcceptedAssociation(self._ae, request, self._refuse, self._ended)
        handlers = (
            (evt.EVT_CONN_OPEN, send_at_once),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_ACCEPTED, send_even_fragments),
            (evt.EVT_ACCEPTED, self._count_accepted),
            (evt.EVT_RELEASED, self._end),
            (evt.EVT_ABORTED, self._end),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._store_object),
        )
        for event, handler in handlers:
            association.bind(event, handler)
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": request.address})
        association.start()

    def _wait_for_ends(self, patience_s: float) -> list[AcceptedAssociation]:
        """The associations that are still open when it is over."""
        deadline = time.monotonic() + patience_s
        while (found := self._ae.active_associations) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found

    def _ended(self, association: AcceptedAssociation) -> None:
        self._leases.end(association)
        if not association.faults:
            return
        address, first, more = association.requestor.address, association.faults[0], len(association.faults) - 1
        and_more = f", and {more} more after it" if more else ""
        self._sparing.write(logging.WARNING, first, address, "association from %s: %s%s", address, first, and_more)

    def _admit(self, event: Event) -> None:
        """Reject who may not connect; else choose the contexts among those asked for."""
        association = event.assoc
        request = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = association.requestor.address
        rights = rights_of(self._remotes, calling, address)
        if rights is None:
            why = f"calling AE {title(calling)} from {address} is not a known remote"
            self._reject(event, _CALLING_AE_UNKNOWN, why)
        elif self._settings.require_called_ae and called != self._settings.ae_title:
            why = f"AE {title(calling)} from {address} called for {title(called)}"
            self._reject(event, _CALLED_AE_UNKNOWN, why)
        else:
            proposed = request.presentation_context_definition_list
            syntaxes = [str(context.abstract_syntax) for context in proposed]
            association.acceptor.supported_contexts = acceptable(syntaxes, rights.store)
            if not rights.store and any(map(is_storage, syntaxes)):
                what = "remote without the right may_store asked to store"
                self._sparing.write(logging.WARNING, what, address, "%s: AE %s from %s", what, title(calling), address)

    def _reject(self, event: Event, diagnostic: int, why: str) -> None:
        self._count("rejected")
        kind, address = f"association rejected for reason {diagnostic}", event.assoc.requestor.address
        self._sparing.write(logging.WARNING, kind, address, "association rejected: %s", why)
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _SERVICE_USER, diagnostic)
        event.assoc.kill()

    def _end(self, event: Event) -> None:
        self._leases.end(event.assoc)

    def _count_accepted(self, _event: Event) -> None:
        self._count("accepted")

    def _count(self, what: str) -> None:
        with self._counting:
            self._counts[what] += 1

    # --- objects

    def _store_object(self, event: Event) -> Dataset:
        """Handler of C-STORE: the status for its response."""
        request = event.request
        command = Command(
            C_STORE_RQ, request.MessageID, True, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        )
        refusal = self._storage.take(
            Received(event.assoc, command, event.context.transfer_syntax, request.DataSet or BytesIO())
        )
        answer = Dataset()
        answer.Status = SUCCESS if refusal is None else refusal.status
        if refusal is not None:
            answer.ErrorComment = refusal.reason[:64]
        return answer

    def _refuse(self, association: AcceptedAssociation, request: RefusedRequest) -> Refusal:
        """The status for a request whose command cannot be served; the object that it brought is kept."""
        if request.data_set is None:
            kind, address = "request refused", association.requestor.address
            self._sparing.write(logging.WARNING, kind, address, "%s from %s: %s", kind, address, request.refusal.reason)
            return request.refusal
        syntax = association.transfer_syntax_of(request.context_id)
        received = Received(association, request.command, syntax, request.data_set, request.refusal)
        return self._storage.take(received) or request.refusal
