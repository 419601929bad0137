"""An index as it is after years: studies and instances without files, written by SQL."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from storage.database import open_engine

_A_STUDY = 500  # instances
_STUDY = """INSERT INTO study (study_instance_uid, revision, state, series_count, instance_count, first_received_at,
    last_received_at, changed, reason, caution) VALUES (?, 1, 'DONE', 1, ?, ?, ?, 0, '', '')"""
_OBJECT = """INSERT INTO dicom_object (origin, study_instance_uid, series_instance_uid, sop_class_uid,
    sop_instance_uid, transfer_syntax_uid, revision, path, digest, size, calling_ae, received_at, catalogued)
    VALUES ('RECEIVED', ?, ?, '1.2.840.10008.5.1.4.1.1.4', ?, '1.2.840.10008.1.2.1', 1, ?, ?, 200000,
    'SCANNER', ?, 1)"""
_THEN = "2026-01-01 12:00:00.000000"


def fill_index(database: Path, instances: int) -> None:
    """Make the database of a node that has received so many instances."""
    open_engine(f"sqlite:///{database}").dispose()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA synchronous=OFF")
    connection.executemany(_STUDY, ((f"1.9.{n}", _A_STUDY, _THEN, _THEN) for n in range(instances // _A_STUDY)))
    connection.executemany(_OBJECT, _objects(instances))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _objects(instances: int) -> Iterator[tuple[str, ...]]:
    for number in range(instances):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        study, uid = f"1.9.{number // _A_STUDY}", f"2.25.{int(digest[:24], 16)}"  # in no order, as real ones
        yield study, f"{study}.1", uid, f"objects/{study}/{study}.1/{uid}-{digest[:16]}.dcm", digest, _THEN
