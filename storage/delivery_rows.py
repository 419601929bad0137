"""Rows of deliveries: made, revoked and read, within a transaction of the caller."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, insert, not_, select, update

from storage import schema
from storage.records import DeliveryRecord, DeliveryState, ResultRecord, Revocation

_NOT_SENT = (DeliveryState.QUEUED, DeliveryState.CLAIMED, DeliveryState.FAILED)
_PERHAPS_THERE = (DeliveryState.STORED, DeliveryState.COMMITTED, DeliveryState.UNKNOWN)
TAKEN_BACK = (DeliveryState.STOPPED, DeliveryState.REVOKED)
NOBODYS: dict[str, object] = {"owner": None, "leased_until": None}


def of_studies(connection: Connection, studies: Collection[str], state: DeliveryState) -> Iterator[DeliveryRecord]:
    """The deliveries of studies in a state, in the order of recording; within a transaction of the caller."""
    query = with_results().where(schema.results.c.study_instance_uid.in_(studies), schema.delivery.c.state == state)
    return map(delivery_record, connection.execute(query.order_by(schema.delivery.c.identifier)))


def counts(connection: Connection, which: ColumnElement[bool]) -> dict[str, dict[DeliveryState, int]]:
    """Count the deliveries of which something is so, by destination and state."""
    of_it = (schema.delivery.c.destination, schema.delivery.c.state)
    query = select(*of_it, func.count()).where(which).group_by(*of_it).order_by(*of_it)
    found: dict[str, dict[DeliveryState, int]] = {}
    for destination, state, count in connection.execute(query):
        found.setdefault(destination, {})[DeliveryState(state)] = count
    return found


def revoke(connection: Connection, study_uid: str, revocation: Revocation) -> None:
    """Withdraw the results of a study that a revocation names, and put in order those that it does not.

    Their deliveries are stopped or marked as it says.
    """
    table, results = schema.delivery, schema.result
    made = schema.dicom_object
    objects = select(made.c.identifier).where(made.c.sop_instance_uid.in_(sorted(revocation.sop_instance_uids)))
    why = case((results.c.object.in_(objects), revocation.reason), else_="")
    connection.execute(update(results).where(results.c.study_instance_uid == study_uid).values(withdrawn=why))
    of_study = table.c.result.in_(select(results.c.identifier).where(results.c.study_instance_uid == study_uid))
    named = table.c.sop_instance_uid.in_(sorted(revocation.sop_instance_uids))
    in_order = and_(not_(named), table.c.state == DeliveryState.REVOKED)
    # Of one that was revoked without an attempt nobody knew whether it is there.
    moves = (
        (and_(named, table.c.state.in_(_NOT_SENT)), DeliveryState.STOPPED, revocation.reason),
        (and_(named, table.c.state.in_(_PERHAPS_THERE)), DeliveryState.REVOKED, revocation.reason),
        (and_(in_order, table.c.attempts > 0), DeliveryState.STORED, ""),
        (and_(in_order, table.c.attempts == 0), DeliveryState.UNKNOWN, ""),
    )
    for which, to, reason in moves:
        connection.execute(update(table).where(of_study, which).values(state=to, reason=reason, **NOBODYS))


def doubt(connection: Connection, sop_instance_uids: Collection[str], reason: str) -> None:
    """Say of UNKNOWN deliveries of results why they are to be sent by nobody who does not name them."""
    table = schema.delivery
    doubtful = table.c.sop_instance_uid.in_(sop_instance_uids), table.c.state == DeliveryState.UNKNOWN
    connection.execute(update(table).where(*doubtful).values(reason=reason))


def enqueue(
    connection: Connection,
    results: Mapping[str, int],
    destinations: Sequence[str],
    now: datetime,
    state: DeliveryState = DeliveryState.QUEUED,
    wanted: Collection[tuple[str, str]] | None = None,
) -> None:
    """Have results sent to each destination (QUEUED, due now) that does not have a row for them already.

    Args:
        results: the identifier of each result by its SOP Instance UID.
        destinations: their names.
        now: when they are due.
        state: of the rows that are made; UNKNOWN where nobody knows whether it was sent before.
        wanted: of which destination which UID is; without it each gets all.
    """
    table = schema.delivery
    of_results = table.c.sop_instance_uid.in_(results)
    known = {
        tuple(row)
        for row in connection.execute(select(table.c.sop_instance_uid, table.c.destination).where(of_results))
    }
    # What was taken back is made again: it may be gone there, and the same bytes do no harm where it is not.
    connection.execute(
        update(table)
        .where(of_results, table.c.state.in_(TAKEN_BACK))
        .values(state=DeliveryState.QUEUED, attempts=0, commit_failed=0, next_attempt_at=now, reason="")
    )
    values = {"state": state, "attempts": 0, "next_attempt_at": now, "reason": ""}
    added = [
        {"result": identifier, "sop_instance_uid": uid, "destination": destination, **values}
        for uid, identifier in results.items()
        for destination in destinations
        if (uid, destination) not in known and (wanted is None or (destination, uid) in wanted)
    ]
    if added:
        connection.execute(insert(table), added)


def with_results() -> Select[tuple[object, ...]]:
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
        file=schema.stored_file(row),
        transfer_syntax_uid=row.transfer_syntax_uid,
    )


def delivery_record(row: Row[tuple[object, ...]]) -> DeliveryRecord:
    return DeliveryRecord(
        identifier=row.delivery,
        result=result_record(row),
        destination=row.destination,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
    )
