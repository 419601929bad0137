"""Received bytes that cannot be indexed, with the reason; within a transaction of the caller.

An entry is HELD until a person has it released by the ordinary door or discards it (`storage.quarantine_entries`). The
same bytes that arrive again for the same reason are held again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, insert, update

from storage.records import QuarantineState, StoredFile
from storage.schema import quarantine

DAMAGED_HERE = "was damaged here"
"""In the reason of bytes that were an object of this node, whole, before its disk damaged them."""


def keep(connection: Connection, file: StoredFile, reason: str, calling_ae: str, now: datetime) -> None:
    """Note bytes; the same ones again only renew the time.

    Raises:
        IntegrityError: another transaction noted the same bytes meanwhile.
    """
    path = file.path.as_posix()
    same = and_(quarantine.c.path == path, quarantine.c.calling_ae == calling_ae, quarantine.c.reason == reason)
    held = {"received_at": now, "state": QuarantineState.HELD, "ended_at": None, "ended_because": ""}
    if not connection.execute(update(quarantine).where(same).values(**held)).rowcount:
        values = {"path": path, "digest": file.digest, "size": file.size, "reason": reason, "calling_ae": calling_ae}
        connection.execute(insert(quarantine).values(**values, **held))
