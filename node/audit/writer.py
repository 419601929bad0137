"""Events of the storage on their way to files and collector, in the order in which they became durable.

Every process of a node could do it, and of each place one does: that which holds its lock of the root, which ends with
its process. What a place does not take stays in the storage, under an alert, and is tried again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit import syslog
from node.audit.chain_file import ChainFile, taken
from node.audit.participants import Reporter
from node.audit.targets import FileTarget, SyslogTarget, Target
from node.codes import Alert
from node.errors import told
from node.local_faults import LocalFaults
from node.settings import Settings
from storage.alerts import Alerts
from storage.audit import Audit
from storage.audit_chain import AuditChain
from storage.errors import StorageError

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
_LAST_LINES_S, _LAST_S = 0.5, 0.8


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
        if self._failed and self.target.settled:
            self._failed, self._retry_s = False, _FIRST_RETRY_S
            self._alerts.clear(Alert.AUDIT_NOT_WRITTEN, self.target.name)
        return count

    def _refused(self, why: str) -> None:
        self._failed = True
        self._not_before = time.monotonic() + self._retry_s
        log.warning("audit: %s takes no events: %s; next try in %.0f s", self.target.name, why, self._retry_s)
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
        self._alerts.raise_(Alert.AUDIT_NOT_WRITTEN, self.target.name, why)


class _Writing:
    """One place, in a thread of its own, as long as no other process writes to it."""

    def __init__(self, root: Path, engine: Engine, target: Target, alerts: Alerts) -> None:
        self._audit, self._target = Audit(engine), target
        self._path, self._lock = root / f"audit-{target.name}.lock", -1
        self._faults = LocalFaults(alerts, f"the audit to its place ({target.name})")
        self._attempts = _Attempts(target, alerts)
        self._stop, self._until = threading.Event(), 0.0
        self._thread = threading.Thread(target=self._run, name=f"audit-{target.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell_to_stop(self, until: float) -> None:
        self._until = until
        self._stop.set()

    def stopped(self, by: float) -> bool:
        """Whether it uses the database no more, whatever its place does."""
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, by - time.monotonic()))
        if not self._thread.is_alive():
            return True
        if not self._target.turn.acquire(timeout=max(0.0, by - time.monotonic())):
            log.error("audit: %s: the database is still used", self._target.name)
            return False
        # Its thread waits for the turn for ever, and ends with the process.
        log.warning("audit: %s does not answer: it gets what is not confirmed after the next start", self._target.name)
        self._release()
        return True

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._look():
                    self._stop.wait(_LOOK_S)
            while self._look() and time.monotonic() < self._until:
                pass
        finally:
            self._target.close()
            with self._target.turn:
                self._release()

    def _look(self) -> int:
        """Write some; how many events that were."""
        try:
            with self._target.turn:
                count = self._attempts.look(self._audit) if self._is_the_one() else 0
                self._faults.over()
        except (SQLAlchemyError, StorageError, OSError) as error:
            with self._target.turn:
                if not self._faults.takes(error, "the audit"):
                    log.error("audit: events are not written, trying again: %s", told(error))
            self._stop.wait(_FIRST_RETRY_S)
            return 0
        return count

    def _is_the_one(self) -> bool:
        if self._lock < 0:
            self._lock = taken(self._path)
        return self._lock >= 0

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class AuditWriter:
    """Writes the events of a root, each place in a thread of its own, so that none waits for another."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        alerts = Alerts(engine)
        self._writing = [_Writing(settings.root, engine, it, alerts) for it in targets(settings, engine, alerts)]

    def start(self) -> None:
        """Begin to write."""
        for each in self._writing:
            each.start()

    def stop(self) -> bool:
        """Write what is left, as far as that goes at once, and end.

        Returns:
            whether the database is used no more: it may be closed.
        """
        now = time.monotonic()
        for each in self._writing:
            each.tell_to_stop(now + _LAST_LINES_S)
        return all([each.stopped(now + _LAST_S) for each in self._writing])


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
