"""Delivery to one DICOM destination by C-STORE.

The queue is the ledger: a row is due, is tried, and becomes delivered, postponed with back-off, or failed with its
reason. A dead destination holds up nobody but itself.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from node.network.scu import StoreOutcome, StoreResult, store
from node.settings import DestinationSettings
from storage.files import ObjectStore
from storage.ledger import Ledger
from storage.records import DeliveryRecord

log = logging.getLogger(__name__)


class Delivery:
    """One destination's queue, worked off in a thread of its own."""

    def __init__(self, settings: DestinationSettings, ledger: Ledger, files: ObjectStore) -> None:
        self._settings = settings
        self._ledger = ledger
        self._files = files
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"delivery-{settings.name}", daemon=True)

    def start(self) -> None:
        """Begin to work the queue off."""
        self._thread.start()

    def stop(self) -> None:
        """End after the object that is under way."""
        self._stop.set()
        self._thread.join(timeout=self._settings.timeout_s)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.deliver_due()
            except Exception:
                # The thread is the destination's only one: whatever goes wrong in one round must not end it.
                log.exception("destination %s: round failed, trying again", self._settings.name)
                sent = 0
            if not sent:
                self._stop.wait(1.0)

    def deliver_due(self) -> int:
        """Try everything that is due once; returns the number of objects tried."""
        due = self._ledger.due(self._settings.name, datetime.now(UTC))
        if due:
            self._deliver(due)
        return len(due)

    def _deliver(self, due: Sequence[DeliveryRecord]) -> None:
        records = {self._files.absolute(record.result.file): record for record in due}
        settings = self._settings
        outcomes = store(
            list(records),
            host=settings.host,
            port=settings.port,
            called_ae=settings.ae_title,
            calling_ae=settings.calling_ae_title,
            timeout_s=settings.timeout_s,
        )
        for outcome in outcomes:
            self._settle(records[outcome.path], outcome)
            if self._stop.is_set():
                break

    def _settle(self, record: DeliveryRecord, outcome: StoreOutcome) -> None:
        uid = record.result.sop_instance_uid
        if outcome.result is StoreResult.SENT:
            self._ledger.delivered(record.identifier, datetime.now(UTC), outcome.reason)
        elif outcome.result is StoreResult.PERMANENT:
            self._ledger.fail(record.identifier, outcome.reason)
            log.error("object %s: destination %s refuses it: %s", uid, self._settings.name, outcome.reason)
        elif record.attempts + 1 >= self._settings.maximum_attempts:
            reason = f"gave up after {record.attempts + 1} attempts: {outcome.reason}"
            self._ledger.fail(record.identifier, reason)
            log.error("object %s: destination %s: %s", uid, self._settings.name, reason)
        else:
            delay = retry_delay_s(record.attempts, self._settings)
            again = datetime.now(UTC) + timedelta(seconds=delay)
            self._ledger.postpone(record.identifier, outcome.reason, again)
            log.warning(
                "object %s: destination %s: %s; next try in %.0f s", uid, self._settings.name, outcome.reason, delay
            )


def retry_delay_s(attempts: int, settings: DestinationSettings) -> float:
    """Seconds to wait after `attempts` earlier failures: doubles from the first to the longest delay."""
    return float(min(settings.longest_retry_s, settings.first_retry_s * 2.0**attempts))
