"""The stored objects that a retrieval means (PS3.4 C.4.2, C.4.3): the latest revision of each, as it lies here.

UIDs are looked for among the objects themselves, so that what has just come is found; a Patient ID in the catalogue.
As in queries, results that came back, or that a person has to take back, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Select, select

from storage import catalogue_schema as tables
from storage.catalogue import matching
from storage.errors import StorageError
from storage.identity import InstanceKey
from storage.objects import instance_header
from storage.records import InstanceHeader, ObjectOrigin, StoredFile
from storage.schema import IS_WITHDRAWN, dicom_object, result, stored_file

_AT_ONCE = 500
"""UIDs of one statement, which has a parameter for each."""


class TooManyObjectsError(StorageError):
    """More objects than were asked for at most."""


@dataclass(frozen=True, slots=True)
class UniqueKeys:
    """Unique keys of a retrieval; an empty one restricts nothing."""

    patient_id: str = ""
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()

    def parts(self) -> Iterator[UniqueKeys]:
        """The same with as few UIDs at each level as one statement takes; of one level alone there may be many."""
        lists: dict[str, tuple[str, ...]] = {name: getattr(self, name) for name in _COLUMNS}
        longest = max(lists, key=lambda name: len(lists[name]))
        values = iter(dict.fromkeys(lists[longest]))
        if not lists[longest]:
            yield self
        while part := tuple(islice(values, _AT_ONCE)):
            yield UniqueKeys(self.patient_id, **(lists | {longest: part}))


_COLUMNS = {
    "study_instance_uids": dicom_object.c.study_instance_uid,
    "series_instance_uids": dicom_object.c.series_instance_uid,
    "sop_instance_uids": dicom_object.c.sop_instance_uid,
}


def objects(connection: Connection, keys: UniqueKeys, limit: int) -> list[tuple[InstanceHeader, StoredFile]]:
    """What fits all keys, series by series.

    Raises:
        TooManyObjectsError: more than `limit` objects fit.
    """
    found: dict[tuple[str, InstanceKey], tuple[InstanceHeader, StoredFile]] = {}
    for part in keys.parts():
        for row in connection.execute(_statement(part)):
            header = instance_header(row)
            found[header.study_instance_uid, header.key] = header, stored_file(row)
            if len(found) > limit:
                raise TooManyObjectsError(f"more than {limit} objects")
    return list(found.values())


def _statement(keys: UniqueKeys) -> Select[tuple[object, ...]]:
    """The revisions of the objects of keys, the latest of each last."""
    table = dicom_object
    fitting: list[ColumnElement[bool]] = [
        column.in_(getattr(keys, name)) for name, column in _COLUMNS.items() if getattr(keys, name)
    ]
    if keys.patient_id:
        of_patient = select(tables.study.c.study_instance_uid).join(tables.patient)
        identifier = matching.text(keys.patient_id)
        fitting.append(table.c.study_instance_uid.in_(of_patient.where(tables.patient.c.patient_id == identifier)))
    taken_back = select(result.c.object).where(IS_WITHDRAWN)
    return (
        select(table)
        .where(*fitting, table.c.origin != ObjectOrigin.RETURNED, table.c.identifier.not_in(taken_back))
        .order_by(table.c.study_instance_uid, table.c.series_instance_uid, table.c.identifier)
    )
