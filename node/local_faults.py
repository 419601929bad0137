"""Faults of this machine that last: one line of the log a minute for each kind, and an alert for as long as they do."""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError

from node.clock import Clock, utc_now
from node.codes import Alert
from node.errors import told
from node.failure import Fault, fault_of
from storage.alerts import Alerts
from storage.database_faults import words

log = logging.getLogger(__name__)

_EVERY = timedelta(minutes=1)
_CODES = frozenset(fault.code for fault in Fault)


class LocalFaults:
    """What one kind of work lacks; used by the thread that does it.

    Args:
        alerts: of the storage; None: the log alone says so.
        subject: of the alerts, which work it is.
        clock: the time of day.
    """

    def __init__(self, alerts: Alerts | None, subject: str, clock: Clock = utc_now) -> None:
        self._alerts, self._subject, self._clock = alerts, subject, clock
        self._said: dict[str, datetime] = {}
        self._unsaid: dict[str, int] = {}
        # Of what a process before has told nobody else knows that it has ended.
        self._open: set[Alert] = set(_CODES)

    def report(self, fault: Fault, message: str, kind: str = "") -> None:
        """Tell of a fault, unless one of its kind (as a rule: of its message) was told within the last minute."""
        now, kind = self._clock(), kind or message
        if kind in self._said and timedelta() <= now - self._said[kind] < _EVERY:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._said[kind] = now
        unsaid = self._unsaid.pop(kind, 0)
        log.warning("%s%s", message, f" (and {unsaid} times more in the last minute)" if unsaid else "")
        self._open.add(fault.code)
        if self._alerts is not None:
            self._alerts.raise_(fault.code, self._subject, message)

    def takes(self, error: BaseException, work: str) -> bool:
        """Tell of an error as what `work` lacks; False, and nothing is told, where it is not this machine's."""
        fault = fault_of(error)
        if fault is not None:
            said = words(error) if isinstance(error, DBAPIError | sqlite3.Error) else told(error)
            self.report(fault, f"{work}: this machine: {said}", _kind_of(error))
        return fault is not None

    def over(self) -> None:
        """The work was done: nothing lacks any more."""
        if self._alerts is not None:
            for code in self._open:
                self._alerts.clear(code, self._subject)
        self._open.clear()


def _kind_of(error: BaseException) -> str:
    """The kind of a fault, which others share: the class, and the number of the operating system."""
    return f"{type(error).__name__} {getattr(error, 'errno', None) or ''}".strip()
