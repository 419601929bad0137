"""Results of this node that come back: the one place that knows them, and where they are kept.

A result that has the SOP Instance UID that the node gave it is there already. Whoever routes results may have given
them other UIDs: such an object is a result all the same where its equipment says so, where it is of a series of
results, or where it was made from results. It is kept, and belongs to no study: it is not analysed, makes no
revision and is not delivered.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import BindParameter, Connection, bindparam, insert, or_, select

from storage.records import InstanceHeader, StoredFile
from storage.schema import result, returned

_HAS_UID = select(result.c.identifier).where(result.c.sop_instance_uid == bindparam("uid")).limit(1)
_uids: BindParameter[str] = bindparam("uids", expanding=True)
_RELATED = select(
    or_(
        *(
            select(table.c.identifier).where(condition).exists()
            for table in (result, returned)
            for condition in (
                table.c.series_instance_uid == bindparam("series"),
                table.c.sop_instance_uid.in_(_uids),
            )
        )
    )
)
_KNOWN = select(returned.c.identifier).where(returned.c.path == bindparam("path"))


def has_uid_of_result(connection: Connection, sop_instance_uid: str) -> bool:
    """Whether the ledger holds a result of this SOP Instance UID."""
    return connection.execute(_HAS_UID, {"uid": sop_instance_uid}).first() is not None


def is_result(connection: Connection, header: InstanceHeader) -> bool:
    """Whether an object is a result of this node, whatever its UIDs, or was made from results."""
    if header.made_here:
        return True
    values = {"series": header.series_instance_uid, "uids": [header.sop_instance_uid, *header.sources]}
    return bool(connection.scalar(_RELATED, values))


def keep(connection: Connection, header: InstanceHeader, file: StoredFile, calling_ae: str, now: datetime) -> None:
    """Note a result that came back under other UIDs; once for each content."""
    path = file.path.as_posix()
    if connection.execute(_KNOWN, {"path": path}).first() is not None:
        return
    connection.execute(
        insert(returned).values(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            path=path,
            digest=file.digest,
            size=file.size,
            calling_ae=calling_ae,
            received_at=now,
        )
    )


def series_in(connection: Connection, study_uid: str) -> frozenset[str]:
    """Series Instance UIDs under which results came back in a study."""
    query = select(returned.c.series_instance_uid).where(returned.c.study_instance_uid == study_uid).distinct()
    return frozenset(connection.scalars(query))


def files(connection: Connection) -> dict[str, list[StoredFile]]:
    """The files of all results that came back, by Study Instance UID, in the order of their arrival."""
    found: dict[str, list[StoredFile]] = {}
    for row in connection.execute(select(returned).order_by(returned.c.identifier)):
        found.setdefault(row.study_instance_uid, []).append(StoredFile(Path(row.path), row.digest, row.size))
    return found
