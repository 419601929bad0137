"""How far a way through everything that is kept has come, so that it goes on after a restart; and what it found."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, insert, select, update

from storage import clock_gaps, database
from storage.maintenance_schema import upkeep

Found = Mapping[str, int]
"""Numbers by what they count."""


@dataclass(frozen=True, slots=True)
class Round:
    """A way through everything.

    Attributes:
        name: which one.
        position: how far the present one has come, in its own terms; empty at its beginning and after its end.
        begun_at: when the present one was begun, or the last where none is under way.
        found: what the present one has found so far.
        ended_at: when the last whole one ended; None before.
        last_found: what that found.
        rounds: whole ones so far.
    """

    name: str
    position: str
    begun_at: datetime
    found: Found = field(default_factory=dict)
    ended_at: datetime | None = None
    last_found: Found = field(default_factory=dict)
    rounds: int = 0

    @property
    def is_under_way(self) -> bool:
        """Whether one was begun and has not ended."""
        return self.ended_at is None or self.ended_at < self.begun_at


class Upkeep:
    """The rounds of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, name: str) -> Round | None:
        """A round, if it was ever begun."""
        with self._engine.connect() as connection:
            row = connection.execute(select(upkeep).where(upkeep.c.name == name)).one_or_none()
        return None if row is None else _round(row)

    def begin(self, name: str, now: datetime) -> Round:
        """Begin a round from its start."""
        known = self.read(name)
        values: dict[str, object] = {"position": "", "begun_at": now, "found": "{}"}
        with database.writing(self._engine).begin() as connection:
            if known is None:
                connection.execute(insert(upkeep).values(name=name, last_found="{}", rounds=0, **values))
            else:
                connection.execute(update(upkeep).where(upkeep.c.name == name).values(**values))
        return Round(name, "", now) if known is None else _continued(known, now)

    def advance(self, name: str, position: str, found: Found) -> None:
        """The present round has come so far, and found this much."""
        values = {"position": position, "found": json.dumps(dict(found))}
        with database.writing(self._engine).begin() as connection:
            connection.execute(update(upkeep).where(upkeep.c.name == name).values(**values))

    def end(self, name: str, found: Found, now: datetime) -> None:
        """The present round is whole."""
        values = {"position": "", "found": "{}", "ended_at": now, "last_found": json.dumps(dict(found))}
        with database.writing(self._engine).begin() as connection:
            connection.execute(update(upkeep).where(upkeep.c.name == name).values(rounds=upkeep.c.rounds + 1, **values))


def rounds(connection: Connection) -> tuple[Round, ...]:
    """All rounds, by name; within a transaction of the caller."""
    of_all = select(upkeep).where(upkeep.c.name != clock_gaps.NAME).order_by(upkeep.c.name)
    return tuple(map(_round, connection.execute(of_all)))


def added(found: Found, more: Found) -> dict[str, int]:
    """The sum of two findings."""
    return dict(Counter(found) + Counter(more))


def _continued(known: Round, now: datetime) -> Round:
    return Round(known.name, "", now, {}, known.ended_at, known.last_found, known.rounds)


def _round(row: Row[tuple[object, ...]]) -> Round:
    return Round(
        name=row.name,
        position=row.position,
        begun_at=row.begun_at,
        found=json.loads(row.found),
        ended_at=row.ended_at,
        last_found=json.loads(row.last_found),
        rounds=row.rounds,
    )
