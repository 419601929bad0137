"""Files that are not, or not wholly, in the catalogue, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, select, update

from storage import database
from storage.catalogue_schema import fault
from storage.schema import dicom_object


@dataclass(frozen=True, slots=True)
class CatalogueFault:
    """Why an object is not, or not wholly, in the catalogue; `path` of its file is relative to the root."""

    study_instance_uid: str
    sop_instance_uid: str
    path: Path
    reason: str


def count(connection: Connection) -> int:
    """How many objects have a fault."""
    return int(connection.execute(select(func.count()).select_from(fault)).scalar_one())


def entries(connection: Connection, limit: int | None = None) -> tuple[CatalogueFault, ...]:
    """The objects with a fault, the last that came first; the first `limit` of them."""
    table = dicom_object
    query = (
        select(table.c.study_instance_uid, table.c.sop_instance_uid, table.c.path, fault.c.reason)
        .join(table, fault.c.object == table.c.identifier)
        .order_by(fault.c.object.desc())
        .limit(limit)
    )
    return tuple(
        CatalogueFault(study, uid, Path(path), reason) for study, uid, path, reason in connection.execute(query)
    )


def forget(engine: Engine) -> None:
    """Have files with a fault read again by the next `catch_up`."""
    with database.writing(engine).begin() as connection:
        faulty = select(fault.c.object)
        connection.execute(update(dicom_object).where(dicom_object.c.identifier.in_(faulty)).values(catalogued=False))
        connection.execute(delete(fault))
