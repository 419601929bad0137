"""When something of a study came last, corrected after the clock was set; within a transaction of the caller."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, or_, select, update

from storage.records import StudyState
from storage.schema import study

_RECEIVING = study.c.state == StudyState.RECEIVING
_NOTICED = timedelta(seconds=5)
"""After which it is noticed, at the latest, that the clock was set."""


def correct(connection: Connection, study_uid: str, now: datetime) -> None:
    """Nothing of a study came later than now."""
    later = study.c.study_instance_uid == study_uid, _RECEIVING, study.c.last_received_at > now
    connection.execute(update(study).where(*later).values(last_received_at=now))


def follow(connection: Connection, moved: timedelta, now: datetime, since: datetime | None = None) -> None:
    """The clock was set by `moved`, and says `now`: what came before that is as long ago as it was.

    What came since, in the seconds until that was noticed, is left: it is told by lying close before now. Of studies
    that are not RECEIVING any more, those move that came after `since`, by the clock as it was: where that was far
    behind they would be the oldest, and be removed first.
    """
    column = study.c.last_received_at
    before = or_(column > now, column < now - min(_NOTICED, abs(moved)))
    followed = _RECEIVING if since is None else or_(_RECEIVING, and_(column >= since, column <= now - moved))
    rows = connection.execute(select(study.c.study_instance_uid, column).where(followed, before)).all()
    for uid, received in rows:
        moment = min(received + moved, now)
        connection.execute(update(study).where(study.c.study_instance_uid == uid).values(last_received_at=moment))
