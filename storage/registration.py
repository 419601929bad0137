"""Registering instances, within a transaction of the caller; what is one object stands in `storage.identity`.

The statements that every instance runs are compiled once (`storage.prepared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Connection, Integer, and_, bindparam, case, func, insert, or_, select, update

from storage import associations, damage, due, objects, rejections, reopening
from storage.identity import Content
from storage.prepared import Prepared
from storage.records import (
    InstanceHeader,
    ObjectOrigin,
    OpenAssociation,
    Registration,
    RejectionNote,
    StoredFile,
    StudyState,
)
from storage.removal_schema import removal
from storage.schema import UTCDateTime, dicom_object, study

_received = dicom_object.c.origin == ObjectOrigin.RECEIVED

#: All that arrived under a SOP Instance UID in a study, the latest first; objects of several series in a clash.
_ARRIVED = Prepared(
    select(*(dicom_object.c[name] for name in ("series_instance_uid", "revision", "digest", "transfer_syntax_uid")))
    .where(
        dicom_object.c.study_instance_uid == bindparam("study"),
        dicom_object.c.sop_instance_uid == bindparam("uid"),
        _received,
    )
    .order_by(dicom_object.c.revision.desc())
)

_LOCK_STUDY = Prepared(
    select(study.c.study_instance_uid).where(study.c.study_instance_uid == bindparam("study")).with_for_update()
)
_receiving = study.c.state == StudyState.RECEIVING
_series_known = (
    select(dicom_object.c.identifier)
    .where(
        dicom_object.c.study_instance_uid == bindparam("study"),
        dicom_object.c.series_instance_uid == bindparam("series"),
        _received,
    )
    .exists()
)
_now, _late = (bindparam(name, type_=UTCDateTime) for name in ("now", "late"))
_COUNTED = (
    update(study)
    .where(study.c.study_instance_uid == bindparam("study"))
    .values(
        instance_count=study.c.instance_count + bindparam("added", type_=Integer),
        series_count=study.c.series_count + case((_series_known, 0), else_=1),
        changed=or_(study.c.changed, bindparam("revised", type_=Boolean)),
    )
)
_TOUCH_STUDY = Prepared(
    _COUNTED.values(
        revision=study.c.revision + case((_receiving, 0), else_=1),
        reason=case((_receiving, study.c.reason), else_=""),
        caution="",
        state=StudyState.RECEIVING,
        # A little later is another process's; much later was written before the clock was set back.
        last_received_at=case(
            (and_(study.c.last_received_at > _now, study.c.last_received_at <= _late), study.c.last_received_at),
            else_=_now,
        ),
    )
)
_COUNT_IN_STUDY = Prepared(_COUNTED)
_BEGIN_STUDY = insert(study)
_REMOVED = select(func.max(removal.c.last_revision)).where(removal.c.study_instance_uid == bindparam("study"))


@dataclass(frozen=True, slots=True)
class Arrived:
    """An instance whose file is durable, and what `Index.register` is told of it."""

    header: InstanceHeader
    file: StoredFile
    calling_ae: str
    now: datetime
    association: OpenAssociation | None = None
    note: RejectionNote | None = None


def register_all(connection: Connection, arrived: Sequence[Arrived]) -> list[Registration]:
    """Make stored instances known, in one transaction; what became of each, in their order.

    Raises:
        IntegrityError: another transaction registered one of them, or the first one of a study, meanwhile.
    """
    # Studies are locked in the same order by all processes, so that no two wait for one another.
    order = sorted(range(len(arrived)), key=lambda number: arrived[number].header.study_instance_uid)
    found: dict[int, Registration] = {}
    for number in order:
        each = arrived[number]
        found[number] = register(
            connection, each.header, each.file, each.calling_ae, each.now, each.association, each.note
        )
    return [found[number] for number in range(len(arrived))]


def register(
    connection: Connection,
    header: InstanceHeader,
    file: StoredFile,
    calling_ae: str,
    now: datetime,
    association: OpenAssociation | None = None,
    note: RejectionNote | None = None,
) -> Registration:
    """Make a stored instance known; see `Index.register`.

    Raises:
        IntegrityError: another transaction registered the same instance, or the first one of the study, meanwhile.
    """
    origin = objects.origin_of(connection, header)
    if origin is ObjectOrigin.RETURNED:
        objects.keep_returned(connection, header, file, calling_ae, now)
    if origin is not ObjectOrigin.RECEIVED:
        return Registration.OWN_RESULT
    if association is not None and _is_noted(connection, header):
        associations.note(connection, association, header.study_instance_uid)
    registration = _add(connection, header, file, calling_ae, now)
    # Of a note that is there already too: it may have come before the node knew of such notes.
    for rejected_in, series in rejections.keep(connection, note, header.sop_instance_uid, now) if note else ():
        _lock(connection, rejected_in)
        values = {"study": rejected_in, "series": series, "added": 0, "revised": False, **_arriving(now)}
        _TOUCH_STUDY.change(connection, values)
    return registration


def _add(
    connection: Connection, header: InstanceHeader, file: StoredFile, calling_ae: str, now: datetime
) -> Registration:
    """Make it part of its study, unless it is there."""
    # From here on no other transaction adds to the study. A statement of its own: PostgreSQL lets a statement that
    # waited for a lock see the locked row as it is now, but all others as they were when the statement began.
    _lock(connection, header.study_instance_uid)
    arrived = _ARRIVED.rows(connection, {"study": header.study_instance_uid, "uid": header.sop_instance_uid})
    latest = next((Content(*content) for series, _, *content in arrived if series == header.series_instance_uid), None)
    if latest == Content(file.digest, header.transfer_syntax_uid):
        damage.arrived_again(connection, header, file.digest)
        return Registration.DUPLICATE
    registration = Registration.NEW if latest is None else Registration.REVISED
    _touch_study(connection, header, registration, now)
    revision = arrived[0][1] + 1 if arrived else 1
    objects.insert_received(connection, header, revision, file, calling_ae, now)
    return registration


def _is_noted(connection: Connection, header: InstanceHeader) -> bool:
    """Whether an association that stored this is one of its study: nothing is removed of that meanwhile.

    One that stores no more than what cannot change the plan does not hold a study that is being received.
    """
    if reopening.changes_plan(header):
        return True
    state = select(study.c.state).where(study.c.study_instance_uid == header.study_instance_uid)
    return connection.scalar(state) not in {None, StudyState.RECEIVING}


def _lock(connection: Connection, study_uid: str) -> None:
    """Hold the row of a study, if there is one."""
    if connection.dialect.name != "sqlite":  # it knows no row locks: the transaction holds the database
        _LOCK_STUDY.rows(connection, {"study": study_uid})


def _arriving(now: datetime) -> dict[str, datetime]:
    return {"now": now, "late": now + due.TOLERANCE}


def _touch_study(connection: Connection, header: InstanceHeader, registration: Registration, now: datetime) -> None:
    """Count the instance; one that changes the plan opens the next revision where the study had left RECEIVING."""
    values = {
        "study": header.study_instance_uid,
        "series": header.series_instance_uid,
        "added": int(registration is Registration.NEW),
        "revised": registration is Registration.REVISED,
    }
    if reopening.changes_plan(header):
        touched = _TOUCH_STUDY.change(connection, {**values, **_arriving(now)})
    else:
        touched = _COUNT_IN_STUDY.change(connection, values)
    if touched:
        return
    # The queue, and the work folder, know the revisions of one that was removed by their numbers.
    removed = connection.scalar(_REMOVED, {"study": header.study_instance_uid}) or 0
    connection.execute(
        _BEGIN_STUDY,
        {
            "study_instance_uid": header.study_instance_uid,
            "revision": removed + 1,
            "state": StudyState.RECEIVING,
            "series_count": 1,
            "instance_count": 1,
            "first_received_at": now,
            "last_received_at": now,
            "changed": False,
            "reason": "",
            "caution": "",
        },
    )
