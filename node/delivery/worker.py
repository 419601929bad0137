"""Delivery to one destination: what is due is claimed, sent, and settled, in a thread of its own.

A destination that is down delays no other. Two waits double apart from one another: that of the destination
(`DestinationBackoff`) and that of an object, which counts only the attempts that were made of it. What was never
tried, and what this machine could not read, costs no attempt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from node.audit.recorder import Recorder
from node.clock import PARTING_S, Clock, utc_now
from node.delivery import dicom, dicomweb
from node.delivery.attempts import Attempt
from node.delivery.backoff import DestinationBackoff
from node.delivery.on_record import SentOnRecord
from node.delivery.queue import LEASE_S, Queue
from node.dicom.outcomes import StoreResult
from node.failure import FAULTS
from node.local_faults import LocalFaults
from node.settings import RemoteSettings
from node.settings.destinations import within
from storage.alerts import Alerts
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.records import DeliveryRecord
from storage.rests import Rest, Rests

log = logging.getLogger(__name__)

#: Before the storage is looked at again where nobody says that something is due: another process may have made it so.
_LOOK_S = 0.25
#: Before this machine is asked again for what it could not do.
_AGAIN_S = 1.0


@dataclass(slots=True)
class _Round:
    """One claim: what is left of it, and what came of the rest."""

    left: set[int]
    tried: int = 0
    stored: int = 0
    not_tried: int = 0
    why_not: str = ""
    at_an_object: bool = False
    failed_here: bool = False
    on_record: SentOnRecord = field(default_factory=SentOnRecord)


class DeliveryWorker:
    """Works one destination's queue off."""

    def __init__(
        self,
        settings: RemoteSettings,
        deliveries: Deliveries,
        files: ObjectStore,
        clock: Clock = utc_now,
        lease_s: float = LEASE_S,
        time_zone: str = "",
        alerts: Alerts | None = None,
    ) -> None:
        """`time_zone` is that of the delivery hours by its IANA name; empty: the machine's."""
        self._settings, self._clock = settings, clock
        self._work = f"destination {settings.name}"
        self._zone = ZoneInfo(time_zone) if time_zone else None
        self._files = files
        self._faults = LocalFaults(alerts, f"delivery to {settings.name}", clock)
        self._queue = Queue(settings, deliveries, self._faults, clock, files.root, lease_s)
        self._backoff = DestinationBackoff(settings, clock)
        self._rests, self._rested = Rests(deliveries.engine), True  # what a process before this one may have said
        self._stop = threading.Event()
        self._due = threading.Event()
        self._recorder = Recorder(deliveries.engine)
        self._thread = threading.Thread(target=self._run, name=f"delivery-{settings.name}", daemon=True)

    @property
    def stopping(self) -> bool:
        """Whether it has been told to stop."""
        return self._stop.is_set()

    def start(self) -> None:
        """Begin to work the queue off."""
        self._queue.open()
        self._end_rest()
        self._thread.start()

    def wake(self) -> None:
        """Look now: something has become due."""
        self._due.set()

    def stop(self) -> None:
        """End after the object that is under way, or in the middle of it where it takes long."""
        self._stop.set()
        self.wake()
        self._thread.join(timeout=min(PARTING_S, self._settings.timeout_s))
        self._recorder.close()
        if self._thread.is_alive():
            # What it has claimed is taken back by the next process, when this one has ended.
            log.warning("destination %s: stopped in the middle of an object", self._settings.name)
        else:
            self._queue.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                tried = self.deliver_due()
            except Exception as error:
                # The thread is the destination's only one: whatever goes wrong in one round must not end it.
                tried = 0
                if not self._faults.takes(error, self._work):
                    log.exception("destination %s: round failed", self._settings.name)
                    self._rest(_Round(set(), why_not="the round failed"))
            if not tried:
                self._due.wait(_LOOK_S)
                self._due.clear()

    def deliver_due(self) -> int:
        """Claim what is due and try it once, unless the destination rests; returns the number of objects tried."""
        if self._backoff.resting or not self._in_its_hours():
            return 0
        claimed = self._queue.claim()
        if not claimed:
            return 0
        done = _Round({record.identifier for record in claimed})
        try:
            with self._queue.leased():
                self._deliver(claimed, done)
        finally:
            self._recorder.add(*done.on_record.events(self._settings))
            self._keep(lambda: self._queue.release(done.left, done.why_not or None))
        if done.not_tried:
            self._rest(done)
        elif done.stored:
            self._backoff.reset()
            self._end_rest()
            if not done.failed_here:
                self._faults.over()
        return done.tried

    def _deliver(self, claimed: Sequence[DeliveryRecord], done: _Round) -> None:
        transport = dicomweb.send if self._settings.url else dicom.send
        with closing(transport(claimed, self._settings, self._files, self._is_wanted)) as groups:
            for attempts in groups:
                for attempt in attempts:
                    self._count(attempt, done)
                tried = [it for it in attempts if it.result is not StoreResult.NOT_TRIED]
                for settle in self._queue.settling(tried):
                    self._keep(settle)
                done.left.difference_update(it.record.identifier for it in tried)

    def _is_wanted(self, record: DeliveryRecord) -> bool:
        """Asked in the threads that send, when the turn of an object comes."""
        return not self._stop.is_set() and self._in_its_hours() and self._queue.still_claimed(record)

    def _in_its_hours(self) -> bool:
        return within(self._settings.delivery_hours, self._clock().astimezone(self._zone).time())

    def _count(self, attempt: Attempt, done: _Round) -> None:
        if attempt.result is StoreResult.NOT_TRIED:
            done.not_tried += 1
            done.why_not = attempt.reason
            return
        done.tried += 1
        done.on_record.count(attempt)
        done.stored += attempt.result is StoreResult.SENT
        done.at_an_object |= attempt.ended_connection
        done.failed_here |= attempt.result is StoreResult.LOCAL_FAULT

    def _rest(self, done: _Round) -> None:
        delay = self._backoff.rest(bool(done.stored), done.at_an_object)
        now = self._clock()
        until, in_vain = now + timedelta(seconds=delay), self._backoff.in_vain
        self._rests.keep(Rest(self._settings.name, now, until, in_vain, done.why_not))
        self._rested = True
        log.warning(
            "destination %s: %s; %d objects wait, next try in %.0f s",
            self._settings.name,
            done.why_not,
            done.not_tried,
            delay,
        )

    def _end_rest(self) -> None:
        if self._rested:
            self._rests.end(self._settings.name)
            self._rested = False

    def _keep(self, note: Callable[[], object]) -> None:
        """Write into the storage, again and again while this machine cannot: what was sent is not sent twice."""
        while True:
            try:
                note()
                return
            except FAULTS as error:
                if not self._faults.takes(error, self._work) or self._stop.wait(_AGAIN_S):
                    raise
