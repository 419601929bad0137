"""Stored objects read again and compared with what was stored, all of them within so many days, at a limited rate."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import closing
from datetime import timedelta

from node import damage
from node.clock import Clock, utc_now
from storage import reconciliation
from storage.damage import KeptObject
from storage.files import ObjectStore
from storage.index import Index
from storage.upkeep import Round, Upkeep, added
from storage.verification import fault_of

log = logging.getLogger(__name__)

NAME = "scrub"
_AT_ONCE = 100
_SAVED_EVERY_S = 5.0
_MARGIN = 1.25  # faster than has to be, for the time in which the node does not run
_MEGABYTE = 1e6


class Scrub:
    """Reads everything again and again; `look` does a part of it and is called again and again, in one thread."""

    def __init__(
        self,
        files: ObjectStore,
        index: Index,
        within: timedelta,
        most_mb_s: float,
        clock: Clock = utc_now,
        part_s: float = 45.0,
    ) -> None:
        """`within`: the time of a whole round; `part_s`: how long `look` reads before it returns."""
        self._files, self._index, self._clock = files, index, clock
        self._within, self._most, self._part_s = within, most_mb_s * _MEGABYTE, part_s
        self._upkeep = Upkeep(index.engine)
        self._stop = threading.Event()
        self._left = 0
        self._goes_on_at = 0.0

    def stop(self) -> None:
        """End after the object that is under way."""
        self._stop.set()

    def look(self) -> None:
        """Read on for some time, no faster than the round needs; where all was read in time, the next one is due."""
        now = self._clock()
        known = self._upkeep.read(NAME)
        if known is None or (not known.is_under_way and abs(now - known.begun_at) >= self._within):
            known = self._upkeep.begin(NAME, now)
        if not known.is_under_way or time.monotonic() < self._goes_on_at:
            return
        until = time.monotonic() + self._part_s
        with closing(self.round(known)) as sizes:
            for size in sizes:
                self._goes_on_at = time.monotonic() + size / self._rate(known)
                if self._goes_on_at > until or self._stop.wait(size / self._rate(known)):
                    return

    def round(self, begun: Round) -> Generator[int, None, None]:
        """Go through a round from where it is; gives the size of each object once it was read, in bytes."""
        position, found, saved = int(begun.position or 0), dict(begun.found), time.monotonic()
        if self._left <= 0:  # a look at every row
            self._left = reconciliation.bytes_after(self._index.engine, position)
        try:
            while part := reconciliation.objects_after(self._index.engine, position, _AT_ONCE):
                for it in part:
                    found = added(found, self._read(it))
                    position, self._left = it.identifier, self._left - it.file.size
                    if time.monotonic() > saved + _SAVED_EVERY_S:
                        self._upkeep.advance(NAME, str(position), found)
                        saved = time.monotonic()
                    yield it.file.size
        finally:
            self._upkeep.advance(NAME, str(position), found)
        self._upkeep.end(NAME, found, self._clock())
        self._left = 0
        told = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        log.log(logging.ERROR if found.get("damaged") else logging.INFO, "all objects were read again: %s", told)

    def _read(self, it: KeptObject) -> dict[str, int]:
        """Compare one object; numbers of what was read and found."""
        try:
            fault = fault_of(self._files, it.file, it.header.transfer_syntax_uid)
            if fault:
                fault = damage.set_aside(self._files, self._index, it, self._stop.wait)
        except OSError as error:
            log.warning("object %s: cannot be read now: %s", it.header.sop_instance_uid, error.strerror)
            return {"passed over": 1}
        return {"objects": 1, "bytes": it.file.size, "damaged": int(bool(fault))}

    def _rate(self, begun: Round) -> float:
        """Bytes a second that end the round in its time, up to the most that may be."""
        left_s = (begun.begun_at + self._within - self._clock()).total_seconds()
        return self._most if left_s <= 0 else min(self._most, max(1.0, _MARGIN * self._left / left_s))
