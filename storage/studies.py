"""Study revisions: their moves from state to state, and the instances that each is pinned to when it is queued.

Within a transaction of the caller. A transition holds the study's row from the look to the change.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, literal, select, update

from storage import objects
from storage.errors import TransitionError
from storage.records import STUDY_TRANSITIONS, InstanceRecord, ObjectOrigin, StudyState
from storage.schema import dicom_object, revision_object, study


def move(
    connection: Connection, study_uid: str, revision: int, to: StudyState, reason: str = "", caution: str = ""
) -> bool:
    """Move a revision; see `Index.move`. Until the transaction ends nothing can arrive for the study.

    A revision that becomes QUEUED is pinned to the instances that are there, and keeps the caution.

    Raises:
        TransitionError: STUDY_TRANSITIONS does not allow the move, or there is no such revision.
    """
    # SQLite knows no row locks and needs none: there the transaction holds the write lock from its beginning.
    row = connection.execute(
        select(study.c.revision, study.c.state).where(study.c.study_instance_uid == study_uid).with_for_update()
    ).one_or_none()
    if row is None or row.revision < revision:
        raise TransitionError(f"study {study_uid} has no revision {revision}")
    if row.revision > revision:
        return False
    if row.state == to:
        return True
    if row.state == StudyState.CANCELLED and to in STUDY_TRANSITIONS[StudyState.QUEUED]:
        return False  # the end of an analysis that was in a step when a person cancelled it
    if to not in STUDY_TRANSITIONS[StudyState(row.state)]:
        raise TransitionError(f"study {study_uid} revision {revision} is {row.state}: it cannot become {to}")
    values = {"state": to, "reason": reason}
    if to is StudyState.QUEUED:
        values["caution"] = caution
        _pin(connection, study_uid, revision)
    connection.execute(update(study).where(study.c.study_instance_uid == study_uid).values(values))
    return True


def pinned(connection: Connection, study_uid: str, revision: int) -> tuple[InstanceRecord, ...]:
    """The instances of a revision as it was queued, in order of first arrival within each series; none before that."""
    first = dicom_object.alias()
    first_arrival = (
        select(func.min(first.c.identifier))
        .where(
            first.c.study_instance_uid == study_uid,
            first.c.sop_instance_uid == dicom_object.c.sop_instance_uid,
            first.c.series_instance_uid == dicom_object.c.series_instance_uid,
            first.c.origin == ObjectOrigin.RECEIVED,
        )
        .scalar_subquery()
    )
    query = (
        select(dicom_object)
        .join(revision_object, revision_object.c.object == dicom_object.c.identifier)
        .where(revision_object.c.study_instance_uid == study_uid, revision_object.c.revision == revision)
        .order_by(dicom_object.c.series_instance_uid, first_arrival)
    )
    return tuple(objects.instance_record(row) for row in connection.execute(query))


def _pin(connection: Connection, study_uid: str, revision: int) -> None:
    """Write down the latest revision of each received object of the study."""
    later = dicom_object.alias()
    received = ObjectOrigin.RECEIVED
    superseded = (
        select(later.c.identifier)
        .where(
            later.c.study_instance_uid == study_uid,
            later.c.sop_instance_uid == dicom_object.c.sop_instance_uid,
            later.c.series_instance_uid == dicom_object.c.series_instance_uid,
            later.c.origin == received,
            later.c.revision > dicom_object.c.revision,
        )
        .exists()
    )
    there = select(literal(study_uid), literal(revision), dicom_object.c.identifier).where(
        dicom_object.c.study_instance_uid == study_uid, dicom_object.c.origin == received, ~superseded
    )
    connection.execute(insert(revision_object).from_select(["study_instance_uid", "revision", "object"], there))
