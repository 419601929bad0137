"""The queue of one destination: deliveries claimed with a lease, and the verdict on each attempt.

Any number of processes may work the same queue off: each claims other rows. A claim is extended while its owner
lives; one whose owner died is taken again when its lease has run out, or at the next start on its root (`presence`).
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from node.clock import Clock
from node.delivery.attempts import Attempt
from node.delivery.presence import Presence, gone
from node.dicom.outcomes import StoreResult
from node.failure import FAULTS, Fault, fault_of
from node.local_faults import LocalFaults
from node.settings import RemoteSettings
from storage.deliveries import Deliveries
from storage.records import DeliveryRecord

log = logging.getLogger(__name__)

#: Of a claim, in s: long beside the stalls of a busy machine, short beside the patience after a crash.
LEASE_S = 30.0
#: Deliveries of one claim: the results of a study, few enough to leave something for other processes.
CLAIMED_AT_ONCE = 500


class Queue:
    """The deliveries to one destination, as one process works them off."""

    def __init__(
        self,
        settings: RemoteSettings,
        deliveries: Deliveries,
        faults: LocalFaults,
        clock: Clock,
        root: Path,
        lease_s: float = LEASE_S,
    ) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._faults = faults
        self._clock = clock
        self._lease = timedelta(seconds=lease_s)
        self._longest = max(self._lease, timedelta(seconds=settings.longest_retry_s))
        self._root = root
        self._presence = Presence(root)
        self._owner = self._presence.name

    def open(self) -> None:
        """Take back what processes of this root had claimed that were killed, and be known as one that lives."""
        self._presence.begin()
        for owner in gone(self._root):
            if count := self._deliveries.take_back(owner, self._clock()):
                log.warning("%d deliveries of a process that has ended are taken back", count)

    def close(self) -> None:
        """Nothing is claimed by this process any more."""
        self._presence.end()

    def claim(self) -> tuple[DeliveryRecord, ...]:
        """Deliveries that are due, claimed for this process; what has failed before comes last."""
        now, name = self._clock(), self._settings.name
        if not self._deliveries.is_due(name, now, self._longest):  # looks without the lock that writers need
            return ()
        until = now + self._lease
        return self._deliveries.claim(name, self._owner, now, until, CLAIMED_AT_ONCE, self._longest)

    @contextmanager
    def leased(self) -> Iterator[None]:
        """A context in which the leases of this process are extended.

        Raises:
            OSError: this machine has no thread left.
        """
        over = threading.Event()
        thread = threading.Thread(
            target=self._extend, args=(over,), name=f"delivery-lease-{self._settings.name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from error
        try:
            yield
        finally:
            over.set()
            thread.join()

    def still_claimed(self, record: DeliveryRecord) -> bool:
        """Whether it is still to be sent, and by this process."""
        return self._deliveries.is_claimed(record.identifier, self._owner)

    def release(self, identifiers: Collection[int], reason: str | None = None) -> None:
        """Give claimed deliveries back that were not tried, which costs no attempt; they are due at once."""
        self._deliveries.release(identifiers, self._owner, self._clock(), reason)

    def settling(self, attempts: Sequence[Attempt]) -> Iterator[Callable[[], None]]:
        """What is to be done to record what came of attempts: delivered, failed, or again later; each of it at once.

        All that was stored is recorded in one transaction.
        """
        stored = [attempt for attempt in attempts if attempt.result is StoreResult.SENT]
        if stored:
            yield partial(self._stored, stored)
        yield from (partial(self._settle, attempt) for attempt in attempts if attempt.result is not StoreResult.SENT)

    def _settle(self, attempt: Attempt) -> None:
        if attempt.result is StoreResult.PERMANENT:
            self._fail(attempt)
        elif attempt.result is StoreResult.LOCAL_FAULT:
            self._put_off(attempt)
        elif attempt.record.attempts + 1 >= self._settings.maximum_attempts:
            self._fail(attempt, f"gave up after {attempt.record.attempts + 1} attempts: ")
        else:
            self._postpone(attempt)

    def _stored(self, attempts: Sequence[Attempt]) -> None:
        reasons, now = {attempt.record.identifier: attempt.reason for attempt in attempts}, self._clock()
        asks = self._settings.commitment
        commit_at = now + timedelta(seconds=self._settings.commitment_after_s) if asks else None
        kept = self._deliveries.stored(reasons, now, commit_at)
        for attempt in attempts:
            if attempt.record.identifier not in kept:
                log.error(
                    "%s: it was sent while its delivery was stopped; it has to be withdrawn there", self._named(attempt)
                )

    def _fail(self, attempt: Attempt, why: str = "") -> None:
        self._deliveries.fail(attempt.record.identifier, self._owner, why + _kept_reason(attempt))
        log.error("%s: %s%s", self._named(attempt), why, attempt.reason)

    def _put_off(self, attempt: Attempt) -> None:
        """Of an object that this machine could not read nothing is known: it costs no attempt."""
        again = self._clock() + timedelta(seconds=self._settings.first_retry_s)
        self._deliveries.release([attempt.record.identifier], self._owner, again, attempt.reason)
        self._faults.report(
            attempt.fault or Fault.UNREADABLE, f"{self._named(attempt)}: {attempt.reason}", kind=attempt.reason
        )

    def _postpone(self, attempt: Attempt) -> None:
        delay = self._settings.retry_delay_s(attempt.record.attempts)
        again = self._clock() + timedelta(seconds=delay)
        self._deliveries.postpone(attempt.record.identifier, self._owner, _kept_reason(attempt), again)
        log.warning("%s: %s; next try in %.0f s", self._named(attempt), attempt.reason, delay)

    def _named(self, attempt: Attempt) -> str:
        return f"object {attempt.record.result.sop_instance_uid}: destination {self._settings.name}"

    def _extend(self, over: threading.Event) -> None:
        while not over.wait(self._lease.total_seconds() / 3):
            try:
                self._deliveries.extend(self._settings.name, self._owner, self._clock() + self._lease)
            except FAULTS as error:
                if fault_of(error) is None:
                    raise
                log.warning("destination %s: leases not extended, trying again: %s", self._settings.name, error)


def _kept_reason(attempt: Attempt) -> str:
    """The reason that stays with the delivery.

    Of thousands that wait for a destination it names the one at which the connection ended: a person has to find it.
    """
    if attempt.ended_connection:
        return f"object {attempt.record.result.sop_instance_uid}: {attempt.reason}"
    return attempt.reason
