"""Delivery to one DICOM destination by C-STORE.

The queue is the ledger: a row is due, is tried, and becomes delivered, postponed with back-off, or failed with its
reason. A dead destination holds up nobody but itself.

Two waits double apart from one another. The destination's begins when nothing could be stored because there was no
association, or it ended early; an object that is stored ends it. An object's own counts only the attempts that were
made of it. What was never tried, and what this machine could not read, costs no attempt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from node.clock import Clock, utc_now
from node.delivery.faults import LOCAL_FAULTS, FaultLog, kind_of
from node.dicom.outcomes import StoreOutcome, StoreResult
from node.dicom.scu import store
from node.settings import DestinationSettings
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.records import DeliveryRecord

log = logging.getLogger(__name__)

_POLL_S = 1.0
#: Before the next association where the last one ended early and had stored something, in s.
_SHORT_WAIT_S = 1.0


@dataclass(slots=True)
class _Round:
    """What came of everything that was due."""

    tried: int = 0
    stored: int = 0
    not_tried: list[int] = field(default_factory=list)
    why_not: str = ""


class Delivery:
    """One destination's queue, worked off in a thread of its own."""

    def __init__(
        self, settings: DestinationSettings, deliveries: Deliveries, files: ObjectStore, clock: Clock = utc_now
    ) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._files = files
        self._clock = clock
        self._faults = FaultLog(clock)
        self._rests_until = clock()
        self._in_vain = 0  # rounds in a row that stored nothing because of the destination
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
                tried = self.deliver_due()
            except LOCAL_FAULTS as error:
                self._report(error)
                tried = 0
            except Exception:
                # The thread is the destination's only one: whatever goes wrong in one round must not end it.
                log.exception("destination %s: round failed", self._settings.name)
                tried = 0
                self._rest(_Round(why_not="the round failed"))
            if not tried:
                self._stop.wait(_POLL_S)

    def deliver_due(self) -> int:
        """Try everything that is due once, unless the destination rests; returns the number of objects tried."""
        now = self._clock()
        if now < self._rests_until:
            return 0
        due = self._deliveries.due(self._settings.name, now)
        if not due:
            return 0
        done = self._deliver(due)
        if done.not_tried:
            self._keep(lambda: self._deliveries.defer(done.not_tried, done.why_not, now))
            self._rest(done)
        elif done.stored:
            self._in_vain = 0
        return done.tried

    def _deliver(self, due: Sequence[DeliveryRecord]) -> _Round:
        records = {self._files.absolute(record.result.file): record for record in due}
        settings = self._settings
        outcomes = store(
            list(records),
            host=settings.host,
            port=settings.port,
            called_ae=settings.ae_title,
            calling_ae=settings.calling_ae_title,
            timeout_s=settings.timeout_s,
            wanted=lambda path: self._deliveries.is_pending(records[path].identifier),
        )
        done = _Round()
        with closing(outcomes):
            for outcome in outcomes:
                record = records[outcome.path]
                if outcome.result is StoreResult.NOT_TRIED:
                    done.not_tried.append(record.identifier)
                    done.why_not = outcome.reason
                    continue
                done.tried += 1
                done.stored += outcome.result is StoreResult.SENT
                self._settle(record, outcome)
                if self._stop.is_set():
                    break
        return done

    def _rest(self, done: _Round) -> None:
        """Leave the destination alone for a while: a moment where it took something, longer each time where not."""
        delay = _SHORT_WAIT_S if done.stored else retry_delay_s(self._in_vain, self._settings)
        self._in_vain = 0 if done.stored else self._in_vain + 1
        self._rests_until = self._clock() + timedelta(seconds=delay)
        log.warning(
            "destination %s: %s; %d objects wait, next try in %.0f s",
            self._settings.name,
            done.why_not,
            len(done.not_tried),
            delay,
        )

    def _settle(self, record: DeliveryRecord, outcome: StoreOutcome) -> None:
        name, uid, identifier = self._settings.name, record.result.sop_instance_uid, record.identifier
        attempts = record.attempts + 1
        if outcome.result is StoreResult.SENT:
            self._keep(lambda: self._delivered(record, outcome))
        elif outcome.result is StoreResult.PERMANENT:
            self._keep(lambda: self._deliveries.fail(identifier, outcome.reason))
            log.error("object %s: destination %s: %s", uid, name, outcome.reason)
        elif outcome.result is StoreResult.LOCAL_FAULT:
            again = self._clock() + timedelta(seconds=self._settings.first_retry_s)
            self._keep(lambda: self._deliveries.defer([identifier], outcome.reason, again))
            self._faults.report(outcome.reason, f"object {uid}: destination {name}: {outcome.reason}")
        elif attempts >= self._settings.maximum_attempts:
            reason = f"gave up after {attempts} attempts: {outcome.reason}"
            self._keep(lambda: self._deliveries.fail(identifier, reason))
            log.error("object %s: destination %s: %s", uid, name, reason)
        else:
            delay = retry_delay_s(record.attempts, self._settings)
            again = self._clock() + timedelta(seconds=delay)
            self._keep(lambda: self._deliveries.postpone(identifier, outcome.reason, again))
            log.warning("object %s: destination %s: %s; next try in %.0f s", uid, name, outcome.reason, delay)

    def _delivered(self, record: DeliveryRecord, outcome: StoreOutcome) -> None:
        if not self._deliveries.delivered(record.identifier, self._clock(), outcome.reason):
            log.error(
                "object %s: destination %s: it was sent while its delivery was stopped; it has to be withdrawn there",
                record.result.sop_instance_uid,
                self._settings.name,
            )

    def _keep(self, note: Callable[[], object]) -> None:
        """Write into the ledger, again and again while this machine cannot: what was sent is not sent twice."""
        while True:
            try:
                note()
                return
            except LOCAL_FAULTS as error:
                self._report(error)
                if self._stop.wait(_POLL_S):
                    raise

    def _report(self, error: Exception) -> None:
        self._faults.report(kind_of(error), f"destination {self._settings.name}: this machine: {_first_line(error)}")


def retry_delay_s(failures: int, settings: DestinationSettings) -> float:
    """Seconds to wait after so many earlier failures: doubles from the first to the longest delay."""
    return float(min(settings.longest_retry_s, settings.first_retry_s * 2.0 ** min(failures, 64)))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
