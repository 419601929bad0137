"""Removal of studies, or of their images, so that neither a kill nor a power cut leaves half of one.

`begin` takes all rows of a study out of the database, in the transaction that writes down what is removed and which
files that leaves. Before it the study is whole; after it nothing offers it, what comes again is new, and `remove_files`
and `end` can be repeated until they have come to their end. Whoever calls has the study alone (`storage.study_locks`),
so that no file is removed that an object which just comes is about to use; what came after the rows went stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from storage.catalogue import removing
from storage.durability import sync
from storage.files import ObjectStore
from storage.monitoring_schema import scanned_study
from storage.page_schema import reader_outline, reading
from storage.records import ObjectOrigin, QuarantineState
from storage.removal_records import Removal, Scope
from storage.removal_schema import committed_study, rejection_note, removal, removal_file
from storage.schema import (
    association,
    commitment,
    commitment_delivery,
    delivery,
    dicom_object,
    meant_patient,
    quarantine,
    result,
    revision_object,
    step_attempt,
    study,
    verdict,
)

OF_A_STUDY = (
    *(result, revision_object, verdict, reader_outline, reading),
    *(meant_patient, association, step_attempt, committed_study),
)
"""Tables, beside those of objects and of the study itself, of which a removal takes the rows of the study."""
_AT_ONCE = 500
"""Files of one statement, which has a parameter for each."""
_HELD = quarantine.c.state == QuarantineState.HELD


@dataclass(frozen=True, slots=True)
class Order:
    """Why something is removed: by which rule, whose it is (a digest, `removal_schema`), and by which erasure."""

    rule: str
    patient: str = ""
    erasure: int | None = None


def begin(connection: Connection, study_uid: str, scope: Scope, order: Order, now: datetime) -> Removal:
    """Take a study, or its images, out of the database, within a transaction of the caller that writes.

    The caller has looked in the same transaction whether anything keeps the study.
    """
    taken = dicom_object.c.study_instance_uid == study_uid
    if scope is Scope.IMAGES:
        taken = taken & (dicom_object.c.origin != ObjectOrigin.MADE)
    revision = connection.scalar(select(study.c.revision).where(study.c.study_instance_uid == study_uid))
    count, size = connection.execute(select(func.count(), func.sum(dicom_object.c.size)).where(taken)).one()
    begun = record(connection, study_uid, scope, order, (revision or 0, count, int(size or 0)), now)
    _leave_files(connection, begun.identifier, set(connection.scalars(select(dicom_object.c.path).where(taken))))
    removing.remove(connection, study_uid)
    if scope is Scope.IMAGES:
        _delete_images(connection, study_uid, taken)
    else:
        _delete_study(connection, study_uid, taken)
    return begun


def begin_quarantined(connection: Connection, entries: Collection[int], order: Order, now: datetime) -> Removal:
    """Take entries out of the quarantine; what became of them is not on record any more either."""
    these = quarantine.c.identifier.in_(entries)
    rows = connection.execute(select(quarantine).where(these)).all()
    held = {row.path: row.size for row in rows if row.state == QuarantineState.HELD}
    counts = (0, len(rows), sum(held.values()))
    begun = record(connection, "", Scope.QUARANTINE, order, counts, now)
    _leave_files(connection, begun.identifier, {name for path in held for name in (path, _reason_beside(path))})
    connection.execute(delete(quarantine).where(these))
    return begun


def record(
    connection: Connection, study_uid: str, scope: Scope, order: Order, counts: tuple[int, int, int], now: datetime
) -> Removal:
    """Write a removal down; `counts` are the last revision, the objects and their bytes."""
    last_revision, objects, size = counts
    values = {
        "study_instance_uid": study_uid,
        "scope": scope,
        "rule": order.rule,
        "patient": order.patient,
        "erasure": order.erasure,
        "last_revision": last_revision,
        "objects": objects,
        "size": size,
        "begun_at": now,
    }
    identifier = connection.scalar(insert(removal).values(values).returning(removal.c.identifier))
    assert identifier is not None
    return Removal(identifier, study_uid, scope, order.rule, last_revision, objects, size, now, None, order.erasure)


def is_leaving(connection: Connection, path: Path) -> bool:
    """Whether a file, relative to the root, is left by a removal that goes on: it is no file without a row."""
    query = select(removal_file.c.removal).where(removal_file.c.path == path.as_posix())
    return connection.execute(query.limit(1)).first() is not None


def remove_files(engine: Engine, files: ObjectStore, begun: Removal) -> None:
    """Remove the files that a removal leaves, durably; one that an object has got since stays.

    Raises:
        OSError: the disk refused; it can be repeated.
    """
    with engine.connect() as connection:
        left = set(connection.scalars(select(removal_file.c.path).where(removal_file.c.removal == begun.identifier)))
        wanted = set(_wanted(connection, begun, left))
    folders = set()
    for path in sorted(left - wanted):
        absolute = files.root / path
        absolute.unlink(missing_ok=True)
        folders.add(absolute.parent)
    for folder in folders:
        _close(folder, files.root)


def end(connection: Connection, begun: Removal, now: datetime) -> None:
    """All files are gone: the removal has ended; those of an erasure stay named until that ends."""
    if begun.erasure is None:
        connection.execute(delete(removal_file).where(removal_file.c.removal == begun.identifier))
    connection.execute(update(removal).where(removal.c.identifier == begun.identifier).values(ended_at=now))


def _leave_files(connection: Connection, identifier: int, paths: Collection[str]) -> None:
    if paths:
        connection.execute(insert(removal_file), [{"removal": identifier, "path": path} for path in sorted(paths)])


def _delete_images(connection: Connection, study_uid: str, taken: ColumnElement[bool]) -> None:
    connection.execute(delete(revision_object).where(revision_object.c.study_instance_uid == study_uid))
    connection.execute(delete(dicom_object).where(taken))
    this = study.c.study_instance_uid == study_uid
    connection.execute(update(study).where(this).values(series_count=0, instance_count=0))
    removing.fill_anew(connection, study_uid)


def _delete_study(connection: Connection, study_uid: str, taken: ColumnElement[bool]) -> None:
    """Children before parents; what rejects objects of it stays, as it does where a note comes before its objects."""
    results = select(result.c.identifier).where(result.c.study_instance_uid == study_uid)
    sent = select(delivery.c.identifier).where(delivery.c.result.in_(results))
    asked = set(
        connection.scalars(select(commitment_delivery.c.commitment).where(commitment_delivery.c.delivery.in_(sent)))
    )
    connection.execute(delete(commitment_delivery).where(commitment_delivery.c.delivery.in_(sent)))
    connection.execute(delete(commitment).where(commitment.c.identifier.in_(asked)))
    connection.execute(delete(rejection_note).where(rejection_note.c.delivery.in_(sent)))
    connection.execute(delete(delivery).where(delivery.c.result.in_(results)))
    for table in OF_A_STUDY:
        connection.execute(delete(table).where(table.c.study_instance_uid == study_uid))
    # It stays counted among those of its scanner.
    counted = scanned_study.c.study_instance_uid == study_uid
    connection.execute(update(scanned_study).where(counted).values(study_instance_uid=None))
    connection.execute(delete(dicom_object).where(taken))
    connection.execute(delete(study).where(study.c.study_instance_uid == study_uid))


def _wanted(connection: Connection, begun: Removal, paths: Collection[str]) -> Iterator[str]:
    """Those of these files that an object, or an entry of the quarantine, has."""
    listed = sorted(paths)
    for first in range(0, len(listed), _AT_ONCE):
        part = listed[first : first + _AT_ONCE]
        of_study = dicom_object.c.study_instance_uid == begun.study_instance_uid
        yield from connection.scalars(select(dicom_object.c.path).where(of_study, dicom_object.c.path.in_(part)))
        yield from connection.scalars(select(quarantine.c.path).where(quarantine.c.path.in_(part), _HELD))


def _reason_beside(path: str) -> str:
    return Path(path).with_suffix(".json").as_posix()


def _close(folder: Path, root: Path) -> None:
    """Make what is gone from a folder durable; a folder that is empty goes itself, up to those of the root."""
    while folder.parent != root:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass  # a removal that was interrupted came as far
        except OSError:
            break  # it holds something
        folder = folder.parent
    if folder.exists():
        sync(folder)
