"""The storage SCP: C-ECHO and C-STORE.

The received bytes are stored as they came, and Success is said only when file and index row are durable. What
cannot be indexed goes to quarantine with its reason and a failure status: nothing is lost. How a series will be
used plays no part here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydicom import Dataset
from pynetdicom import AE, Association, evt
from pynetdicom.dsutils import encode_file_meta
from pynetdicom.events import Event
from sqlalchemy.exc import OperationalError

from node.associations.acceptance import Acceptance
from node.associations.door import Arrival, Door, DoorLimits
from node.associations.leases import LEASE_S, Leases
from node.logs import Sparing
from node.network.contexts import acceptable
from node.network.peers import is_admitted
from node.network.transport import send_at_once, send_even_fragments
from node.settings import ListenerSettings, PeerSettings
from storage.errors import HeaderError, StorageError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import InstanceHeader, Registration

log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_REJECTED_PERMANENT, _SERVICE_USER = 0x01, 0x01
_CALLING_AE_UNKNOWN, _CALLED_AE_UNKNOWN = 0x03, 0x07
_COUNTED_AT_THE_DOOR = 1_000_000
_GIGABYTE = 1e9
_POLL_S = 0.02
_PARTING_S = 1.0  # for the A-ABORT to be sent
_SPOOL_AGE_S = 3600  # far beyond the writing of one file: what is older was left by a crash


class Listener:
    """One listening port. Its associations run in threads of their own."""

    def __init__(
        self,
        settings: ListenerSettings,
        peers: Sequence[PeerSettings],
        store: ObjectStore,
        index: Index,
        lease_s: float = LEASE_S,
        limits: DoorLimits | None = None,
    ) -> None:
        self._settings = settings
        self._peers = tuple(peers)
        self._store = store
        self._index = index
        self._leases = Leases(index, lease_s)
        self._ae = AE(ae_title=settings.ae_title)
        self._ae.maximum_associations = _COUNTED_AT_THE_DOOR
        self._ae.maximum_pdu_size = settings.maximum_pdu
        self._ae.network_timeout = settings.network_timeout_s
        self._door = Door(settings.maximum_associations, self._enter, lambda: self._count("rejected"), limits)
        self._open = False
        self._sparing = Sparing(log)
        self._storing = 0
        self._counts: Counter[str] = Counter()
        # Associations count in threads of their own; stop() waits until none is in the middle of an object.
        self._idle = threading.Condition()

    @property
    def port(self) -> int:
        """The port in use; the free one that was found where the settings say 0."""
        return self._door.address[1] if self._open else self._settings.port

    @property
    def open_associations(self) -> int:
        """Associations open now."""
        return len(self._ae.active_associations)

    @property
    def waiting_connections(self) -> int:
        """Connections that have not asked for an association yet, or wait for the answer."""
        return self._door.waiting

    @property
    def counts(self) -> dict[str, int]:
        """Since the start: associations accepted and rejected, objects by how they ended."""
        with self._idle:
            return dict(self._counts)

    def start(self) -> None:
        """Bind the port and listen.

        Raises:
            OSError: the port is taken, or the address is not of this machine.
        """
        self._store.sweep_spool(_SPOOL_AGE_S)
        self._door.open(self._settings.host, self._settings.port)
        self._open = True
        self._leases.start()

    def stop(self, patience_s: float = 10.0) -> None:
        """Refuse new associations, wait for the open ones, then abort those that remain.

        Returns when no object is in the middle of being stored: what was not acknowledged, the sender repeats.
        """
        if not self._open:
            return
        self._door.close()
        self._open = False
        if remaining := self._wait_for_ends(patience_s):
            log.warning("stopping: %d associations aborted", len(remaining))
            for association in remaining:
                association.abort(block=False)
            for association in self._wait_for_ends(_PARTING_S):
                association.disconnect()
            self._wait_for_ends(_PARTING_S)
        with self._idle:
            self._idle.wait_for(lambda: self._storing == 0)
        self._leases.stop()

    # --- associations

    def _enter(self, arrival: Arrival) -> None:
        association = Acceptance(self._ae, arrival, self._ended)
        handlers = (
            (evt.EVT_CONN_OPEN, send_at_once),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_ACCEPTED, send_even_fragments),
            (evt.EVT_ACCEPTED, self._count_accepted),
            (evt.EVT_RELEASED, self._end),
            (evt.EVT_ABORTED, self._end),
            (evt.EVT_C_ECHO, lambda _event: SUCCESS),
            (evt.EVT_C_STORE, self._answer),
        )
        for event, handler in handlers:
            association.bind(event, handler)
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": arrival.address})
        association.start()

    def _wait_for_ends(self, patience_s: float) -> list[Acceptance]:
        """The associations that are still open when it is over."""
        deadline = time.monotonic() + patience_s
        while (found := self._ae.active_associations) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return found

    def _ended(self, association: Acceptance) -> None:
        self._leases.end(association)
        if not association.faults:
            return
        address, first, more = association.requestor.address, association.faults[0], len(association.faults) - 1
        and_more = f", and {more} faults after it" if more else ""
        self._sparing.write(logging.WARNING, first, address, "association from %s: %s%s", address, first, and_more)

    def _admit(self, event: Event) -> None:
        """Reject who may not connect; else choose the contexts among those asked for."""
        association = event.assoc
        request = association.requestor.primitive
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        address = association.requestor.address
        if not is_admitted(self._peers, calling, address):
            log.warning("association rejected: calling AE %s from %s is not a known peer", calling, address)
            self._reject(event, _CALLING_AE_UNKNOWN)
        elif self._settings.require_called_ae and called != self._settings.ae_title:
            log.warning("association rejected: AE %s from %s called for %s", calling, address, called)
            self._reject(event, _CALLED_AE_UNKNOWN)
        else:
            proposed = request.presentation_context_definition_list
            association.acceptor.supported_contexts = acceptable(str(c.abstract_syntax) for c in proposed)

    def _reject(self, event: Event, diagnostic: int) -> None:
        self._count("rejected")
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _SERVICE_USER, diagnostic)
        event.assoc.kill()

    def _end(self, event: Event) -> None:
        self._leases.end(event.assoc)

    def _count_accepted(self, _event: Event) -> None:
        self._count("accepted")

    def _count(self, what: str) -> None:
        with self._idle:
            self._counts[what] += 1

    # --- objects

    def _answer(self, event: Event) -> Dataset:
        """Store what a C-STORE request brings; the status for its response."""
        with self._counted():
            try:
                status, comment = self._take(event)
            except (OSError, StorageError, OperationalError):
                log.exception("object %s could not be stored", event.request.AffectedSOPInstanceUID)
                status, comment = OUT_OF_RESOURCES, "the object could not be stored"
            self._count(f"status {status:04X}")
        answer = Dataset()
        answer.Status = status
        if comment:
            answer.ErrorComment = comment[:64]
        return answer

    def _take(self, event: Event) -> tuple[int, str]:
        if self._store.free_bytes() < self._settings.minimum_free_gb * _GIGABYTE:
            log.error("disk below %g GB: object refused", self._settings.minimum_free_gb)
            return OUT_OF_RESOURCES, "disk space is low"
        head = b"\0" * 128 + b"DICM" + encode_file_meta(event.file_meta)
        with event.request.DataSet.getbuffer() as data:
            path = self._store.spooled(head, data)
        try:
            return self._keep(path, event)
        finally:
            path.unlink(missing_ok=True)

    def _keep(self, path: Path, event: Event) -> tuple[int, str]:
        request = event.request
        calling = event.assoc.requestor.ae_title.strip()
        try:
            header = read_header(path)
        except HeaderError as error:
            return self._quarantine(path, str(error), calling, CANNOT_UNDERSTAND)
        mismatch = _mismatch(header, request.AffectedSOPClassUID, request.AffectedSOPInstanceUID)
        if mismatch:
            return self._quarantine(path, mismatch, calling, MISMATCH)
        if self._index.is_own_result(header.sop_instance_uid):
            registration = Registration.OWN_RESULT
        else:
            registration = self._register(path, header, event.assoc)
        self._count(registration)
        log.debug("object %s of study %s: %s", header.sop_instance_uid, header.study_instance_uid, registration)
        return SUCCESS, ""

    def _register(self, path: Path, header: InstanceHeader, association: Association) -> Registration:
        file = self._store.store(path, header)
        calling, now = association.requestor.ae_title.strip(), datetime.now(UTC)
        claim = self._leases.claim(association, header.study_instance_uid, now)
        registration = self._index.register(header, file, calling, now, claim)
        if claim is not None and registration is not Registration.OWN_RESULT:
            self._leases.keep(association, header.study_instance_uid, claim)
        return registration

    def _quarantine(self, path: Path, reason: str, calling: str, status: int) -> tuple[int, str]:
        file = self._store.quarantine(path, reason)
        self._index.keep_quarantine(file, reason, calling, datetime.now(UTC))
        self._count("quarantined")
        log.warning("object from %s kept in quarantine as %s: %s", calling, file.path.name, reason)
        return status, reason

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._idle:
            self._storing += 1
        try:
            yield
        finally:
            with self._idle:
                self._storing -= 1
                self._idle.notify_all()


def _mismatch(header: InstanceHeader, sop_class_uid: str, sop_instance_uid: str) -> str:
    """How command and data set contradict one another; empty when they agree (PS3.4 B.2.3, status A9xx)."""
    if header.sop_class_uid != sop_class_uid:
        return f"SOP Class UID is {sop_class_uid} in the command and {header.sop_class_uid} in the data set"
    if header.sop_instance_uid != sop_instance_uid:
        return f"SOP Instance UID is {sop_instance_uid} in the command and {header.sop_instance_uid} in the data set"
    return ""
