"""Studies under hold: nothing of them is removed, by no rule and by no order, until a person releases them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, insert, select, update

from storage.errors import TransitionError
from storage.removal_schema import hold
from storage.schema import study


@dataclass(frozen=True, slots=True)
class Hold:
    """A study under hold: since when, by whom and why; of one that was released also that."""

    study_instance_uid: str
    reason: str
    held_by: str
    held_at: datetime
    released_at: datetime | None = None
    released_by: str = ""
    released_because: str = ""


def place(connection: Connection, study_uid: str, reason: str, by: str, now: datetime) -> Hold:
    """Put a study under hold, within a transaction of the caller that writes; one that is stays as it is.

    Raises:
        TransitionError: there is no such study.
    """
    # Whoever removes the study holds its row as well: either this comes first, or the study is gone.
    held = select(study.c.study_instance_uid).where(study.c.study_instance_uid == study_uid).with_for_update()
    if connection.execute(held).first() is None:
        raise TransitionError(f"study {study_uid} is not known")
    if known := of_studies(connection, [study_uid]):
        return known[study_uid]
    values = {"study_instance_uid": study_uid, "reason": reason, "held_by": by, "held_at": now}
    connection.execute(insert(hold).values(values))
    return Hold(study_uid, reason, by, now)


def release(connection: Connection, study_uid: str, because: str, by: str, now: datetime) -> Hold:
    """End the hold of a study, within a transaction of the caller that writes.

    Raises:
        TransitionError: it is under no hold.
    """
    this = and_(hold.c.study_instance_uid == study_uid, hold.c.released_at.is_(None))
    row = connection.execute(select(hold).where(this)).first()
    if row is None:
        raise TransitionError(f"study {study_uid} is under no hold")
    values = {"released_at": now, "released_by": by, "released_because": because}
    connection.execute(update(hold).where(this).values(values))
    return Hold(study_uid, row.reason, row.held_by, row.held_at, now, by, because)


def of_studies(connection: Connection, study_uids: Collection[str]) -> dict[str, Hold]:
    """Those of these studies that are under hold."""
    query = select(hold).where(hold.c.study_instance_uid.in_(study_uids), hold.c.released_at.is_(None))
    return {row.study_instance_uid: _record(row) for row in connection.execute(query)}


def current(connection: Connection) -> tuple[Hold, ...]:
    """All studies under hold, the latest first."""
    query = select(hold).where(hold.c.released_at.is_(None)).order_by(hold.c.identifier.desc())
    return tuple(map(_record, connection.execute(query)))


def _record(row: Row[tuple[object, ...]]) -> Hold:
    return Hold(
        study_instance_uid=row.study_instance_uid,
        reason=row.reason,
        held_by=row.held_by,
        held_at=row.held_at,
        released_at=row.released_at,
        released_by=row.released_by,
        released_because=row.released_because,
    )
