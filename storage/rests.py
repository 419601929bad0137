"""Destinations that are left alone for a while after a failure, so that others than their worker can see it.

To keep one is never why a delivery fails: where the database cannot be written, the log says so.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from storage import database
from storage.monitoring_schema import destination_rest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rest:
    """A destination that rests.

    Attributes:
        until: when it is tried again.
        in_vain: rounds in a row that have stored nothing there.
        reason: what the last one ended with.
    """

    destination: str
    since: datetime
    until: datetime
    in_vain: int
    reason: str


class Rests:
    """The rests of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, rest: Rest) -> None:
        """A destination rests, in place of what was said of it before."""
        self._write(rest.destination, rest)

    def end(self, destination: str) -> None:
        """It rests no more."""
        self._write(destination, None)

    def _write(self, destination: str, rest: Rest | None) -> None:
        try:
            with database.writing(self._engine).begin() as connection:
                connection.execute(delete(destination_rest).where(destination_rest.c.destination == destination))
                if rest is not None:
                    connection.execute(insert(destination_rest).values(asdict(rest)))
        except SQLAlchemyError as error:
            log.error("destination %s: that it rests, or not, cannot be kept: %s", destination, type(error).__name__)


def rests(connection: Connection) -> dict[str, Rest]:
    """What was said of each destination last, by its name; within a transaction of the caller."""
    rows = connection.execute(select(destination_rest))
    return {it.destination: Rest(it.destination, it.since, it.until, it.in_vain, it.reason) for it in rows}
