"""What the storage keeps of what happened to a study, in the order of time; and what is wrong with its series.

Each kind of entry is bounded, so that a study of a year of attempts is shown as fast as another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, func, select

from storage.alert_schema import alert
from storage.catalogue_schema import fault
from storage.maintenance_schema import damage
from storage.removal_schema import hold, removal
from storage.schema import (
    commitment,
    commitment_delivery,
    delivery,
    dicom_object,
    meant_patient,
    rejection,
    result,
    retrieval,
    step_attempt,
)

MOST_OF_A_KIND = 200


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Something that happened; `subject` is what it was about, such as a series or a destination."""

    at: datetime
    what: str
    subject: str
    count: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SeriesFault:
    """Why objects of a series are not whole, or not wholly known, and of how many that is so."""

    series_instance_uid: str
    reason: str
    objects: int


def entries(connection: Connection, study_uid: str) -> tuple[LogEntry, ...]:
    """What happened to a study, the first first."""
    found = [entry for kind in _KINDS for entry in kind(connection, study_uid)]
    return tuple(sorted(found, key=lambda entry: entry.at))


def series_faults(connection: Connection, study_uid: str) -> tuple[SeriesFault, ...]:
    """What is wrong with objects of a study: files that are not what was stored, headers that are not understood."""
    table, found = dicom_object, []
    for of_object, reason in ((damage.c.object, damage.c.reason), (fault.c.object, fault.c.reason)):
        query = (
            select(table.c.series_instance_uid, reason, func.count())
            .join_from(table, of_object.table, of_object == table.c.identifier)
            .where(table.c.study_instance_uid == study_uid)
            .group_by(table.c.series_instance_uid, reason)
            .limit(MOST_OF_A_KIND)
        )
        found += [SeriesFault(series, why, count) for series, why, count in connection.execute(query)]
    return tuple(found)


def _each(
    connection: Connection, query: Select[tuple[object, ...]], entry: Callable[[Row[tuple[object, ...]]], LogEntry]
) -> Iterator[LogEntry]:
    for row in connection.execute(query.limit(MOST_OF_A_KIND)):
        yield entry(row)


def _arrivals(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    table = dicom_object
    last = func.max(table.c.received_at).label("last")
    query = (
        select(table.c.series_instance_uid, table.c.calling_ae, func.count().label("objects"), last)
        .where(table.c.study_instance_uid == study_uid, table.c.received_at.is_not(None))
        .group_by(table.c.series_instance_uid, table.c.calling_ae)
        .order_by(last.desc())
    )
    yield from _each(
        connection,
        query,
        lambda row: LogEntry(row.last, "received", row.series_instance_uid, row.objects, row.calling_ae),
    )


def _deliveries(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    """Those that were attempted, together where they ended alike."""
    table, last = delivery, func.max(delivery.c.next_attempt_at).label("last")
    alike = (table.c.destination, table.c.state, table.c.attempts, table.c.reason)
    query = (
        select(*alike, func.count().label("objects"), last)
        .join(result, table.c.result == result.c.identifier)
        .where(result.c.study_instance_uid == study_uid, table.c.attempts > 0)
        .group_by(*alike)
        .order_by(last.desc())
    )
    yield from _each(
        connection,
        query,
        lambda row: LogEntry(row.last, f"delivery {row.state}", row.destination, row.objects, row.reason),
    )


def _commitments(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    table, of_delivery = commitment, commitment_delivery
    query = (
        select(table.c.asked_at, table.c.destination, table.c.state, table.c.reason, func.count().label("objects"))
        .join(of_delivery, of_delivery.c.commitment == table.c.identifier)
        .join(delivery, of_delivery.c.delivery == delivery.c.identifier)
        .join(result, delivery.c.result == result.c.identifier)
        .where(result.c.study_instance_uid == study_uid)
        .group_by(table.c.identifier, table.c.asked_at, table.c.destination, table.c.state, table.c.reason)
        .order_by(table.c.identifier.desc())
    )
    yield from _each(
        connection,
        query,
        lambda row: LogEntry(row.asked_at, f"commitment {row.state}", row.destination, row.objects, row.reason),
    )


def _retrievals(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    table = retrieval
    query = select(table).where(table.c.study_instance_uid == study_uid).order_by(table.c.identifier.desc())
    yield from _each(
        connection,
        query,
        lambda row: LogEntry(
            row.last_attempt_at or row.asked_at, f"retrieval {row.state}", row.remote, row.here, row.reason
        ),
    )


def _steps(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    table = step_attempt
    query = select(table).where(table.c.study_instance_uid == study_uid).order_by(table.c.identifier.desc())
    yield from _each(connection, query, lambda row: LogEntry(row.begun_at, "step begun", row.step, row.revision))


def _alerts(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    query = select(alert).where(alert.c.subject == study_uid).order_by(alert.c.identifier.desc())
    yield from _each(connection, query, lambda row: LogEntry(row.since, "alert", row.code, row.times, row.text))


def _rejections(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    table, last = rejection, func.max(rejection.c.received_at).label("last")
    query = (
        select(table.c.note_sop_instance_uid, table.c.title, func.count().label("objects"), last)
        .where(table.c.study_instance_uid == study_uid)
        .group_by(table.c.note_sop_instance_uid, table.c.title)
    )
    yield from _each(
        connection, query, lambda row: LogEntry(row.last, "rejected", row.note_sop_instance_uid, row.objects, row.title)
    )


def _holds(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    for row in connection.execute(select(hold).where(hold.c.study_instance_uid == study_uid).limit(MOST_OF_A_KIND)):
        yield LogEntry(row.held_at, "held", row.held_by, 0, row.reason)
        if row.released_at is not None:
            yield LogEntry(row.released_at, "hold released", row.released_by, 0, row.released_because)


def _removals(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    query = select(removal).where(removal.c.study_instance_uid == study_uid).order_by(removal.c.identifier.desc())
    yield from _each(connection, query, lambda row: LogEntry(row.begun_at, "removed", row.scope, row.objects, row.rule))


def _patients(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    query = select(meant_patient).where(meant_patient.c.study_instance_uid == study_uid)
    yield from _each(connection, query, lambda row: LogEntry(row.said_at, "patient said", ""))


def _damages(connection: Connection, study_uid: str) -> Iterator[LogEntry]:
    query = (
        select(damage.c.found_at, damage.c.reason, dicom_object.c.sop_instance_uid)
        .join(dicom_object, damage.c.object == dicom_object.c.identifier)
        .where(dicom_object.c.study_instance_uid == study_uid)
        .order_by(damage.c.object.desc())
    )
    yield from _each(
        connection, query, lambda row: LogEntry(row.found_at, "damaged", row.sop_instance_uid, 1, row.reason)
    )


_KINDS = (
    _arrivals,
    _deliveries,
    _commitments,
    _retrievals,
    _steps,
    _alerts,
    _rejections,
    _holds,
    _removals,
    _patients,
    _damages,
)
