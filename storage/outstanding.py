"""What waits for a person, counted by what it is about; within a transaction of the caller.

Of each the latest reason is told, which is that of all others more often than not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, Table, and_, func, not_, select

from storage.known_answer import of_check
from storage.quarantine import DAMAGED_HERE
from storage.records import DeliveryState, QuarantineState, StudyState
from storage.rejection_notes import is_rejected_there
from storage.retrievals import RetrievalState
from storage.schema import delivery, quarantine, result, retrieval, study


@dataclass(frozen=True, slots=True)
class Outstanding:
    """So many things of one subject, and why the latest of them waits."""

    count: int
    reason: str


def failed_deliveries(connection: Connection) -> dict[str, Outstanding]:
    """Results that have failed for good, by destination."""
    return _counted(connection, delivery, delivery.c.destination, delivery.c.state == DeliveryState.FAILED)


def to_withdraw(connection: Connection) -> dict[str, Outstanding]:
    """Results that destinations have and a person has to take back, as no note tells them so, by study."""
    joined = delivery.join(result, delivery.c.result == result.c.identifier)
    revoked = and_(delivery.c.state == DeliveryState.REVOKED, ~is_rejected_there())
    return _counted(connection, delivery, result.c.study_instance_uid, revoked, joined)


def quarantined(connection: Connection) -> dict[str, Outstanding]:
    """Files that the quarantine holds, by the AE title that sent them; not those that were damaged here."""
    held, damaged = quarantine.c.state == QuarantineState.HELD, quarantine.c.reason.contains(DAMAGED_HERE)
    return _counted(connection, quarantine, quarantine.c.calling_ae, and_(held, not_(damaged)))


def failed_retrievals(connection: Connection) -> dict[str, Outstanding]:
    """Studies that could not be fetched whole, by Study Instance UID."""
    return _counted(connection, retrieval, retrieval.c.study_instance_uid, retrieval.c.state == RetrievalState.FAILED)


def failed_studies(connection: Connection) -> Mapping[str, str]:
    """Why the analysis of a study has failed, by Study Instance UID."""
    query = select(study.c.study_instance_uid, study.c.reason).where(
        study.c.state == StudyState.FAILED, ~of_check(study.c.study_instance_uid)
    )
    return {uid: reason for uid, reason in connection.execute(query)}


def _counted(
    connection: Connection,
    table: Table,
    subject: ColumnElement[str],
    waits: ColumnElement[bool],
    joined: FromClause | None = None,
) -> dict[str, Outstanding]:
    source = table if joined is None else joined
    counted = select(subject.label("subject"), func.count().label("count"), func.max(table.c.identifier).label("last"))
    groups = counted.select_from(source).where(waits).group_by(subject).subquery()
    query = select(groups.c.subject, groups.c["count"], table.c.reason).join(table, table.c.identifier == groups.c.last)
    return {row[0]: Outstanding(row[1], row[2]) for row in connection.execute(query.order_by(groups.c.subject))}
