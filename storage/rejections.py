"""Objects that rejection notes reject, within a transaction of the caller; a note may come before what it rejects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import Connection, insert, select

from storage import objects
from storage.identity import InstanceKey
from storage.records import RejectionNote
from storage.schema import rejection


def keep(connection: Connection, note: RejectionNote, note_uid: str, now: datetime) -> Iterator[tuple[str, str]]:
    """Keep what a note rejects; gives each study of which an object that is there was not rejected before, and a
    series of it."""
    studies = sorted({study for study, _ in note.objects})
    for study in studies:
        known = rejected(connection, study)
        new = {key for of, key in note.objects if of == study} - known.keys()
        if not new:
            continue
        connection.execute(
            insert(rejection),
            [
                {
                    "study_instance_uid": study,
                    "series_instance_uid": key.series_instance_uid,
                    "sop_instance_uid": key.sop_instance_uid,
                    "title": note.title,
                    "note_sop_instance_uid": note_uid,
                    "received_at": now,
                }
                for key in sorted(new)
            ],
        )
        if there := new & objects.received(connection, study):
            yield study, min(there).series_instance_uid


def rejected(connection: Connection, study_uid: str) -> dict[InstanceKey, str]:
    """The objects of a study that are rejected, with the code of the title of the note; not all need be there."""
    columns = rejection.c.series_instance_uid, rejection.c.sop_instance_uid, rejection.c.title
    query = select(*columns).where(rejection.c.study_instance_uid == study_uid)
    return {InstanceKey(series, uid): title for series, uid, title in connection.execute(query)}
