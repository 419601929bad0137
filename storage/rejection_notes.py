"""Results that destinations have and that were taken back, and the notes that tell the destinations so, once each.

A note is a result of the study like others: it is kept with its deliveries, sent as they are, and offered to queries.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, insert, select

from storage import delivery_rows, ledger
from storage.delivery_rows import result_record
from storage.records import DELIVERED, REJECTION_NOTE, DeliveryState, ResultRecord
from storage.removal_schema import rejection_note
from storage.schema import delivery, results


@dataclass(frozen=True, slots=True)
class Revoked:
    """Results of one revision of a study that a destination has and that were taken back; `reason` says why."""

    study_instance_uid: str
    revision: int
    destination: str
    reason: str
    deliveries: tuple[int, ...]
    results: tuple[ResultRecord, ...]


def to_tell(connection: Connection, destinations: Collection[str]) -> list[Revoked]:
    """What these destinations have acknowledged, and were not told of since it was taken back."""
    query = (
        select(delivery.c.identifier.label("delivery"), delivery.c.destination, delivery.c.reason, results)
        .join(results, delivery.c.result == results.c.identifier)
        .where(
            delivery.c.state == DeliveryState.REVOKED,
            delivery.c.destination.in_(sorted(destinations)),
            # Of one that was revoked without an attempt nobody knows whether it is there.
            delivery.c.attempts > 0,
            results.c.role != REJECTION_NOTE,
            ~exists().where(rejection_note.c.delivery == delivery.c.identifier),
        )
        .order_by(delivery.c.identifier)
    )
    found: dict[tuple[str, int, str, str], list[tuple[int, ResultRecord]]] = {}
    for row in connection.execute(query):
        key = row.study_instance_uid, row.revision, row.destination, row.reason
        found.setdefault(key, []).append((row.delivery, result_record(row)))
    return [Revoked(*key, *zip(*of_key, strict=True)) for key, of_key in found.items()]


def known(connection: Connection, sop_instance_uid: str) -> ResultRecord | None:
    """The note of a SOP Instance UID, if it was made before."""
    row = connection.execute(select(results).where(results.c.sop_instance_uid == sop_instance_uid).limit(1)).first()
    return None if row is None else result_record(row)


def keep(connection: Connection, note: ResultRecord, told: Revoked, now: datetime) -> None:
    """Keep a note, have it sent to the destination, and write down of what it tells."""
    (identifier,) = ledger.keep_results(connection, [note])
    delivery_rows.enqueue(connection, {note.sop_instance_uid: identifier}, [told.destination], now)
    connection.execute(insert(rejection_note), [{"delivery": each, "note": identifier} for each in told.deliveries])


def is_rejected_there() -> ColumnElement[bool]:
    """Of a delivery: its destination has the note that rejects the object."""
    of_note = delivery.alias()
    return exists().where(
        rejection_note.c.delivery == delivery.c.identifier,
        of_note.c.result == rejection_note.c.note,
        of_note.c.destination == delivery.c.destination,
        of_note.c.state.in_(sorted(DELIVERED)),
    )


def told_of(connection: Connection, of_deliveries: Sequence[int]) -> frozenset[int]:
    """Those of these deliveries whose destination has the note."""
    query = select(delivery.c.identifier).where(delivery.c.identifier.in_(of_deliveries), is_rejected_there())
    return frozenset(connection.scalars(query))
