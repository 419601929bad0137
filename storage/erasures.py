"""Orders to erase one patient: what they leave on record, and what they take out of rows that are not of a study.

A removal that belongs to an order keeps its study and its files on record until the order ends, so that one that was
interrupted knows what it was about. Then nothing of them is left: not here, and with `compact` not in the pages of the
database either.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from storage.alert_schema import alert, alert_notice
from storage.audit_schema import QUERIED, audit_event
from storage.errors import StorageError
from storage.maintenance_schema import upkeep
from storage.records import QuarantineState
from storage.removal_records import Removal, Scope, removal_of
from storage.removal_schema import committed_study, erasure, hold, removal, removal_file
from storage.schema import commitment_request, metadata, quarantine, rejection, retrieval

_BUSY_S = 60.0
"""How long others may keep a database from being compacted, in s."""
_AT_ONCE = 1000
"""Rows that are read at once where all have to be."""
_HELD = quarantine.c.state == QuarantineState.HELD
_NOBODY = {"study_instance_uid": "", "patient_id": "", "subject": "", "detail": ""}
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order as it stays on record.

    Attributes:
        number: by which it is named.
        patient: digest of the Patient ID with the secret of the site.
        reason, ordered_by: as the one said who gave the order.
        ended_at: None while anything of the patient may be left.
        studies, objects, size, quarantined: how much was erased, the size in bytes.
    """

    number: int
    patient: str
    reason: str
    ordered_by: str
    begun_at: datetime
    ended_at: datetime | None
    studies: int
    objects: int
    size: int
    quarantined: int


def begin(connection: Connection, patient: str, reason: str, by: str, now: datetime) -> int:
    """Put an order on record, and give its number; the one of this patient that has not ended goes on."""
    is_open = select(erasure.c.identifier).where(erasure.c.patient == patient, erasure.c.ended_at.is_(None))
    known = connection.scalar(is_open.limit(1))
    if known is not None:
        return known
    values = {"patient": patient, "reason": reason, "ordered_by": by, "begun_at": now}
    added = connection.scalar(insert(erasure).values(values).returning(erasure.c.identifier))
    assert added is not None
    return added


def of_patient(connection: Connection, patient: str) -> tuple[Erasure, ...]:
    """The orders of a patient, by digest, the first one first."""
    query = select(erasure).where(erasure.c.patient == patient).order_by(erasure.c.identifier)
    return tuple(map(_record, connection.execute(query)))


def named(connection: Connection, number: int, patient: str) -> frozenset[str]:
    """UIDs that an order is about: of its studies, their series and objects, and of what rules removed before."""
    studies = connection.scalars(
        select(removal.c.study_instance_uid).where(or_(removal.c.erasure == number, removal.c.patient == patient))
    )
    paths = connection.scalars(
        select(removal_file.c.path).join(removal).where(removal.c.erasure == number, removal.c.scope == Scope.STUDY)
    )
    return frozenset((*filter(None, studies), *(uid for path in paths for uid in _uids_of(path))))


def revisions(connection: Connection, number: int) -> list[tuple[str, int]]:
    """Studies that an order has removed, with the last revision of each."""
    of_order = removal.c.erasure == number, removal.c.study_instance_uid != ""
    rows = connection.execute(select(removal.c.study_instance_uid, removal.c.last_revision).where(*of_order))
    return [(uid, last) for uid, last in rows]


def unfinished(connection: Connection, number: int, patient: str) -> tuple[Removal, ...]:
    """Removals of an order, or of what its patient left before, of which there are files still."""
    ours = or_(removal.c.erasure == number, removal.c.patient == patient)
    query = select(removal).where(ours, removal.c.ended_at.is_(None)).order_by(removal.c.identifier)
    return tuple(map(removal_of, connection.execute(query)))


def patient_ids_on_record(connection: Connection) -> frozenset[str]:
    """All Patient IDs of events, as those who asked for them have spelled them."""
    return frozenset(connection.scalars(select(audit_event.c.patient_id).distinct())) - {""}


def quarantined(connection: Connection, uids: Collection[str]) -> frozenset[int]:
    """Entries that are held in quarantine and whose texts name any of these."""
    return frozenset(key for (key,) in _naming(connection, quarantine, uids, _HELD))


def clean(connection: Connection, number: int, patient: str, patient_ids: Collection[str] = ()) -> None:
    """Take what an order is about out of all that is not removed with a study, its own record of it included.

    Of events of the audit: by the studies, and by the Patient IDs, in any letters; what a query asked for is taken out
    of those too that name no other study or patient, since a name, or a part of it, can stand in it.
    """
    uids = named(connection, number, patient)
    for part in _parts(uids):
        for table in (hold, retrieval, committed_study, rejection):
            connection.execute(delete(table).where(table.c.study_instance_uid.in_(part)))
        # That somebody did something stays, and to whom does not.
        _forget(connection, audit_event.c.study_instance_uid.in_(part))
        notes = rejection.c.note_sop_instance_uid.in_(part)
        connection.execute(update(rejection).where(notes).values(note_sop_instance_uid=""))
        connection.execute(update(upkeep).where(upkeep.c.position.in_(part)).values(position=""))
    for ids in _parts(patient_ids):
        _forget(connection, audit_event.c.patient_id.in_(ids))
    of_nobody = (audit_event.c.study_instance_uid == "") & (audit_event.c.patient_id == "")
    _forget_queries(connection, of_nobody & (audit_event.c.action == QUERIED))
    _clean_requests(connection, uids)
    _clean_texts(connection, uids)
    ours = or_(removal.c.erasure == number, removal.c.patient == patient)
    these = select(removal.c.identifier).where(ours)
    connection.execute(delete(removal_file).where(removal_file.c.removal.in_(these)))
    connection.execute(update(removal).where(ours).values(study_instance_uid=""))


def end(connection: Connection, number: int, now: datetime) -> None:
    """Nothing of the patient is left."""
    of_order = removal.c.erasure == number
    studies = select(func.count()).select_from(removal).where(of_order, removal.c.scope == Scope.STUDY)
    quarantined = select(func.coalesce(func.sum(removal.c.objects), 0)).where(of_order, removal.c.scope != Scope.STUDY)
    objects = select(func.coalesce(func.sum(removal.c.objects), 0)).where(of_order, removal.c.scope == Scope.STUDY)
    size = select(func.coalesce(func.sum(removal.c.size), 0)).where(of_order)
    counts = {
        "studies": studies.scalar_subquery(),
        "objects": objects.scalar_subquery(),
        "quarantined": quarantined.scalar_subquery(),
        "size": size.scalar_subquery(),
    }
    connection.execute(update(erasure).where(erasure.c.identifier == number).values(ended_at=now, **counts))


def remaining(connection: Connection, uids: Collection[str]) -> tuple[str, ...]:
    """Columns of the database in which any of these UIDs still stands; looks at every row."""
    texts = (it for table in metadata.sorted_tables for it in table.columns if isinstance(it.type, String))
    return tuple(f"{it.table.name}.{it.name}" for it in texts if _stands_in(connection, it, frozenset(uids)))


def compact(engine: Engine) -> None:
    """Write the database anew, so that nothing of deleted rows is left in its pages; others wait meanwhile.

    Raises:
        StorageError: others kept it from that for too long; it can be repeated.
    """
    if engine.dialect.name == "sqlite":
        assert engine.url.database
        compact_sqlite(Path(engine.url.database))
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f'VACUUM (FULL) "{table.name}"')


def compact_sqlite(path: Path) -> None:
    """The same for a database of SQLite that is a file, and for its write-ahead log.

    Raises:
        StorageError: others kept it from that for too long; it can be repeated.
    """
    until = time.monotonic() + _BUSY_S
    with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection:
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            raise StorageError(f"{path}: cannot be written anew: {error}; stop the node, and order it again") from error
        # What a reader still sees stays in the log until it has ended.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > until:
                raise StorageError(f"{path}: its log is in use: stop the node, and order it again")
            time.sleep(0.1)


def _forget(connection: Connection, which: ColumnElement[bool]) -> None:
    """Of these events stays that somebody did something, and to whom does not."""
    _forget_queries(connection, which)
    connection.execute(update(audit_event).where(which).values(_NOBODY))


def _forget_queries(connection: Connection, which: ColumnElement[bool]) -> None:
    """What these events asked for; by which service and how often stays."""
    rows = connection.execute(select(audit_event.c.identifier, audit_event.c.facts).where(which)).all()
    asked = [(row.identifier, json.loads(row.facts)) for row in rows if row.facts]
    left = [{"this": key, "left": _written(facts)} for key, facts in asked if facts.pop("query", None)]
    if left:
        this = audit_event.c.identifier == bindparam("this")
        connection.execute(update(audit_event).where(this).values(facts=bindparam("left")), left)


def _written(facts: dict[str, Any]) -> str:
    return json.dumps(facts, separators=(",", ":")) if facts else ""


def _clean_requests(connection: Connection, uids: frozenset[str]) -> None:
    """Requests for commitment that name objects name them no more; one that names nothing else is gone."""
    table = commitment_request
    for row in connection.execute(select(table.c.identifier, table.c.objects)).all():
        objects = json.loads(row.objects)
        left = [each for each in objects if each[1] not in uids]
        this = table.c.identifier == row.identifier
        if not left:
            connection.execute(delete(table).where(this))
        elif len(left) < len(objects):
            connection.execute(update(table).where(this).values(objects=json.dumps(left)))


def _clean_texts(connection: Connection, uids: frozenset[str]) -> None:
    """Rows of the quarantine and of alerts whose texts name any of these: they go.

    Not those of what is held: it has files, which nobody would know any more.
    """
    for table, which in ((quarantine, ~_HELD), (alert, true()), (alert_notice, true())):
        for key in list(_naming(connection, table, uids, which)):
            this = (column == value for column, value in zip(table.primary_key.columns, key, strict=True))
            connection.execute(delete(table).where(*this))
    says = or_(*(column.contains(".") for column in (audit_event.c.subject, audit_event.c.detail)))  # as a UID does
    for (identifier,) in list(_naming(connection, audit_event, uids, says)):
        this = audit_event.c.identifier == identifier
        _forget_queries(connection, this)
        connection.execute(update(audit_event).where(this).values(subject="", detail=""))


def _naming(
    connection: Connection, table: Table, uids: Collection[str], which: ColumnElement[bool]
) -> Iterator[tuple[Any, ...]]:
    """Keys of those rows of a table whose texts name any of these."""
    key = tuple(table.primary_key.columns)
    texts = tuple(column for column in table.columns if isinstance(column.type, String))
    wanted = frozenset(uids)
    for row in connection.execute(select(*key, *texts).where(which).execution_options(yield_per=_AT_ONCE)):
        if wanted & set(_UID.findall(" ".join(row[len(key) :]))):
            yield tuple(row[: len(key)])


def _stands_in(connection: Connection, column: Column[str], uids: frozenset[str]) -> bool:
    for part in _parts(uids, 50):
        holds_any = or_(*(column.contains(each, autoescape=True) for each in part))
        # A UID may be the beginning of another one.
        found = connection.scalars(select(column).where(holds_any))
        if any(uids & set(_UID.findall(text)) for text in found):
            return True
    return False


def _parts(texts: Collection[str], most: int = 500) -> Iterator[list[str]]:
    listed = sorted(texts)
    for first in range(0, len(listed), most):
        yield listed[first : first + most]


def _uids_of(path: str) -> Iterator[str]:
    """UIDs in the name of a file of the object store, ``objects/<study>/<series>/<SOP instance>-<content>.dcm``."""
    _, study, series, name = path.split("/")
    yield from (study, series, name.rpartition("-")[0])


def _record(row: Row[tuple[object, ...]]) -> Erasure:
    return Erasure(
        number=row.identifier,
        patient=row.patient,
        reason=row.reason,
        ordered_by=row.ordered_by,
        begun_at=row.begun_at,
        ended_at=row.ended_at,
        studies=row.studies,
        objects=row.objects,
        size=row.size,
        quarantined=row.quarantined,
    )
