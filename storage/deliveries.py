"""Where results go: one row for each object and destination, and what became of it.

A row is made with the result (`enqueue`), and belongs from then on to delivery, which takes what is `due` and reports
how it ended. A revocation stops what is not sent and marks what was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Row, Select, and_, case, insert, not_, or_, select, update

from storage import database, schema
from storage.records import DeliveryRecord, DeliveryState, ResultRecord, Revocation, StoredFile

_NOT_SENT = (DeliveryState.PENDING, DeliveryState.FAILED)
_TAKEN_BACK = (DeliveryState.STOPPED, DeliveryState.REVOKED)


class Deliveries:
    """The deliveries of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def records(self, study_uid: str | None = None) -> tuple[DeliveryRecord, ...]:
        """Deliveries in every state, of one study or of all."""
        query = _deliveries().order_by(schema.delivery.c.identifier)
        if study_uid is not None:
            query = query.where(schema.results.c.study_instance_uid == study_uid)
        return self._fetch(query)

    def due(self, destination: str, now: datetime, limit: int = 500) -> tuple[DeliveryRecord, ...]:
        """PENDING deliveries whose time has come, in the order of recording; what has failed before comes last."""
        table = schema.delivery
        return self._fetch(
            _deliveries()
            .where(
                table.c.destination == destination,
                table.c.state == DeliveryState.PENDING,
                table.c.next_attempt_at <= now,
            )
            .order_by(table.c.attempts, table.c.identifier)
            .limit(limit)
        )

    def delivered(self, identifier: int, now: datetime, reason: str = "") -> bool:
        """The destination has it; `reason` holds its warning, if any. False when it was not PENDING.

        One that was stopped while it was under way becomes REVOKED and keeps the reason of that.
        """
        table = schema.delivery
        stopped = table.c.state == DeliveryState.STOPPED
        with database.writing(self._engine).begin() as connection:
            state = connection.scalar(
                update(table)
                .where(table.c.identifier == identifier, or_(table.c.state == DeliveryState.PENDING, stopped))
                .values(
                    state=case((stopped, DeliveryState.REVOKED.value), else_=DeliveryState.DELIVERED.value),
                    reason=case((stopped, table.c.reason), else_=reason),
                    attempts=table.c.attempts + 1,
                    next_attempt_at=now,
                )
                .returning(table.c.state)
            )
        return state == DeliveryState.DELIVERED

    def postpone(self, identifier: int, reason: str, next_attempt_at: datetime) -> bool:
        """A transient failure: again at `next_attempt_at`. False when it was not PENDING."""
        return self._move(identifier, DeliveryState.PENDING, reason, next_attempt_at)

    def defer(self, identifiers: Collection[int], reason: str, next_attempt_at: datetime) -> None:
        """Nothing was tried of these, for a reason that is not theirs: it costs no attempt. Leaves alone what ended."""
        table = schema.delivery
        with database.writing(self._engine).begin() as connection:
            connection.execute(
                update(table)
                .where(table.c.identifier.in_(identifiers), table.c.state == DeliveryState.PENDING)
                .values(reason=reason, next_attempt_at=next_attempt_at)
            )

    def fail(self, identifier: int, reason: str) -> bool:
        """A permanent failure: it waits for a person. False when it was not PENDING."""
        return self._move(identifier, DeliveryState.FAILED, reason, None)

    def is_pending(self, identifier: int) -> bool:
        """Whether it is still to be sent."""
        table = schema.delivery
        with self._engine.connect() as connection:
            state = connection.scalar(select(table.c.state).where(table.c.identifier == identifier))
        return state == DeliveryState.PENDING

    def retry(self, identifier: int, now: datetime) -> bool:
        """A person asks for a FAILED delivery again, with a fresh count. False when it was not FAILED."""
        table = schema.delivery
        with database.writing(self._engine).begin() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.identifier == identifier, table.c.state == DeliveryState.FAILED)
                .values(state=DeliveryState.PENDING, attempts=0, next_attempt_at=now)
            )
        return bool(moved.rowcount)

    def _move(self, identifier: int, to: DeliveryState, reason: str, at: datetime | None) -> bool:
        """One attempt was made and ended in `to`; every end of an attempt starts from PENDING."""
        table = schema.delivery
        values: dict[str, object] = {"state": to, "reason": reason, "attempts": table.c.attempts + 1}
        if at is not None:
            values["next_attempt_at"] = at
        with database.writing(self._engine).begin() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.identifier == identifier, table.c.state == DeliveryState.PENDING)
                .values(**values)
            )
        return bool(moved.rowcount)

    def _fetch(self, query: Select[tuple[object, ...]]) -> tuple[DeliveryRecord, ...]:
        with self._engine.connect() as connection:
            return tuple(_delivery(row) for row in connection.execute(query))


def revoke(connection: Connection, study_uid: str, revocation: Revocation) -> None:
    """Stop or mark the deliveries of a study that a revocation names, and put in order those that it does not."""
    table, results = schema.delivery, schema.result
    of_study = table.c.result.in_(select(results.c.identifier).where(results.c.study_instance_uid == study_uid))
    named = table.c.sop_instance_uid.in_(sorted(revocation.sop_instance_uids))
    moves = (
        (and_(named, table.c.state.in_(_NOT_SENT)), DeliveryState.STOPPED, revocation.reason),
        (and_(named, table.c.state == DeliveryState.DELIVERED), DeliveryState.REVOKED, revocation.reason),
        (and_(not_(named), table.c.state == DeliveryState.REVOKED), DeliveryState.DELIVERED, ""),
    )
    for which, to, reason in moves:
        connection.execute(update(table).where(of_study, which).values(state=to, reason=reason))


def enqueue(
    connection: Connection, result: int, sop_instance_uid: str, destinations: Sequence[str], now: datetime
) -> None:
    """Have a result sent to each destination (PENDING, due now) that does not have a row for it already."""
    table = schema.delivery
    known = connection.scalars(select(table.c.destination).where(table.c.sop_instance_uid == sop_instance_uid)).all()
    # What was taken back is made again: it may be gone there, and the same bytes do no harm where it is not.
    connection.execute(
        update(table)
        .where(table.c.sop_instance_uid == sop_instance_uid, table.c.state.in_(_TAKEN_BACK))
        .values(state=DeliveryState.PENDING, attempts=0, next_attempt_at=now, reason="")
    )
    for destination in destinations:
        if destination not in known:
            connection.execute(
                insert(table).values(
                    result=result,
                    sop_instance_uid=sop_instance_uid,
                    destination=destination,
                    state=DeliveryState.PENDING,
                    attempts=0,
                    next_attempt_at=now,
                    reason="",
                )
            )


def _deliveries() -> Select[tuple[object, ...]]:
    table = schema.delivery
    return select(
        table.c.identifier.label("delivery"),
        table.c.destination,
        table.c.state,
        table.c.attempts,
        table.c.next_attempt_at,
        table.c.reason,
        schema.results,
    ).join(schema.results, table.c.result == schema.results.c.identifier)


def result_record(row: Row[tuple[object, ...]]) -> ResultRecord:
    """The result in a row of its table."""
    return ResultRecord(
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        role=row.role,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        series_instance_uid=row.series_instance_uid,
        file=StoredFile(Path(row.path), row.digest, row.size),
        transfer_syntax_uid=row.transfer_syntax_uid,
    )


def _delivery(row: Row[tuple[object, ...]]) -> DeliveryRecord:
    return DeliveryRecord(
        identifier=row.delivery,
        result=result_record(row),
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
    )
