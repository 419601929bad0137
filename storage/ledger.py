"""What the node made and where it went: results, and one delivery row for each result and destination.

The end of an analysis writes rows with `conclude`; delivery takes what is `due` and reports how it ended. A stored
row is never sent as other bytes: a result that a later revision makes again under the same UID keeps the first file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Row, Select, insert, select, update

from storage import schema, transition
from storage.records import DeliveryRecord, DeliveryState, ResultRecord, StoredFile, StudyState


class Ledger:
    """Results and deliveries of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, results: Sequence[ResultRecord], destinations: Sequence[str], now: datetime) -> None:
        """Keep results and their deliveries (PENDING, due now) in one transaction; again changes nothing."""
        schema.transact(self._engine, lambda connection: _record(connection, results, destinations, now))

    def conclude(
        self,
        study_uid: str,
        revision: int,
        to: StudyState,
        reason: str,
        results: Sequence[ResultRecord],
        destinations: Sequence[str],
        now: datetime,
    ) -> bool:
        """End a study revision: its state, its results and their deliveries, in one transaction.

        Returns:
            False when a newer revision has begun: nothing was kept, and nothing of this one will be sent.

        Raises:
            TransitionError: the revision cannot end in that state.
        """

        def end(connection: Connection) -> bool:
            if not transition.move(connection, study_uid, revision, to, reason):
                return False
            _record(connection, results, destinations, now)
            return True

        return schema.transact(self._engine, end)

    def all_results(self, study_uid: str) -> tuple[ResultRecord, ...]:
        """The results of every revision, the earliest first, each in the order of recording."""
        table = schema.result
        query = (
            select(table).where(table.c.study_instance_uid == study_uid).order_by(table.c.revision, table.c.identifier)
        )
        with self._engine.connect() as connection:
            return tuple(_result(row) for row in connection.execute(query))

    def results(self, study_uid: str, revision: int | None = None) -> tuple[ResultRecord, ...]:
        """The results of a revision, or of the latest revision that has any, in the order of recording."""
        found = self.all_results(study_uid)
        if revision is None:
            revision = max((result.revision for result in found), default=0)
        return tuple(result for result in found if result.revision == revision)

    def deliveries(self, study_uid: str | None = None) -> tuple[DeliveryRecord, ...]:
        """Deliveries in every state, of one study or of all."""
        query = _deliveries().order_by(schema.delivery.c.identifier)
        if study_uid is not None:
            query = query.where(schema.result.c.study_instance_uid == study_uid)
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
        """The destination has it; `reason` holds its warning, if any. False when it was not PENDING."""
        return self._move(identifier, DeliveryState.DELIVERED, reason, now)

    def postpone(self, identifier: int, reason: str, next_attempt_at: datetime) -> bool:
        """A transient failure: again at `next_attempt_at`. False when it was not PENDING."""
        return self._move(identifier, DeliveryState.PENDING, reason, next_attempt_at)

    def defer(self, identifiers: Collection[int], reason: str, next_attempt_at: datetime) -> None:
        """Nothing was tried of these, for a reason that is not theirs: it costs no attempt. Leaves alone what ended."""
        table = schema.delivery
        with schema.writing(self._engine).begin() as connection:
            connection.execute(
                update(table)
                .where(table.c.identifier.in_(identifiers), table.c.state == DeliveryState.PENDING)
                .values(reason=reason, next_attempt_at=next_attempt_at)
            )

    def fail(self, identifier: int, reason: str) -> bool:
        """A permanent failure: it waits for a person. False when it was not PENDING."""
        return self._move(identifier, DeliveryState.FAILED, reason, None)

    def retry(self, identifier: int, now: datetime) -> bool:
        """A person asks for a FAILED delivery again, with a fresh count. False when it was not FAILED."""
        table = schema.delivery
        with schema.writing(self._engine).begin() as connection:
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
        with schema.writing(self._engine).begin() as connection:
            moved = connection.execute(
                update(table)
                .where(table.c.identifier == identifier, table.c.state == DeliveryState.PENDING)
                .values(**values)
            )
        return bool(moved.rowcount)

    def _fetch(self, query: Select[tuple[object, ...]]) -> tuple[DeliveryRecord, ...]:
        with self._engine.connect() as connection:
            return tuple(_delivery(row) for row in connection.execute(query))


def _record(
    connection: Connection, results: Sequence[ResultRecord], destinations: Sequence[str], now: datetime
) -> None:
    for result in results:
        identifier = _keep_result(connection, result)
        known = connection.scalars(
            select(schema.delivery.c.destination).where(schema.delivery.c.sop_instance_uid == result.sop_instance_uid)
        ).all()
        for destination in destinations:
            if destination not in known:
                connection.execute(
                    insert(schema.delivery).values(
                        result=identifier,
                        sop_instance_uid=result.sop_instance_uid,
                        destination=destination,
                        state=DeliveryState.PENDING,
                        attempts=0,
                        next_attempt_at=now,
                        reason="",
                    )
                )


def _keep_result(connection: Connection, result: ResultRecord) -> int:
    table = schema.result
    rows = connection.execute(
        select(table).where(table.c.sop_instance_uid == result.sop_instance_uid).order_by(table.c.identifier)
    ).all()
    for row in rows:
        if (row.study_instance_uid, row.revision) == (result.study_instance_uid, result.revision):
            return int(row.identifier)
    if rows:
        result = replace(result, file=_result(rows[0]).file)
    identifier = connection.scalar(
        insert(table)
        .values(
            study_instance_uid=result.study_instance_uid,
            revision=result.revision,
            role=result.role,
            sop_class_uid=result.sop_class_uid,
            sop_instance_uid=result.sop_instance_uid,
            series_instance_uid=result.series_instance_uid,
            path=result.file.path.as_posix(),
            digest=result.file.digest,
            size=result.file.size,
        )
        .returning(table.c.identifier)
    )
    assert identifier is not None
    return int(identifier)


def _deliveries() -> Select[tuple[object, ...]]:
    table = schema.delivery
    return select(
        table.c.identifier.label("delivery"),
        table.c.destination,
        table.c.state,
        table.c.attempts,
        table.c.next_attempt_at,
        table.c.reason,
        schema.result,
    ).join(schema.result, table.c.result == schema.result.c.identifier)


def _result(row: Row[tuple[object, ...]]) -> ResultRecord:
    return ResultRecord(
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        role=row.role,
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        series_instance_uid=row.series_instance_uid,
        file=StoredFile(Path(row.path), row.digest, row.size),
    )


def _delivery(row: Row[tuple[object, ...]]) -> DeliveryRecord:
    return DeliveryRecord(
        identifier=row.delivery,
        result=_result(row),
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
    )
