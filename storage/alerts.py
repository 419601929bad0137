"""Conditions that an operator has to see: since when, how often, whether somebody has, and until when.

One is known by its code (`node.codes`) and its subject. While it is open, what raises it again counts it; one that
comes back within a day of its end is the same again, but has to be acknowledged anew. To raise or to clear one is never
why something else fails: where the database cannot be written, the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, and_, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from storage import database
from storage.alert_schema import SUBJECT_LENGTH, alert
from storage.errors import StorageError

log = logging.getLogger(__name__)

SAME_WITHIN = timedelta(days=1)
"""A condition that comes back so soon after its end has not ended for who looks after it."""
_TEXT = 2000
_IS_OPEN = alert.c.cleared_at.is_(None)
IS_UNSEEN = and_(_IS_OPEN, alert.c.acknowledged_at.is_(None))


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """A condition.

    Attributes:
        number: by which a person names it.
        code: one of `node.codes`, which says what it means and what to do.
        subject: what it is about: a UID, a destination, a path; empty where there is but one such thing.
        text: what was seen, when it was last raised; names no patient.
        since: when it was first raised.
        last: when it was last raised.
        times: how often it was raised.
        acknowledged_by: who has seen it; empty where nobody has.
        acknowledged_at: when that person said so.
        cleared_at: when the condition had ended; None while it lasts.
    """

    number: int
    code: str
    subject: str
    text: str
    since: datetime
    last: datetime
    times: int
    acknowledged_by: str
    acknowledged_at: datetime | None
    cleared_at: datetime | None


@dataclass(frozen=True, slots=True)
class AlertCount:
    """Of one code: conditions that are open, those of them that nobody has acknowledged, how often it was raised."""

    open: int
    unacknowledged: int
    total: int


def _now() -> datetime:
    return datetime.now(UTC)


class Alerts:
    """The alerts of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime] = _now) -> None:
        self._engine, self._clock = engine, clock

    def raise_(self, code: str, subject: str, text: str) -> None:
        """Say that a condition is there, or is there still.

        Args:
            code: of `node.codes`.
            subject: what it is about; of more than 255 characters the last.
            text: what was seen, with UIDs and without names of patients.
        """
        subject, text, now = subject[-SUBJECT_LENGTH:], text[:_TEXT], self._clock()
        try:
            is_new = database.transact(self._engine, lambda it: _raise(it, code, subject, text, now))
        except (SQLAlchemyError, StorageError) as error:
            log.error("alert %s of %s cannot be kept (%s): %s", code, subject or "the node", type(error).__name__, text)
            return
        if is_new:
            log.warning("alert %s%s: %s", code, f" of {subject}" if subject else "", text)

    def clear(self, code: str, subject: str) -> None:
        """Say that a condition has ended; nothing where it was not open. Cheap then: a look without a lock."""
        is_it = and_(_is(code, subject[-SUBJECT_LENGTH:]), _IS_OPEN)
        try:
            with self._engine.connect() as connection:
                if connection.execute(select(alert.c.identifier).where(is_it).limit(1)).first() is None:
                    return
            with database.writing(self._engine).begin() as connection:
                connection.execute(update(alert).where(is_it).values(cleared_at=self._clock()))
        except SQLAlchemyError as error:
            log.error("the end of alert %s of %s cannot be kept: %s", code, subject or "the node", type(error).__name__)
            return
        log.info("alert %s%s has ended", code, f" of {subject}" if subject else "")

    def open(self) -> tuple[AlertRecord, ...]:
        """Conditions that last, the newest first."""
        return self._records(select(alert).where(_IS_OPEN))

    def all(self, limit: int | None = None) -> tuple[AlertRecord, ...]:
        """The latest conditions, those that have ended as well, the newest first."""
        return self._records(select(alert).limit(limit))

    def last(self, code: str, subject: str) -> AlertRecord | None:
        """The latest of a code and subject, open or not."""
        query = select(alert).where(_is(code, subject[-SUBJECT_LENGTH:])).order_by(alert.c.opening.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else record(row)

    def acknowledge(self, number: int, by: str) -> AlertRecord:
        """Note who has seen a condition; who did so first stays. It is not told again while it lasts.

        Raises:
            StorageError: there is none of this number.
        """
        this = alert.c.identifier == number
        first = update(alert).where(this, alert.c.acknowledged_at.is_(None))
        with database.writing(self._engine).begin() as connection:
            connection.execute(first.values(acknowledged_by=by[:64], acknowledged_at=self._clock()))
            row = connection.execute(select(alert).where(this)).one_or_none()
        if row is None:
            raise StorageError(f"there is no alert {number}: `rectal-node alerts --all` lists them")
        return record(row)

    def counts(self) -> dict[str, AlertCount]:
        """Of each code that was ever raised."""
        with self._engine.connect() as connection:
            return counts(connection)

    def _records(self, query: Select[tuple[object, ...]]) -> tuple[AlertRecord, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(alert.c.identifier.desc())).all()
        return tuple(map(record, rows))


def counts(connection: Connection) -> dict[str, AlertCount]:
    """Of each code that was ever raised."""
    query = select(
        alert.c.code,
        func.count().filter(_IS_OPEN).label("open"),
        func.count().filter(IS_UNSEEN).label("unacknowledged"),
        func.sum(alert.c.times).label("total"),
    ).group_by(alert.c.code)
    rows = connection.execute(query.order_by(alert.c.code)).all()
    return {row.code: AlertCount(row.open, row.unacknowledged, int(row.total)) for row in rows}


def record(row: Row[tuple[object, ...]]) -> AlertRecord:
    """The alert in a row that has its columns."""
    return AlertRecord(
        number=row.identifier,
        code=row.code,
        subject=row.subject,
        text=row.text,
        since=row.since,
        last=row.last,
        times=row.times,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        cleared_at=row.cleared_at,
    )


def _raise(connection: Connection, code: str, subject: str, text: str, now: datetime) -> bool:
    """Count the open one, open the last one anew, or open one; whether it was not open before."""
    query = select(alert).where(_is(code, subject)).order_by(alert.c.opening.desc()).limit(1)
    last = connection.execute(query.with_for_update()).first()
    if last is None or (last.cleared_at is not None and abs(now - last.cleared_at) > SAME_WITHIN):
        values = {"code": code, "subject": subject, "opening": 1 if last is None else last.opening + 1, "text": text}
        connection.execute(insert(alert).values(since=now, last=now, times=1, acknowledged_by="", **values))
        return True
    again = update(alert).where(alert.c.identifier == last.identifier)
    again = again.values(text=text, last=now, times=alert.c.times + 1)
    if last.cleared_at is not None:
        again = again.values(cleared_at=None, acknowledged_by="", acknowledged_at=None)
    connection.execute(again)
    return last.cleared_at is not None


def _is(code: str, subject: str) -> ColumnElement[bool]:
    return and_(alert.c.code == code, alert.c.subject == subject)
