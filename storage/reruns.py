"""The next revision of a study that has ended, begun by a person and not by images that arrive."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine, delete, insert, select, update

from storage import database, objects, removal_records
from storage.errors import TransitionError
from storage.records import ENDED_STATES, PatientIdentity, StudyState
from storage.schema import meant_patient, study


def reopen(engine: Engine, study_uid: str, meant: PatientIdentity | None = None, now: datetime | None = None) -> int:
    """Begin the next revision of a study that has ended, without new images, so that it is analysed again.

    `meant` is the patient of the study from now on, where a person says so at the time `now`; without it what was
    said before holds. Returns the number of that revision.

    Raises:
        TransitionError: there is no such study, or it has not ended yet.
    """
    with database.writing(engine).begin() as connection:
        known = removal_records.last_of(connection, [study_uid]).get(study_uid)
        if known is not None and not objects.received(connection, study_uid):
            gone = f"its images were removed by {known.rule!r} at {known.begun_at:%Y-%m-%d %H:%M} UTC"
            raise TransitionError(f"study {study_uid}: {gone}: send them again to have it analysed again")
        moved = connection.execute(
            update(study)
            .where(study.c.study_instance_uid == study_uid, study.c.state.in_(ENDED_STATES))
            .values(state=StudyState.RECEIVING, revision=study.c.revision + 1, reason="", caution="")
        )
        if moved.rowcount and meant is not None:
            # The transaction that reopens the study holds its row.
            connection.execute(delete(meant_patient).where(meant_patient.c.study_instance_uid == study_uid))
            said = {"identifier": meant.identifier, "issuer": meant.issuer, "born": meant.born}
            values = {"study_instance_uid": study_uid, "said_at": now or datetime.now(UTC), **said}
            connection.execute(insert(meant_patient).values(values))
        row = connection.execute(
            select(study.c.revision, study.c.state).where(study.c.study_instance_uid == study_uid)
        ).one_or_none()
    if row is None:
        raise TransitionError(f"study {study_uid} is not known")
    if not moved.rowcount:
        raise TransitionError(f"study {study_uid} is {row.state}: only a study that has ended can be run again")
    return int(row.revision)
