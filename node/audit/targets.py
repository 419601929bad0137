"""Places that events go to: the chained files, and a collector.

Each has a turn, a lock that its thread holds but while it waits for somebody else: who has it may close the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from node.audit import syslog
from node.audit.chain_file import ChainFile
from node.audit.message import message
from node.audit.participants import Reporter
from node.audit.syslog import Collector, CollectorError
from storage.audit import Audit, AuditAction, AuditEvent
from storage.audit_chain import TARGET, AuditChain, Position

log = logging.getLogger(__name__)

FILE: Final = TARGET
SYSLOG: Final = "syslog"
_AT_ONCE = 200
_MOST_UNDRAINED = 5  # times that events are sent before this machine is rid of those before
_PATIENCE = 3  # in time limits of the collector


class Target(Protocol):
    """A place that events go to.

    Attributes:
        name: what it is called in the database.
        turn: held by whoever looks.
        settled: whether it is known to take what it is given.
    """

    name: str
    turn: threading.Lock

    @property
    def settled(self) -> bool:
        """As above."""

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
    settled = True

    def __init__(
        self, files: ChainFile, record: AuditChain, reporter: Reporter, damaged: Callable[[str], None]
    ) -> None:
        self._files, self._record, self._reporter, self._damaged = files, record, reporter, damaged
        self.turn = threading.Lock()

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
    """The collector. What it has not confirmed, as far as it can, is sent again on its next connection."""

    name = SYSLOG

    def __init__(self, collector: Collector, reporter: Reporter) -> None:
        self._collector, self._reporter = collector, reporter
        self.turn = threading.Lock()
        self._sent: deque[tuple[int, float]] = deque()  # the last event of each time, and when that was
        self._undrained, self._undrained_since = 0, 0.0
        self._has_confirmed = False

    @property
    def settled(self) -> bool:
        """As of `Target`."""
        return self._has_confirmed or not self._sent

    def look(self, audit: Audit) -> int:
        """As of `Target`."""
        self._confirm(audit)
        if self._undrained >= _MOST_UNDRAINED:
            return 0
        last = self._sent[-1][0] if self._sent else audit.position(SYSLOG).event
        events = audit.after(last, _AT_ONCE)
        if events:
            self._send(events)
        return len(events)

    def close(self) -> None:
        """Say goodbye."""
        self._collector.close()

    def _send(self, events: tuple[tuple[int, AuditEvent], ...]) -> None:
        host = self._reporter.host
        told = [syslog.syslog_message(it, host, written(number, it, self._reporter)) for number, it in events]
        with _apart(self.turn):
            self._collector.send(told)
        now = time.monotonic()
        self._sent.append((events[-1][0], now))
        self._undrained_since = self._undrained_since if self._undrained else now
        self._undrained += 1

    def _confirm(self, audit: Audit) -> None:
        """Keep how far events are there, by a connection that still stands some time after them."""
        if not self._collector.stands():
            in_vain = self._sent and not self._has_confirmed
            self._sent.clear()
            self._undrained, self._has_confirmed = 0, False
            if in_vain:  # a new connection at once would fare no better
                raise CollectorError(0, "the connection to the collector has ended before it took anything")
            return
        now, there = time.monotonic(), 0
        if self._collector.is_drained():
            self._undrained = 0
            while self._sent and self._sent[0][1] <= now - self._collector.settles_s:
                there, _ = self._sent.popleft()
        elif self._undrained and now - self._undrained_since > _PATIENCE * self._collector.timeout_s:
            self._collector.close()
            raise CollectorError(
                0, f"the collector has not taken what was sent for {now - self._undrained_since:.0f} s"
            )
        if there:
            audit.keep_position(SYSLOG, Position(there))
            self._has_confirmed = True


@contextmanager
def _apart(turn: threading.Lock) -> Iterator[None]:
    """Without the turn, which is waited for afterwards."""
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


def written(number: int, event: AuditEvent, reporter: Reporter) -> str:
    """The message of an event, or one that says of which event it cannot be made: the others must not wait for it."""
    try:
        return message(event, reporter)
    except Exception as error:
        log.exception("audit: event %d has no message", number)
        said = f"event {number} of the database cannot be told as a message ({type(error).__name__})"
        return message(AuditEvent(event.at, AuditAction.ORDERED, False, detail=said), reporter)
