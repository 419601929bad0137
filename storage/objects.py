"""DICOM objects, received and made here, in one table; within a transaction of the caller.

A result that has the SOP Instance UID that the node gave it is there already. Whoever routes results may have given
them other UIDs: such an object is a result all the same where its equipment says so, where it is of a series of
results, or where it was made from results. It is kept as RETURNED, and belongs to no study: it is not analysed, makes
no revision and is not delivered.

The statements that every instance runs are compiled once (`storage.prepared`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import BindParameter, Connection, Row, bindparam, func, or_, select

from storage.identity import InstanceKey
from storage.maintenance_schema import damage
from storage.prepared import Prepared
from storage.records import InstanceHeader, InstanceRecord, ObjectOrigin, ResultRecord, StoredFile
from storage.schema import NOT_RECEIVED, UTCDateTime, dicom_object, stored_file

_table = dicom_object
_RECEIVED = _table.c.origin == ObjectOrigin.RECEIVED
_MADE = _table.c.origin == ObjectOrigin.MADE
_RETURNED = _table.c.origin == ObjectOrigin.RETURNED
_OF_STUDY = _table.c.study_instance_uid == bindparam("study")

_HAS_UID = select(_table.c.identifier).where(_table.c.sop_instance_uid == bindparam("uid"), _MADE).limit(1)
_uids: BindParameter[str] = bindparam("uids", expanding=True)
_MADE_OF = select(_table.c.sop_instance_uid, _table.c.identifier).where(_table.c.sop_instance_uid.in_(_uids), _MADE)
# One statement for both questions: each instance that arrives asks them.
_IS_RESULT = select(
    _HAS_UID.exists().label("made"),
    or_(
        *(
            select(_table.c.identifier).where(condition, NOT_RECEIVED).exists()
            for condition in (_table.c.series_instance_uid == bindparam("series"), _table.c.sop_instance_uid.in_(_uids))
        )
    ).label("related"),
)
# The same for an object that names no source, as nearly all: the statement of a fixed number of parameters.
_IS_RESULT_ALONE = Prepared(
    select(
        _HAS_UID.exists().label("made"),
        or_(
            select(_table.c.identifier)
            .where(_table.c.series_instance_uid == bindparam("series"), NOT_RECEIVED)
            .exists(),
            select(_table.c.identifier).where(_table.c.sop_instance_uid == bindparam("uid"), NOT_RECEIVED).exists(),
        ).label("related"),
    )
)
_HAS_UID_PREPARED = Prepared(_HAS_UID)
_KNOWN = select(_table.c.identifier).where(_OF_STUDY, _table.c.path == bindparam("path"), _RETURNED)
_RETURNED_SO_FAR = select(func.max(_table.c.revision)).where(
    _OF_STUDY, _table.c.sop_instance_uid == bindparam("uid"), _RETURNED
)
_INSERT = sa.insert(_table)
_WRITTEN = (
    *("study_instance_uid", "series_instance_uid", "sop_class_uid", "sop_instance_uid", "transfer_syntax_uid"),
    *("revision", "path", "digest", "size", "calling_ae"),
)
_INSERT_RECEIVED = Prepared(
    _INSERT.values(
        {name: bindparam(name) for name in _WRITTEN}
        | {"received_at": bindparam("received_at", type_=UTCDateTime)}
        | {"origin": ObjectOrigin.RECEIVED, "catalogued": False}
    ).inline()
)


def _values(
    origin: ObjectOrigin,
    header: InstanceHeader | ResultRecord,
    revision: int,
    file: StoredFile,
    calling_ae: str = "",
    received_at: datetime | None = None,
) -> dict[str, object]:
    return {
        "origin": origin,
        "study_instance_uid": header.study_instance_uid,
        "series_instance_uid": header.series_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "sop_instance_uid": header.sop_instance_uid,
        "transfer_syntax_uid": header.transfer_syntax_uid,
        "revision": revision,
        "path": file.path.as_posix(),
        "digest": file.digest,
        "size": file.size,
        "calling_ae": calling_ae,
        "received_at": received_at,
    }


# --- received


def insert_received(
    connection: Connection, header: InstanceHeader, revision: int, file: StoredFile, calling_ae: str, now: datetime
) -> None:
    """Add the row of an object that was received.

    Raises:
        IntegrityError: another transaction added this revision of the object meanwhile.
    """
    values = _values(ObjectOrigin.RECEIVED, header, revision, file, calling_ae, now)
    _INSERT_RECEIVED.change(connection, values)


def has_file(connection: Connection, header: InstanceHeader, path: Path) -> bool:
    """Whether an object has this file, received, made here or returned: each was acknowledged, or is sent."""
    query = select(_table.c.identifier).where(
        _OF_STUDY, _table.c.sop_instance_uid == header.sop_instance_uid, _table.c.path == path.as_posix()
    )
    return connection.execute(query, {"study": header.study_instance_uid}).first() is not None


def latest(connection: Connection, study_uid: str) -> tuple[InstanceRecord, ...]:
    """The latest revision of each received object of a study, in order of first arrival within each series."""
    query = select(_table).where(_OF_STUDY, _RECEIVED).order_by(_table.c.series_instance_uid, _table.c.identifier)
    found = (instance_record(row) for row in connection.execute(query, {"study": study_uid}))
    return tuple({record.header.key: record for record in found}.values())


def received(connection: Connection, study_uid: str) -> set[InstanceKey]:
    """The objects of a study that were received."""
    query = select(_table.c.series_instance_uid, _table.c.sop_instance_uid).where(_OF_STUDY, _RECEIVED).distinct()
    return {InstanceKey(series, uid) for series, uid in connection.execute(query, {"study": study_uid})}


def elsewhere(connection: Connection, study_uid: str) -> dict[InstanceKey, tuple[str, ...]]:
    """Received objects of a study whose SOP Instance UID such of other studies have as well, with the other studies."""
    here, there = _table.alias(), _table.alias()
    query = (
        select(here.c.series_instance_uid, here.c.sop_instance_uid, there.c.study_instance_uid)
        .join(there, here.c.sop_instance_uid == there.c.sop_instance_uid)
        .where(here.c.study_instance_uid == study_uid, there.c.study_instance_uid != study_uid)
        .where(here.c.origin == ObjectOrigin.RECEIVED, there.c.origin == ObjectOrigin.RECEIVED)
        .distinct()
    )
    found: dict[InstanceKey, list[str]] = {}
    for series, instance, other in connection.execute(query):
        found.setdefault(InstanceKey(series, instance), []).append(other)
    return {key: tuple(sorted(studies)) for key, studies in sorted(found.items())}


# --- made here


def keep_made(connection: Connection, results: Sequence[ResultRecord]) -> dict[str, int]:
    """The identifiers of the objects of results, by SOP Instance UID.

    One that is there under its SOP Instance UID stays as it was first made, unless its file is damaged.
    """
    kept = _made(connection, [result.sop_instance_uid for result in results])
    _replace_damaged(connection, {kept[it.sop_instance_uid]: it.file for it in results if it.sop_instance_uid in kept})
    added = {it.sop_instance_uid: it for it in results if it.sop_instance_uid not in kept}
    if added:
        connection.execute(_INSERT, [_values(ObjectOrigin.MADE, result, 1, result.file) for result in added.values()])
        kept |= _made(connection, list(added))
    return kept


def _replace_damaged(connection: Connection, files: Mapping[int, StoredFile]) -> None:
    """Give objects whose own file is damaged these, by identifier."""
    for identifier in connection.scalars(select(damage.c.object).where(damage.c.object.in_(files))).all():
        file = files[identifier]
        values = {"path": file.path.as_posix(), "digest": file.digest, "size": file.size, "catalogued": False}
        connection.execute(sa.update(_table).where(_table.c.identifier == identifier).values(values))
        connection.execute(sa.delete(damage).where(damage.c.object == identifier))


def _made(connection: Connection, uids: Sequence[str]) -> dict[str, int]:
    return {row.sop_instance_uid: row.identifier for row in connection.execute(_MADE_OF, {"uids": uids})}


def has_uid_of_result(connection: Connection, sop_instance_uid: str) -> bool:
    """Whether an object of this SOP Instance UID was made here."""
    return bool(_HAS_UID_PREPARED.rows(connection, {"uid": sop_instance_uid}))


def origin_of(connection: Connection, header: InstanceHeader) -> ObjectOrigin:
    """The origin of an object that arrives.

    MADE: it is there as the result that it is. RETURNED: it is a result of this node, whatever its UIDs, or was made
    from results.
    """
    uid = header.sop_instance_uid
    values = {"uid": uid, "series": header.series_instance_uid}
    if header.sources:
        made, related = connection.execute(_IS_RESULT, {**values, "uids": [uid, *header.sources]}).one()
    else:
        ((made, related),) = _IS_RESULT_ALONE.rows(connection, values)
    if made:
        return ObjectOrigin.MADE
    return ObjectOrigin.RETURNED if related or header.made_here else ObjectOrigin.RECEIVED


# --- came back


def keep_returned(
    connection: Connection, header: InstanceHeader, file: StoredFile, calling_ae: str, now: datetime
) -> None:
    """Note a result that came back under other UIDs; once for each content."""
    study = {"study": header.study_instance_uid}
    if connection.execute(_KNOWN, {**study, "path": file.path.as_posix()}).first() is not None:
        return
    so_far = connection.scalar(_RETURNED_SO_FAR, {**study, "uid": header.sop_instance_uid}) or 0
    connection.execute(_INSERT, _values(ObjectOrigin.RETURNED, header, so_far + 1, file, calling_ae, now))


def returned_series(connection: Connection, study_uid: str) -> frozenset[str]:
    """Series Instance UIDs under which results came back in a study."""
    query = select(_table.c.series_instance_uid).where(_OF_STUDY, _RETURNED).distinct()
    return frozenset(connection.scalars(query, {"study": study_uid}))


def instance_header(row: Row[tuple[object, ...]]) -> InstanceHeader:
    """The header of the object in a row of the table."""
    return InstanceHeader(
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
    )


def instance_record(row: Row[tuple[object, ...]]) -> InstanceRecord:
    """The instance in a row of the table."""
    return InstanceRecord(instance_header(row), row.revision, stored_file(row), row.calling_ae, row.received_at)
