"""What waits, counted: studies for more images or their analysis, results for destinations, and what was asked for.

Each function is one statement within a transaction of the caller. `oldest` is since when the first of them waits.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from storage import delivery_rows
from storage.known_answer import DESTINATION, of_check
from storage.records import DeliveryState, QuarantineState, ReportState, StudyState
from storage.retrievals import RetrievalState
from storage.schema import IS_OPEN, IS_UNCOMMITTED, commitment_request, delivery, quarantine, result, retrieval, study


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many things, and since when the first of them waits; None where there is none."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class WaitingResults:
    """Results that a destination is to get.

    `oldest`: when the last image came of the first study of them. `next_attempt_at`: when the first of them that have
    failed are tried again; None where none has. `reason`: what the last of them has failed with.
    """

    count: int
    oldest: datetime | None
    failed_before: int
    next_attempt_at: datetime | None
    reason: str


def studies(connection: Connection, running: Collection[str] = ()) -> dict[StudyState, Waiting]:
    """Studies that receive images or are queued, by state, since their last image; not those that are `running`."""
    query = (
        select(study.c.state, func.count(), func.min(study.c.last_received_at))
        .where(
            study.c.state.in_((StudyState.RECEIVING, StudyState.QUEUED)),
            study.c.study_instance_uid.not_in(running),
            ~of_check(study.c.study_instance_uid),
        )
        .group_by(study.c.state)
    )
    return {StudyState(state): Waiting(count, oldest) for state, count, oldest in connection.execute(query)}


def arrivals(connection: Connection, uids: Collection[str]) -> dict[str, datetime]:
    """When the last image came of each of these studies; not of those of the known-answer check."""
    query = select(study.c.study_instance_uid, study.c.last_received_at).where(
        study.c.study_instance_uid.in_(uids), ~of_check(study.c.study_instance_uid)
    )
    return {uid: moment for uid, moment in connection.execute(query)}


def deliveries(connection: Connection) -> dict[str, dict[DeliveryState, int]]:
    """All deliveries, by destination and state."""
    return delivery_rows.counts(connection, delivery.c.destination != DESTINATION)


def results(connection: Connection) -> dict[str, WaitingResults]:
    """Results that are still to be sent, by destination."""
    has_failed = delivery.c.attempts > 0
    groups = (
        select(
            delivery.c.destination,
            func.count().label("results"),
            func.min(study.c.last_received_at).label("oldest"),
            func.count().filter(has_failed).label("failed_before"),
            func.min(delivery.c.next_attempt_at).filter(has_failed).label("next_attempt_at"),
            func.max(delivery.c.identifier).filter(delivery.c.reason != "").label("last"),
        )
        .join(result, delivery.c.result == result.c.identifier)
        .join(study, result.c.study_instance_uid == study.c.study_instance_uid)
        .where(IS_OPEN, delivery.c.destination != DESTINATION)
        .group_by(delivery.c.destination)
        .subquery()
    )
    query = select(groups, delivery.c.reason).outerjoin(delivery, delivery.c.identifier == groups.c.last)
    return {
        row.destination: WaitingResults(
            row.results, row.oldest, row.failed_before, row.next_attempt_at, row.reason or ""
        )
        for row in connection.execute(query)
    }


def uncommitted(connection: Connection) -> dict[str, Waiting]:
    """What destinations have stored and are to commit, by destination, since it was stored."""
    return _by_name(connection, delivery.c.destination, delivery.c.next_attempt_at, IS_UNCOMMITTED)


def retrievals(connection: Connection) -> dict[str, Waiting]:
    """Studies that are to be fetched, by remote, since they were asked for."""
    return _by_name(connection, retrieval.c.remote, retrieval.c.asked_at, retrieval.c.state == RetrievalState.QUEUED)


def reports(connection: Connection) -> dict[str, Waiting]:
    """Reports of commitment that are to be given, by the one that asked, since then."""
    waits = commitment_request.c.state == ReportState.QUEUED
    return _by_name(connection, commitment_request.c.asker, commitment_request.c.received_at, waits)


def quarantined(connection: Connection) -> Waiting:
    """Files that are held in quarantine, since they came."""
    query = select(func.count(), func.min(quarantine.c.received_at)).where(quarantine.c.state == QuarantineState.HELD)
    count, oldest = connection.execute(query).one()
    return Waiting(count, oldest)


def _by_name(
    connection: Connection, name: ColumnElement[str], since: ColumnElement[datetime], waits: ColumnElement[bool]
) -> dict[str, Waiting]:
    query = select(name, func.count(), func.min(since)).where(waits).group_by(name).order_by(name)
    return {of: Waiting(count, oldest) for of, count, oldest in connection.execute(query)}
