"""Events on their way into the storage: taken at once, and kept by a thread, so that nobody waits who serves.

What comes again and again from the same place, as refusals do, is told of at once, and then once a minute with how
often. What cannot be kept is held until it can be; up to `MOST` events, and of more it is told how many there were.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
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

_AT_ONCE = 500
_AGAIN_S = 1.0
_LAST_S = 1.0


@dataclass(slots=True)
class _Again:
    """An event that may come again, since a moment, and what came of it since."""

    event: AuditEvent
    since: float
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
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def start(self) -> None:
        """Begin, for who counts threads before the first event."""
        with self._changed:
            self._begin()

    def add(self, *events: AuditEvent) -> None:
        """Keep events soon."""
        with self._changed:
            self._take(events)

    def add_recurring(self, event: AuditEvent) -> None:
        """Keep an event soon; where the same came within a minute, count it."""
        facts = event.facts
        key: Hashable = (
            event.action,
            event.succeeded,
            event.account,
            event.remote,
            event.address,
            event.study_instance_uid,
            event.subject,
            "" if event.succeeded else event.detail,
            (facts.service, facts.query),
        )
        with self._changed:
            if key not in self._again and self._is_flooded(event):
                key, event = event.action, _of_many(event)
            known = self._again.get(key)
            if known is not None:
                known.times += 1
                known.sop_classes.update(facts.sop_classes)
                return
            if len(self._again) < MOST:
                self._again[key] = _Again(event, self._clock())
            self._take([event])

    def _is_flooded(self, event: AuditEvent) -> bool:
        """Whether as many are being refused as are told apart."""
        refused = AuditAction.REFUSED
        return event.action is refused and sum(it.event.action is refused for it in self._again.values()) >= PLACES

    def close(self) -> None:
        """Keep what is left, as far as that goes at once."""
        with self._changed:
            self._take(self._over(None))
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(_LAST_S)

    def _take(self, events: list[AuditEvent] | tuple[AuditEvent, ...]) -> None:
        room = max(MOST - len(self._waiting), 0)
        self._waiting.extend(events[:room])
        self._left_out += len(events[room:])
        if self._waiting or self._again:
            self._begin()
        self._changed.notify_all()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()

    def _over(self, limit: float | None) -> list[AuditEvent]:
        """What came again in the minutes that are over; None: in all."""
        over = dict(takewhile(lambda it: limit is None or it[1].since <= limit, self._again.items()))
        for key in over:
            del self._again[key]
        return [self._with_count(it) for it in over.values() if it.times]

    def _with_count(self, again: _Again) -> AuditEvent:
        facts = replace(again.event.facts, times=again.times, sop_classes=dict(again.sop_classes))
        said = f"{again.event.detail}: " if again.event.detail else ""
        return replace(again.event, at=self._now(), facts=facts, detail=f"{said}{again.times} more within a minute")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._take_over()
                if not self._waiting and not self._closing:
                    self._changed.wait(self._pause())
                    self._take_over()
                events, is_last = self._waiting[:_AT_ONCE], self._closing
            kept = self._keep(events) if events else 0
            with self._changed:
                del self._waiting[:kept]
                left = len(self._waiting)
            if is_last and (not left or not kept):
                if left:
                    log.error("audit: %d events are lost with this process", left)
                return
            if events and not kept:
                time.sleep(_AGAIN_S)

    def _take_over(self) -> None:
        self._waiting.extend(self._over(self._clock() - EVERY_S))

    def _pause(self) -> float | None:
        first = next(iter(self._again.values()), None)
        return None if first is None else max(first.since + EVERY_S - self._clock(), 0.05)

    def _keep(self, events: list[AuditEvent]) -> int:
        """Keep events; how many of them are done with, none where the database takes nothing now."""
        lost = self._left_out
        try:
            self._audit.add_all([*events, *([_of_lost(lost, self._now)] if lost else [])])
        except (SQLAlchemyError, StorageError, OSError, ValueError, TypeError) as error:
            if self._faults.takes(error, "audit"):
                return 0
            return self._without_one(events, error)
        with self._changed:
            self._left_out -= lost
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


def _of_many(event: AuditEvent) -> AuditEvent:
    """The same from many places, none of which is named."""
    said = Facts(service=event.facts.service)
    return AuditEvent(event.at, event.action, event.succeeded, detail="from many places", facts=said)


def _of_lost(count: int, now: Clock) -> AuditEvent:
    why = f"{count} events could not be kept: the database took none, and memory has a bound"
    return AuditEvent(now(), AuditAction.REFUSED, False, subject="audit", detail=why)
