"""The move of one study revision to another state, within a transaction of the caller."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from storage.errors import TransitionError
from storage.records import STUDY_TRANSITIONS, StudyState
from storage.schema import study


def move(connection: Connection, study_uid: str, revision: int, to: StudyState, reason: str) -> bool:
    """Move a revision; see `Index.move`. Until the transaction ends nothing can arrive for the study.

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
    connection.execute(update(study).where(study.c.study_instance_uid == study_uid).values(state=to, reason=reason))
    return True
