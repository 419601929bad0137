"""Files and rows compared, study by study, in both directions: what lies here that no row has, and what rows lack.

Files are listed before the rows are read: a file that comes meanwhile is not seen, and one whose row comes meanwhile is
no orphan. A row whose file comes meanwhile has to be looked at again by whoever acts on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from storage import database
from storage.damage import KeptObject, kept_object
from storage.durability import sync
from storage.files import ObjectStore
from storage.records import InstanceHeader, ObjectOrigin, StudyState
from storage.schema import dicom_object, study


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file of the store that no row has; its path is relative to the root, its time that of its last writing."""

    path: Path
    written_at: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A study: how many files lie here, those without a row, and the objects whose file is not there in its size.

    The files without a row are in the order of their writing, which is that of the revisions of an object.
    """

    study_instance_uid: str
    files: int
    orphans: tuple[Orphan, ...]
    lacking: tuple[KeptObject, ...]


def studies(engine: Engine, files: ObjectStore, after: str) -> list[str]:
    """Study Instance UIDs that rows or files have, in order, those after one; some MB for a hundred thousand."""
    with engine.connect() as connection:
        of_rows = connection.scalars(select(dicom_object.c.study_instance_uid).distinct()).all()
    # Sorted here: databases order texts by rules of their own.
    return sorted(uid for uid in {*of_rows, *_names(files.root / "objects")} if uid > after)


def compare(engine: Engine, files: ObjectStore, study_uid: str) -> Compared:
    """Compare the files of a study with its rows; costs as much as it has of either.

    Raises:
        OSError: a folder cannot be read.
    """
    lying = dict(_files(files.root, study_uid))
    with engine.connect() as connection:
        query = select(dicom_object).where(dicom_object.c.study_instance_uid == study_uid)
        rows = connection.execute(query.order_by(dicom_object.c.identifier)).all()
    known = {row.path for row in rows}
    orphans = (Orphan(Path(path), found[1]) for path, found in lying.items() if path not in known)
    return Compared(
        study_uid,
        len(lying),
        tuple(sorted(orphans, key=lambda it: (it.written_at, it.path))),
        tuple(kept_object(row) for row in rows if lying.get(row.path, (-1, 0.0))[0] != row.size),
    )


def is_replaced(connection: Connection, files: ObjectStore, header: InstanceHeader, written_at: float) -> bool:
    """Whether the object of an orphan has come since the orphan was written: nobody waits for that any more.

    One that was an orphan itself came when its file was written, and not when it got its row.
    """
    table = dicom_object
    query = select(table.c.path).where(
        table.c.study_instance_uid == header.study_instance_uid,
        table.c.series_instance_uid == header.series_instance_uid,
        table.c.sop_instance_uid == header.sop_instance_uid,
        table.c.received_at > datetime.fromtimestamp(written_at, UTC),
    )
    return any(_is_written_since(files.root / path, written_at) for path in connection.scalars(query))


def _is_written_since(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime > moment
    except FileNotFoundError:
        return True  # its row is all that says when


def has_row(connection: Connection, study_uid: str, path: Path) -> bool:
    """Whether an object of a study has a file, relative to the root."""
    of_study = dicom_object.c.study_instance_uid == study_uid
    query = select(dicom_object.c.identifier).where(of_study, dicom_object.c.path == path.as_posix())
    return connection.execute(query.limit(1)).first() is not None


def remove_orphan(engine: Engine, files: ObjectStore, study_uid: str, path: Path) -> bool:
    """Remove a file that no row has; False where one has it now, or may get it: it waits then.

    While the study is QUEUED its results lie here before their rows come; and while somebody stores objects of it, the
    same object may be among them. The study is held meanwhile.

    Raises:
        OSError: the disk refused.
    """
    with files.locks.alone(study_uid) as alone:
        return alone and _remove_orphan(engine, files.root / path, study_uid, path)


def _remove_orphan(engine: Engine, absolute: Path, study_uid: str, path: Path) -> bool:
    with database.writing(engine).begin() as connection:
        query = select(study.c.state).where(study.c.study_instance_uid == study_uid).with_for_update()
        if connection.scalar(query) == StudyState.QUEUED or has_row(connection, study_uid, path):
            return False
        absolute.unlink(missing_ok=True)
    sync(absolute.parent)
    return True


def objects_after(engine: Engine, identifier: int, limit: int) -> list[KeptObject]:
    """Objects in the order of their identifiers, those after one."""
    query = select(dicom_object).where(dicom_object.c.identifier > identifier)
    with engine.connect() as connection:
        rows = connection.execute(query.order_by(dicom_object.c.identifier).limit(limit)).all()
    return [kept_object(row) for row in rows]


def bytes_after(engine: Engine, identifier: int) -> int:
    """Bytes of all objects after one; looks at every row."""
    query = select(func.coalesce(func.sum(dicom_object.c.size), 0)).where(dicom_object.c.identifier > identifier)
    with engine.connect() as connection:
        return int(connection.scalar(query) or 0)


def object_of(engine: Engine, study_uid: str, path: Path) -> KeptObject | None:
    """The received object of a study that has a file, relative to the root."""
    table = dicom_object
    query = select(table).where(
        table.c.study_instance_uid == study_uid,
        table.c.path == path.as_posix(),
        table.c.origin == ObjectOrigin.RECEIVED,
    )
    with engine.connect() as connection:
        row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else kept_object(row)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _files(root: Path, study_uid: str) -> Iterator[tuple[str, tuple[int, float]]]:
    """Files of a study: path relative to the root, size in bytes, time of the last writing."""
    folder = Path("objects", study_uid)
    for series in _names(root / folder):
        try:
            with os.scandir(root / folder / series) as entries:
                for entry in entries:
                    if entry.name.endswith(".dcm"):
                        status = entry.stat()
                        yield f"{folder.as_posix()}/{series}/{entry.name}", (status.st_size, status.st_mtime)
        except (NotADirectoryError, FileNotFoundError):
            continue  # gone meanwhile, or none of the store's
