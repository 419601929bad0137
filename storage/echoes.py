"""How remotes have answered when they were asked whether they do; of each the latest stay on record."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select

from storage import database
from storage.monitoring_schema import echo

KEPT = 200
"""Answers of one remote that stay on record, beside the last that was one."""


@dataclass(frozen=True, slots=True)
class Echo:
    """An answer, or that there was none.

    Attributes:
        remote: its name.
        asked_by: the account that wanted to know; empty: the schedule.
        answers: whether it did.
        reason: why not.
        took_ms: until the answer, or until there was none.
    """

    remote: str
    asked_at: datetime
    asked_by: str
    answers: bool
    reason: str
    took_ms: float


class Echoes:
    """The answers of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, said: Echo) -> None:
        """Keep an answer; those of long ago are forgotten, but not the last at which the remote was there."""
        of_it = echo.c.remote == said.remote
        with database.writing(self._engine).begin() as connection:
            connection.execute(insert(echo).values(asdict(said)))
            oldest = select(echo.c.identifier).where(of_it).order_by(echo.c.identifier.desc()).offset(KEPT - 1).limit(1)
            last = connection.scalar(select(func.max(echo.c.identifier)).where(of_it, echo.c.answers)) or 0
            if (first := connection.scalar(oldest)) is not None:
                connection.execute(delete(echo).where(of_it, echo.c.identifier < first, echo.c.identifier != last))

    def latest(self, remote: str, limit: int) -> tuple[Echo, ...]:
        """So many answers of a remote, the latest first."""
        with self._engine.connect() as connection:
            return latest(connection, remote, limit)


def latest(connection: Connection, remote: str, limit: int) -> tuple[Echo, ...]:
    """So many answers of a remote, the latest first; within a transaction of the caller."""
    query = select(echo).where(echo.c.remote == remote).order_by(echo.c.identifier.desc()).limit(limit)
    return tuple(map(_record, connection.execute(query)))


def last_success(connection: Connection, remote: str) -> Echo | None:
    """The last time that a remote was there."""
    query = select(echo).where(echo.c.remote == remote, echo.c.answers).order_by(echo.c.identifier.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _record(row)


def _record(row: Row[tuple[object, ...]]) -> Echo:
    return Echo(row.remote, row.asked_at, row.asked_by, row.answers, row.reason, row.took_ms)
