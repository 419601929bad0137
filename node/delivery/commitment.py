"""Commitment of what a destination has stored, in a thread of its own (PS3.4 Annex J, as SCU).

What is due is asked for in one association, a transaction for each study, each written down before it is sent. The
report may come over this association, which is kept for a while, or later over one that the destination opens to the
listener, in whatever process. One that never comes is asked for again, with a wait that doubles, some times; then the
objects stay STORED, and `rectal-node status` tells so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from node.clock import PARTING_S, Clock, utc_now
from node.delivery.backoff import DestinationBackoff
from node.dicom.association import ENDED_BEFORE, RemoteAE
from node.dicom.command import PROCESSING_FAILURE, Refusal
from node.dicom.commitment import CommitmentAssociation, UnsupportedError
from node.dicom.settlement import patience, settle
from node.errors import TransientError, told
from node.failure import FAULTS, fault_of
from node.local_faults import LocalFaults
from node.settings import RemoteSettings
from storage.alerts import Alerts
from storage.commitments import CommitmentReport, Commitments, Transaction

log = logging.getLogger(__name__)

#: Objects that are asked for in one association.
ASKED_AT_ONCE = 1000
_LOOK_S = 1.0
_AGAIN_S = 5.0  # after a fault of this machine
_LISTEN_S = 0.25


class CommitmentWorker:
    """Asks one destination."""

    def __init__(
        self, settings: RemoteSettings, commitments: Commitments, clock: Clock = utc_now, alerts: Alerts | None = None
    ) -> None:
        self._settings, self._commitments, self._clock = settings, commitments, clock
        self._patience = patience(settings)
        self._faults = LocalFaults(alerts, f"commitment of {settings.name}", clock)
        self._backoff = DestinationBackoff(settings, clock)
        self._said_unsupported = False
        self._stop = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"commitment-{settings.name}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something has become due."""
        self._due.set()

    def stop(self) -> None:
        """End after the request that is under way."""
        self._stop.set()
        self.wake()
        self._thread.join(timeout=min(PARTING_S, self._settings.timeout_s))

    def ask_due(self) -> int:
        """Ask for what is due, unless the destination rests, and wait a while for reports; the number of requests."""
        now, name = self._clock(), self._settings.name
        if self._backoff.resting or not self._commitments.is_due(name, now, self._patience):
            return 0
        try:
            with CommitmentAssociation(RemoteAE.of(self._settings), self._settle) as association:
                self._backoff.reset()
                asked = self._commitments.ask(name, now, self._patience, ASKED_AT_ONCE)
                self._ask(association, asked)
                self._await_reports(association, asked)
        except UnsupportedError as error:
            return self._unsupported(str(error))
        except TransientError as error:
            self._rest(str(error))
            return 0
        return len(asked)

    def _ask(self, association: CommitmentAssociation, asked: Sequence[Transaction]) -> None:
        for number, transaction in enumerate(asked):
            if self._stop.is_set() or not association.is_open:
                self._commitments.forget(asked[number:], self._clock())
                if not self._stop.is_set():
                    self._rest(ENDED_BEFORE)
                return
            try:
                reason = association.ask(transaction.transaction_uid, transaction.references)
            except TransientError as error:
                self._commitments.unanswered(transaction, str(error))
                self._tell(transaction, f"no answer: {error}")
            else:
                if reason:
                    self._commitments.refused(transaction, reason)
                    self._tell(transaction, f"refused: {reason}")
                else:
                    self._commitments.accepted(transaction)

    def _await_reports(self, association: CommitmentAssociation, asked: Sequence[Transaction]) -> None:
        """Take reports over the association, until none is outstanding, or for the time of an answer."""
        deadline = time.monotonic() + min(self._settings.timeout_s, self._settings.commitment_wait_s)
        while association.is_open and time.monotonic() < deadline and not self._stop.is_set():
            if not self._commitments.outstanding(asked):
                return
            association.take_report(_LISTEN_S)

    def _settle(self, report: CommitmentReport) -> Refusal | None:
        """A report that comes over the association of the request."""
        try:
            refusal = settle(report, [self._settings], self._commitments, self._clock())
        except FAULTS as error:
            if fault_of(error) is None:
                raise
            refusal = Refusal(PROCESSING_FAILURE, f"the report could not be written: {told(error)}")
        if refusal is not None:
            log.warning("destination %s: commitment report refused: %s", self._settings.name, refusal.reason)
        return refusal

    def _unsupported(self, reason: str) -> int:
        """The destination does not know the service: the objects stay STORED, and it is said once."""
        asked = self._commitments.ask(self._settings.name, self._clock(), self._patience, ASKED_AT_ONCE)
        for transaction in asked:
            self._commitments.unsupported(transaction, reason, self._patience)
        if not self._said_unsupported:
            self._said_unsupported = True
            log.warning("destination %s: %s: what it has stored is not committed", self._settings.name, reason)
        return len(asked)

    def _rest(self, reason: str) -> None:
        """Leave the destination alone: it could not be asked."""
        delay = self._backoff.rest(stored=False, at_an_object=False)
        log.warning("destination %s: commitment: %s; next try in %.0f s", self._settings.name, reason, delay)

    def _tell(self, transaction: Transaction, what: str) -> None:
        uid, count = transaction.transaction_uid, len(transaction.references)
        log.warning("destination %s: commitment %s of %d objects: %s", self._settings.name, uid, count, what)

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = _LOOK_S
            try:
                if self.ask_due():
                    pause = 0.0
                self._faults.over()
            except Exception as error:
                # The thread is the destination's only one: whatever goes wrong in one round must not end it.
                pause = _AGAIN_S
                if not self._faults.takes(error, f"destination {self._settings.name}"):
                    log.exception("destination %s: commitment failed", self._settings.name)
            self._due.wait(pause)
            self._due.clear()
