"""Filling the catalogue from stored files, after Success; what a crash left out is not marked as catalogued."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, delete, func, insert, select, update

from storage import catalogue_schema as tables
from storage import database
from storage.catalogue.header import Entry, Settle, read_entry
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.known_answer import is_of_check
from storage.records import ObjectOrigin
from storage.schema import NOT_CATALOGUED, dicom_object

log = logging.getLogger(__name__)

_Object = Row[tuple[Any, ...]]
#: What the disk says of a file or its folder; what a whole machine is short of has other numbers.
_OF_ONE_FILE = frozenset(
    {errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP}
)


class WithheldError(OSError):
    """All that is left to be catalogued are files that the disk does not give; the number is that of the first.

    Attributes:
        reasons: why, by the path of the file relative to the root.
    """

    reasons: dict[str, str]

    @classmethod
    def of(cls, errors: dict[str, OSError]) -> WithheldError:
        """That these files are withheld, of which there is one at least."""
        first = next(iter(errors.values()))
        error = cls(first.errno, first.strerror, first.filename)
        error.reasons = {path: each.strerror or "" for path, each in errors.items()}
        return error


@dataclass(frozen=True, slots=True)
class _Read:
    """An object and what its file says; `entry` is None where it could not be read."""

    object: _Object
    entry: Entry | None
    reason: str


def catch_up(engine: Engine, files: ObjectStore, limit: int = 500, settle: Settle | None = None) -> int:
    """Catalogue objects that are not catalogued yet, the first of them; returns how many were taken.

    One that the operating system does not give now is left for the next time, and passed over until others are taken.

    A file that cannot be read leaves a row with its reason (`storage.catalogue.faults`). Results that came back under
    other UIDs belong to no study and are not in the catalogue. `settle` makes text readable whose character set is not
    the declared one. Studies of the known-answer check are no patient's and are not in it either.

    Raises:
        WithheldError: none was taken, because the disk does not give the files of those that there are.
        OSError: none was taken, because this machine can read no file now.
    """
    read: list[_Read] = []
    taken: list[_Object] = []
    withheld: dict[str, OSError] = {}
    for row in _uncatalogued(engine, limit, taken):
        try:
            read += [_read(row, files, settle)] if _has_place(row) else []
            taken.append(row)
        except OSError as error:
            if error.errno in _OF_ONE_FILE and files.is_there():
                withheld[row.path] = error
            elif taken:
                break
            else:
                raise
    if taken:
        database.transact(engine, lambda connection: _keep(connection, taken, read))
    elif withheld:
        raise WithheldError.of(withheld)
    return len(taken)


def _uncatalogued(engine: Engine, limit: int, taken: Sequence[_Object]) -> Iterator[_Object]:
    """Objects that are not catalogued, so many at a time until some are taken."""
    table, after = dicom_object, -1
    while not taken:
        query = select(table).where(NOT_CATALOGUED, table.c.identifier > after).order_by(table.c.identifier)
        with engine.connect() as connection:
            found = connection.execute(query.limit(limit)).all()
        if not found:
            return
        yield from found
        after = found[-1].identifier


def _has_place(row: _Object) -> bool:
    return row.origin != ObjectOrigin.RETURNED and not is_of_check(row.study_instance_uid)


def _read(row: _Object, files: ObjectStore, settle: Settle | None) -> _Read:
    try:
        entry = read_entry(files.root / row.path, settle)
    except HeaderError as error:
        return _Read(row, None, str(error))
    except OSError as error:
        if not _is_of_the_file(error, files):
            raise
        return _Read(row, None, f"the file cannot be read: {error.strerror}")
    return _Read(row, entry, "; ".join(entry.faults))


def _is_of_the_file(error: OSError, files: ObjectStore) -> bool:
    """Whether it is gone, or no file; pydicom says without a number that one is cut short."""
    return error.errno in (None, errno.EISDIR) or (isinstance(error, FileNotFoundError) and files.is_there())


def _keep(connection: Connection, found: Sequence[_Object], read: Sequence[_Read]) -> None:
    uids = sorted({row.study_instance_uid for row in found})
    of_study = tables.study.c.study_instance_uid.in_(uids)
    patients = set(connection.scalars(select(tables.study.c.patient).where(of_study)))
    for each in read:
        if each.reason:
            log.warning("object %s: catalogue: %s", each.object.sop_instance_uid, each.reason)
            _put(connection, tables.fault, {"object": each.object.identifier}, {"reason": each.reason})
        if each.entry is not None:
            _add(connection, each.object, each.entry)
    for study in connection.scalars(select(tables.study.c.identifier).where(of_study)).all():
        _count(connection, study)
    patients.update(connection.scalars(select(tables.study.c.patient).where(of_study)))
    count_patients(connection, patients)
    taken = dicom_object.c.identifier.in_([row.identifier for row in found])
    connection.execute(update(dicom_object).where(taken).values(catalogued=True))


def _add(connection: Connection, row: _Object, entry: Entry) -> None:
    """Put an object into the tables of all levels."""
    study = _level(
        connection,
        tables.study,
        {"study_instance_uid": row.study_instance_uid},
        row,
        lambda: {**entry.study, "patient": _patient(connection, row, entry)},
    )
    key = {"study": study, "series_instance_uid": row.series_instance_uid}
    series = _level(connection, tables.series, key, row, lambda: entry.series)
    key = {"series": series, "sop_instance_uid": row.sop_instance_uid}
    revision = (
        select(dicom_object.c.revision)
        .join(tables.instance, tables.instance.c.object == dicom_object.c.identifier)
        .where(*_equal(tables.instance, key))
    )
    if (connection.scalar(revision) or 0) <= row.revision:
        values = {**entry.instance, "object": row.identifier, "sop_class_uid": row.sop_class_uid}
        _put(connection, tables.instance, key, values)


def _patient(connection: Connection, row: _Object, entry: Entry) -> int:
    names = ("patient_id", "issuer_of_patient_id")
    key = {name: entry.patient[name] for name in names}
    key["only_in_study"] = "" if key["patient_id"] else row.study_instance_uid
    return _level(connection, tables.patient, key, row, lambda: entry.patient)


def _level(
    connection: Connection, table: Table, key: dict[str, Any], row: _Object, values: Callable[[], dict[str, Any]]
) -> int:
    """The identifier of the entity of a key, which gets the values where the object speaks for it."""
    source = f"{0 if row.origin == ObjectOrigin.RECEIVED else 1} {row.series_instance_uid} {row.sop_instance_uid}"
    columns = (table.c.identifier, table.c.source, table.c.source_revision)
    known = connection.execute(select(*columns).where(*_equal(table, key)).with_for_update()).one_or_none()
    if known is not None and (known.source, -known.source_revision) < (source, -row.revision):
        return int(known.identifier)
    all_values = {**key, **values(), "source": source, "source_revision": row.revision}
    if known is None:
        return int(connection.scalar(insert(table).values(all_values).returning(table.c.identifier)) or 0)
    connection.execute(update(table).where(table.c.identifier == known.identifier).values(all_values))
    return int(known.identifier)


def _put(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Set the values of the row of a key, which is made where it is not there."""
    if not connection.execute(update(table).where(*_equal(table, key)).values(values)).rowcount:
        connection.execute(insert(table).values({**key, **values}))


def _equal(table: Table, key: dict[str, Any]) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in key.items()]


def _count(connection: Connection, study: int) -> None:
    """Write down what a study and its series have."""
    series, instance = tables.series, tables.instance
    instances = select(func.count()).where(instance.c.series == series.c.identifier).scalar_subquery()
    connection.execute(update(series).where(series.c.study == study).values(instance_count=instances))
    counted = connection.execute(
        select(series.c.modality, series.c.instance_count).where(series.c.study == study)
    ).all()
    classes = select(instance.c.sop_class_uid).join(series).where(series.c.study == study).distinct()
    values = {
        "modalities_in_study": "\\".join(sorted({row.modality for row in counted} - {""})),
        "sop_classes_in_study": "\\".join(sorted(connection.scalars(classes))),
        "series_count": len(counted),
        "instance_count": sum(row.instance_count for row in counted),
    }
    connection.execute(update(tables.study).where(tables.study.c.identifier == study).values(values))


def count_patients(connection: Connection, patients: Collection[int]) -> None:
    """Write down what patients have; one who has no study any more is gone."""
    study = tables.study
    for patient in sorted(patients):
        counts = select(func.count(), func.sum(study.c.series_count), func.sum(study.c.instance_count))
        studies, series, instances = connection.execute(counts.where(study.c.patient == patient)).one()
        this = tables.patient.c.identifier == patient
        if not studies:
            connection.execute(delete(tables.patient).where(this))
            continue
        values = {"study_count": studies, "series_count": series, "instance_count": instances}
        connection.execute(update(tables.patient).where(this).values(values))
