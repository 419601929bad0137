"""Events of the storage on their way to files and collector, in the order in which they became durable.

Every process of a node could do it, and one does: that which holds a lock of the root, which ends with its process.
What a place does not take stays in the storage, under an alert, and is tried again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit import syslog
from node.audit.chain_file import ChainFile, taken
from node.audit.message import message
from node.audit.participants import Reporter
from node.audit.syslog import Collector
from node.codes import Alert
from node.errors import told
from node.local_faults import LocalFaults
from node.settings import Settings
from storage.alerts import Alerts
from storage.audit import Audit, AuditAction, AuditEvent
from storage.audit_chain import TARGET, AuditChain, Position
from storage.errors import StorageError

log = logging.getLogger(__name__)

FILE: Final = TARGET
SYSLOG: Final = "syslog"
_LOCK = "audit.lock"
_LOOK_S = 0.5
_AT_ONCE = 200
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
_LAST_S = 0.8

Numbered = tuple[int, AuditEvent]


class Target(Protocol):
    """A place that events go to."""

    name: str

    def look(self, audit: Audit) -> int:
        """Write some of what is not there yet; how many events that were.

        Raises:
            OSError: it takes none.
        """

    def close(self) -> None:
        """End it."""


class FileTarget:
    """The chained files."""

    name = FILE

    def __init__(
        self, files: ChainFile, record: AuditChain, reporter: Reporter, damaged: Callable[[str], None]
    ) -> None:
        self._files, self._record, self._reporter, self._damaged = files, record, reporter, damaged

    def look(self, audit: Audit) -> int:
        """As of `Target`; lines are known to the database before they are written."""
        last = self._files.last or self._found()
        events = audit.after(last.event, _AT_ONCE)
        if events:
            lines = self._files.lines([(number, written(number, it, self._reporter)) for number, it in events])
            self._record.begin(last, [(it.event, it.digest) for it in lines])
            self._record.keep(self._files.add(lines))
        return len(events)

    def close(self) -> None:
        """Let another process write to them."""
        self._files.close()

    def _found(self) -> Position:
        state = self._record.state()
        found = self._files.find(state)
        if found.fault:
            self._damaged(found.fault)
        if found.last != state.position or state.begun or state.is_put_back:
            self._record.keep(found.last, found.resumed)
        return found.last


class SyslogTarget:
    """The collector."""

    name = SYSLOG

    def __init__(self, collector: Collector, reporter: Reporter) -> None:
        self._collector, self._reporter = collector, reporter
        self._sent: Position | None = None  # which the collector has if its connection still stands

    def look(self, audit: Audit) -> int:
        """As of `Target`."""
        if self._sent is not None:
            sent, self._sent = self._sent, None
            if self._collector.stands():
                audit.keep_position(SYSLOG, sent)
        events = audit.after(audit.position(SYSLOG).event, _AT_ONCE)
        if events:
            host = self._reporter.host
            self._collector.send(
                [syslog.syslog_message(it, host, written(number, it, self._reporter)) for number, it in events]
            )
            self._sent = Position(events[-1][0])
        return len(events)

    def close(self) -> None:
        """Say goodbye."""
        self._collector.close()


class _Attempts:
    """How it goes with one target."""

    def __init__(self, target: Target, alerts: Alerts) -> None:
        self.target, self._alerts = target, alerts
        self._failed = True  # as far as one knows of a process before this
        self._retry_s, self._not_before = _FIRST_RETRY_S, 0.0

    def look(self, audit: Audit) -> int:
        """Write what is due, unless it has just been refused."""
        if time.monotonic() < self._not_before:
            return 0
        try:
            count = self.target.look(audit)
        except (SQLAlchemyError, StorageError):
            raise
        except Exception as error:
            # Whatever goes wrong with one place must end neither the thread nor the others.
            if not isinstance(error, OSError):
                log.exception("audit: a fault of the node")
            self._refused(told(error))
            return 0
        if self._failed:
            self._failed, self._retry_s = False, _FIRST_RETRY_S
            self._alerts.clear(Alert.AUDIT_NOT_WRITTEN, self.target.name)
        return count

    def _refused(self, why: str) -> None:
        self._failed = True
        self._not_before = time.monotonic() + self._retry_s
        log.warning("audit: %s takes no events: %s; next try in %.0f s", self.target.name, why, self._retry_s)
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
        self._alerts.raise_(Alert.AUDIT_NOT_WRITTEN, self.target.name, why)


class AuditWriter:
    """Writes the events of a root, in a thread of its own, as long as no other process does."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._audit, alerts = Audit(engine), Alerts(engine)
        self._root, self._lock = settings.root, -1
        self._faults = LocalFaults(alerts, "the audit to its places")
        self._attempts = [_Attempts(it, alerts) for it in targets(settings, engine, alerts)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, as far as that goes at once, and end."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_LAST_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._look():
                    self._stop.wait(_LOOK_S)
            while self._look():
                pass
        finally:
            for each in self._attempts:
                each.target.close()
            if self._lock >= 0:
                os.close(self._lock)

    def _look(self) -> int:
        """Write some; how many events that were, with all places taken together."""
        try:
            count = sum([each.look(self._audit) for each in self._attempts]) if self._is_the_one() else 0
        except (SQLAlchemyError, StorageError, OSError) as error:
            if not self._faults.takes(error, "the audit"):
                log.error("audit: events are not written, trying again: %s", told(error))
            self._stop.wait(_FIRST_RETRY_S)
            return 0
        self._faults.over()
        return count

    def _is_the_one(self) -> bool:
        if self._lock < 0:
            self._lock = taken(self._root / _LOCK)
        return self._lock >= 0


def written(number: int, event: AuditEvent, reporter: Reporter) -> str:
    """The message of an event, or one that says of which event it cannot be made: the others must not wait for it."""
    try:
        return message(event, reporter)
    except Exception as error:
        log.exception("audit: event %d has no message", number)
        said = f"event {number} of the database cannot be told as a message ({type(error).__name__})"
        return message(AuditEvent(event.at, AuditAction.ORDERED, False, detail=said), reporter)


def targets(settings: Settings, engine: Engine, alerts: Alerts) -> Sequence[Target]:
    """Where events go, as the settings say."""
    reporter, found = reporter_of(settings), list[Target]()
    if settings.audit.file:
        files = ChainFile(settings.audit_folder, int(settings.audit.rotate_mb * 1e6))

        def damaged(why: str) -> None:
            log.error("audit: %s", why)
            alerts.raise_(Alert.AUDIT_DAMAGED, "", why)

        found.append(FileTarget(files, AuditChain(engine), reporter, damaged))
    if settings.audit.syslog is not None:
        found.append(SyslogTarget(syslog.collector_of(settings.audit.syslog), reporter))
    return found


def reporter_of(settings: Settings) -> Reporter:
    """Who reports."""
    return Reporter(settings.listener.ae_title, socket.gethostname(), settings.audit.site)
