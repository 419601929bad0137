"""Events on their way into the storage: taken at once, and kept by a thread, so that nobody waits who serves.

What comes again and again from the same place, as refusals do, is told of at once, and then once a minute with how
often. What cannot be kept is held until it can be; up to `MOST` events, and of more it is told how many there were.
Who adds a batch that memory has no room for waits while the database takes what was there before. After the end of
the thread who adds an event writes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.clock import Clock, utc_now
from node.errors import told
from node.local_faults import LocalFaults
from storage.alerts import Alerts
from storage.audit import Audit, AuditAction, AuditEvent, Facts
from storage.errors import StorageError

log = logging.getLogger(__name__)

MOST = 10_000
EVERY_S = 60.0
PLACES = 64
"""From which refusals are told apart, within a minute; those of further ones are told of together: who is not let in
can write from many places, and no more than that."""
KINDS = 1000
"""Of what one caller asks for and gets, as by queries, so many are told apart within a minute; of more it is told
together."""

_AT_ONCE = 500
_AGAIN_S = 1.0
_LAST_S = 1.0
_ROOM_S = 5.0


@dataclass(slots=True)
class _Again:
    """An event that may come again, since a moment, and what came of it since; `group` is told apart up to a bound."""

    event: AuditEvent
    since: float
    group: Hashable
    times: int = 0
    sop_classes: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Keeps the events of one part of a process; its thread begins with the first of them, or by `start`."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic, now: Clock = utc_now) -> None:
        self._audit, self._clock, self._now = Audit(engine), clock, now
        self._faults = LocalFaults(Alerts(engine), "audit")
        self._waiting: list[AuditEvent] = []
        self._left_out = 0
        self._again: dict[Hashable, _Again] = {}  # the order is that of `since`
        self._apart: Counter[Hashable] = Counter()  # how many of `_again` each group has
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._in_vain = False  # the database has taken nothing when it was last tried
        self._closing = self._ended = False

    def start(self) -> None:
        """Begin, for who counts threads before the first event."""
        with self._changed:
            self._begin()

    def add(self, *events: AuditEvent) -> None:
        """Keep events soon; after `close` at once, in the thread of who adds them."""
        left = list(events)
        with self._changed:
            while left and not self._ended:
                portion = left[: min(_AT_ONCE, MOST)]
                if len(events) > len(portion):
                    self._wait_for_room(len(portion))
                if not self._ended:
                    self._take(portion)
                    del left[: len(portion)]
        self._keep_now(left)

    def add_recurring(self, event: AuditEvent) -> None:
        """Keep an event soon; where the same came within a minute, count it."""
        with self._changed:
            if not self._ended:
                self._count_or_take(event)
                return
        self._keep_now([event])

    def _count_or_take(self, event: AuditEvent) -> None:
        key, group = _kind(event), _group(event)
        if key not in self._again and self._apart[group] >= (PLACES if event.action is AuditAction.REFUSED else KINDS):
            key, event = ("together", group), _of_many(event)
        known = self._again.get(key)
        if known is not None:
            known.times += 1
            known.sop_classes.update(event.facts.sop_classes)
            return
        if len(self._again) < MOST:
            self._again[key] = _Again(event, self._clock(), group)
            self._apart[group] += 1
        self._take([event])

    def close(self) -> None:
        """Keep what is left, as far as that goes at once."""
        with self._changed:
            self._take(self._over(None))
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
            self._ended = thread is None
        if thread is not None:
            thread.join(_LAST_S)
            if thread.is_alive():
                log.error("audit: %d events are not kept at the stop, and may be lost", len(self._waiting))

    def _take(self, events: Sequence[AuditEvent]) -> None:
        """The one way into memory, which has a bound."""
        room = max(MOST - len(self._waiting), 0)
        self._waiting.extend(events[:room])
        self._left_out += len(events[room:])
        if self._waiting or self._again:
            self._begin()
        self._changed.notify_all()

    def _wait_for_room(self, count: int) -> None:
        """As long as the thread makes room, and no longer: a batch is no reason to leave events out."""
        self._changed.wait_for(
            lambda: self._ended or self._in_vain or len(self._waiting) + count <= MOST, timeout=_ROOM_S
        )

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()

    def _over(self, limit: float | None) -> list[AuditEvent]:
        """What came again in the minutes that are over; None: in all."""
        over = dict(takewhile(lambda it: limit is None or it[1].since <= limit, self._again.items()))
        for key, again in over.items():
            del self._again[key]
            self._apart[again.group] -= 1
            if not self._apart[again.group]:
                del self._apart[again.group]
        return [self._with_count(it) for it in over.values() if it.times]

    def _with_count(self, again: _Again) -> AuditEvent:
        """How often an event came again. To whose study stands in the first event alone: that can be erased before
        this one is kept."""
        first = again.event
        facts = replace(first.facts, times=again.times, sop_classes=dict(again.sop_classes), query="")
        said = f"{first.detail}: " if first.detail else ""
        names = first.study_instance_uid or first.patient_id or first.facts.query
        reference = f", as at {first.at.isoformat(timespec='milliseconds')}" if names else ""
        detail = f"{said}{again.times} more within a minute{reference}"
        return replace(first, at=self._now(), study_instance_uid="", patient_id="", facts=facts, detail=detail)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._take_over()
                if not self._waiting and not self._closing:
                    self._changed.wait(self._pause())
                    self._take_over()
                events, is_last, lost = self._waiting[:_AT_ONCE], self._closing, self._left_out
                if is_last and not events and not lost:
                    self._end()
                    return
            kept = self._keep(events) if events or lost else 0
            with self._changed:
                del self._waiting[:kept]
                self._changed.notify_all()
                if is_last and not kept:
                    self._end()
                    return
            if events and not kept:
                time.sleep(_AGAIN_S)

    def _end(self) -> None:
        """Within the lock in which it was seen that nothing waits: who adds from here on writes."""
        if lost := len(self._waiting) + self._left_out:
            log.error("audit: %d events are lost with this process", lost)
        self._waiting.clear()
        self._ended = True
        self._changed.notify_all()

    def _take_over(self) -> None:
        if over := self._over(None if self._closing else self._clock() - EVERY_S):
            self._take(over)

    def _pause(self) -> float | None:
        first = next(iter(self._again.values()), None)
        return None if first is None else max(first.since + EVERY_S - self._clock(), 0.05)

    def _keep_now(self, events: list[AuditEvent]) -> None:
        while events:
            kept = self._keep(events[:_AT_ONCE])
            if not kept:
                log.error("audit: %d events are lost: they came after the stop", len(events))
                return
            del events[:kept]

    def _keep(self, events: list[AuditEvent]) -> int:
        """Keep events; how many of them are done with, none where the database takes nothing now."""
        with self._changed:
            lost, self._left_out = self._left_out, 0
        try:
            self._audit.add_all([*events, *([_of_lost(lost, self._now)] if lost else [])])
        except (SQLAlchemyError, StorageError, OSError, ValueError, TypeError) as error:
            is_fault = self._faults.takes(error, "audit")
            with self._changed:
                self._left_out += lost
                self._in_vain = is_fault
                self._changed.notify_all()
            return 0 if is_fault or not events else self._without_one(events, error)
        with self._changed:
            self._in_vain = False
        self._faults.over()
        return len(events)

    def _without_one(self, events: list[AuditEvent], error: Exception) -> int:
        """Of events that cannot be kept together, the first alone; one that never can be must not stop the others."""
        if len(events) > 1:
            return self._keep(events[:1])
        log.error("audit: an event (%s) cannot be kept: %s", events[0].action, told(error))
        with self._changed:
            self._left_out += 1
        return 1


def _kind(event: AuditEvent) -> Hashable:
    """What is the same of an event that comes again."""
    facts = event.facts
    return (
        *(event.action, event.succeeded, event.account, event.remote, event.address),
        *(event.study_instance_uid, event.subject, "" if event.succeeded else event.detail),
        *(facts.service, facts.query),
    )


def _group(event: AuditEvent) -> Hashable:
    """Of which only so many are told apart: refusals, from wherever; what else one caller does."""
    if event.action is AuditAction.REFUSED:
        return event.action
    return event.action, event.account, event.remote, event.address


def _of_many(event: AuditEvent) -> AuditEvent:
    """The same from many places, none of which is named; or what one caller has asked for beside."""
    said = Facts(service=event.facts.service)
    if event.action is AuditAction.REFUSED:
        return AuditEvent(event.at, event.action, event.succeeded, detail="from many places", facts=said)
    why = f"more than {KINDS} that differ, within a minute"
    return replace(event, study_instance_uid="", patient_id="", subject="", detail=why, facts=said)


def _of_lost(count: int, now: Clock) -> AuditEvent:
    why = f"{count} events could not be kept: the database took them too late, or not at all, and memory has a bound"
    return AuditEvent(now(), AuditAction.REFUSED, False, subject="audit", detail=why)
