"""Objects whose file is gone or is not what was stored, until it is there again; within a transaction of the caller.

An object that arrives again with the content that it had is whole again: its file gets the name that it had.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, func, insert, select, update

from storage.maintenance_schema import damage
from storage.objects import instance_header
from storage.prepared import Prepared
from storage.records import InstanceHeader, ObjectOrigin, StoredFile, StudyState
from storage.schema import dicom_object, stored_file, study

_objects = dicom_object
_OF_CONTENT = select(_objects.c.identifier).where(
    _objects.c.study_instance_uid == bindparam("study"),
    _objects.c.sop_instance_uid == bindparam("uid"),
    _objects.c.digest == bindparam("digest"),
)
_IS_WHOLE = Prepared(delete(damage).where(damage.c.object.in_(_OF_CONTENT)))


@dataclass(frozen=True, slots=True)
class KeptObject:
    """An object of the node as its row has it."""

    identifier: int
    origin: ObjectOrigin
    header: InstanceHeader
    revision: int
    file: StoredFile
    calling_ae: str

    @property
    def study_instance_uid(self) -> str:
        """The study that it belongs to."""
        return self.header.study_instance_uid


@dataclass(frozen=True, slots=True)
class DamagedObject:
    """An object whose file is gone or is not what was stored: why, and since when that is known."""

    object: KeptObject
    reason: str
    found_at: datetime


def note(connection: Connection, it: KeptObject, reason: str, now: datetime) -> bool:
    """Note that an object is damaged; False where it is noted already, or a later revision has replaced it."""
    if _is_replaced(connection, it):
        return False
    this = damage.c.object == it.identifier
    if connection.execute(update(damage).where(this).values(reason=reason)).rowcount:
        return False
    connection.execute(insert(damage).values(object=it.identifier, found_at=now, reason=reason))
    return True


def arrived_again(connection: Connection, header: InstanceHeader, digest: str) -> None:
    """An object came again with a content that it has here: its file is whole."""
    values = {"study": header.study_instance_uid, "uid": header.sop_instance_uid, "digest": digest}
    _IS_WHOLE.change(connection, values)


def end(connection: Connection, identifiers: Collection[int]) -> None:
    """These are whole again, or replaced."""
    connection.execute(delete(damage).where(damage.c.object.in_(identifiers)))


def count(connection: Connection) -> int:
    """How many objects are damaged."""
    return int(connection.scalar(select(func.count()).select_from(damage)) or 0)


def entries(connection: Connection, limit: int | None = None) -> tuple[DamagedObject, ...]:
    """Damaged objects, those that were found first."""
    query = select(_objects, damage.c.reason, damage.c.found_at).join(damage, damage.c.object == _objects.c.identifier)
    rows = connection.execute(query.order_by(damage.c.found_at, damage.c.object).limit(limit))
    return tuple(DamagedObject(kept_object(row), row.reason, row.found_at) for row in rows)


def of_study(connection: Connection, study_uid: str) -> int:
    """How many objects of a study are damaged."""
    query = select(func.count()).select_from(damage).join(_objects, damage.c.object == _objects.c.identifier)
    return int(connection.scalar(query.where(_objects.c.study_instance_uid == study_uid)) or 0)


def replaced(connection: Connection, found: Collection[DamagedObject]) -> list[int]:
    """Those of these objects of which a later revision has come."""
    return [it.object.identifier for it in found if _is_replaced(connection, it.object)]


def kept_object(row: Row[tuple[object, ...]]) -> KeptObject:
    """The object in a row of the table of objects."""
    origin = ObjectOrigin(row.origin)
    return KeptObject(row.identifier, origin, instance_header(row), row.revision, stored_file(row), row.calling_ae)


def _is_replaced(connection: Connection, it: KeptObject) -> bool:
    later = and_(
        _objects.c.study_instance_uid == it.study_instance_uid,
        _objects.c.sop_instance_uid == it.header.sop_instance_uid,
        _objects.c.series_instance_uid == it.header.series_instance_uid,
        _objects.c.origin == it.origin,
        _objects.c.revision > it.revision,
    )
    return bool(connection.scalar(select(exists().where(later))))


def failed_and_whole(connection: Connection, code: str, limit: int = 100) -> list[str]:
    """Studies that failed for a reason that begins with a code, and of which all that was received is whole again."""
    damaged = select(damage.c.object).join(_objects, damage.c.object == _objects.c.identifier)
    damaged = damaged.where(
        _objects.c.study_instance_uid == study.c.study_instance_uid, _objects.c.origin == ObjectOrigin.RECEIVED
    )
    query = select(study.c.study_instance_uid).where(
        study.c.state == StudyState.FAILED, study.c.reason.startswith(code, autoescape=True), ~damaged.exists()
    )
    return list(connection.scalars(query.limit(limit)))
