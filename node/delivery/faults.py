"""Faults that last, in a log that stays readable."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from node.clock import Clock
from node.dicom import outcomes

log = logging.getLogger(__name__)

#: What this machine may be short of for a while, its database with it.
LOCAL_FAULTS = (*outcomes.LOCAL_FAULTS, OperationalError, NoConnectionFree)
_EVERY = timedelta(minutes=1)


class FaultLog:
    """Says each kind of fault at once, then once a minute how often it came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, datetime] = {}
        self._unsaid: dict[str, int] = {}

    def report(self, kind: str, message: str) -> None:
        """Log `message`, unless its kind was logged within the last minute."""
        now = self._clock()
        if kind in self._said and timedelta() <= now - self._said[kind] < _EVERY:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._said[kind] = now
        unsaid = self._unsaid.pop(kind, 0)
        log.warning("%s%s", message, f" (and {unsaid} times more in the last minute)" if unsaid else "")


def kind_of(error: Exception) -> str:
    """The kind of a fault, which others share: the class, and the number of the operating system."""
    return f"{type(error).__name__} {getattr(error, 'errno', None) or ''}".strip()
