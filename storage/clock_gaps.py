"""Where the clock went on by more than time did: over a standstill of the node, or because it was set.

Nobody can tell the one from the other after a restart. What was received before either looks older than it may be, by
no more than the clock went on; retention takes that much off its age, so that nothing is removed early whatever the
clock said. A clock that was set back makes nothing look older.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, insert, or_, select, update

from storage import database
from storage.maintenance_schema import upkeep

NAME = "clock"
"""Of its row among those of upkeep: `begun_at` is when the clock was last seen, `found` has the gaps."""
LEAST = timedelta(hours=1)
"""That is told, and the most that may pass between two times that the clock is seen while something is received."""

_MOST = 200  # of a condition; a machine that is off every night has as many in half a year
_BEGIN = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Gap:
    """What was received up to `until`, by the clock as it was, looks older by up to `by` since then."""

    until: datetime
    by: timedelta


def see(engine: Engine, now: datetime) -> None:
    """Look at the clock, and keep where it has gone on; to be called every minute or so."""
    with database.writing(engine).begin() as connection:
        values = {"begun_at": now, "found": _written(gaps(connection, now))}
        if not connection.execute(update(upkeep).where(upkeep.c.name == NAME).values(values)).rowcount:
            connection.execute(insert(upkeep).values(name=NAME, position="", last_found="{}", rounds=0, **values))


def gaps(connection: Connection, now: datetime) -> tuple[Gap, ...]:
    """The gaps up to now, the latest first; within a transaction of the caller."""
    row = connection.execute(select(upkeep).where(upkeep.c.name == NAME)).one_or_none()
    if row is None:
        return ()
    found = [Gap(datetime.fromisoformat(until), timedelta(seconds=by)) for until, by in json.loads(row.found)]
    if now - row.begun_at >= LEAST:
        found.append(Gap(row.begun_at + LEAST, now - row.begun_at))
    found.sort(key=lambda gap: gap.until, reverse=True)
    while len(found) > _MOST:  # two that lie close become one, which takes off at least as much
        at = min(range(len(found) - 1), key=lambda place: _lost(*found[place : place + 2]))
        found[at : at + 2] = [Gap(found[at].until, found[at].by + found[at + 1].by)]
    return tuple(found)


def _lost(later: Gap, earlier: Gap) -> float:
    """What is taken off too much where two become one, and for how much time of receipt; s²."""
    return (later.until - earlier.until).total_seconds() * earlier.by.total_seconds()


def is_before(column: ColumnElement[Any], moment: datetime, known: Iterable[Gap]) -> ColumnElement[bool]:
    """Whether a time in a column was at `moment` or before, whatever the clock said when it was written.

    Args:
        column: times of receipt.
        moment: by the clock as it is.
        known: gaps, the latest first.
    """
    parts: list[ColumnElement[bool]] = []
    latest = moment
    for gap in known:
        parts.append(and_(column > gap.until, column <= latest))
        if moment - _BEGIN < gap.by:  # a clock that was ahead by centuries
            return or_(*parts)
        moment -= gap.by
        latest = min(moment, gap.until)
    return or_(*parts, column <= latest)


def _written(found: Iterable[Gap]) -> str:
    return json.dumps([(gap.until.isoformat(), gap.by.total_seconds()) for gap in found])
