"""What is in quarantine, and what became of it by a person's order; within a transaction of the caller.

The row of an entry stays when its file is gone.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Row, and_, func, select, update

from storage.quarantine import keep
from storage.records import QuarantineRecord, QuarantineState, StoredFile
from storage.schema import quarantine, stored_file


def held(connection: Connection) -> int:
    """Count the entries that are held."""
    query = select(func.count()).select_from(quarantine).where(quarantine.c.state == QuarantineState.HELD)
    return int(connection.execute(query).scalar_one())


def entries(connection: Connection, ended: bool, limit: int | None) -> tuple[QuarantineRecord, ...]:
    """Entries, the oldest first, those that have ended only where asked for; of more than `limit` the latest."""
    query = select(quarantine).order_by(quarantine.c.identifier.desc()).limit(limit)
    if not ended:
        query = query.where(quarantine.c.state == QuarantineState.HELD)
    return tuple(map(_record, connection.execute(query)))[::-1]


def held_ones(connection: Connection, sender: str = "", before: datetime | None = None) -> tuple[QuarantineRecord, ...]:
    """Entries that are held, the oldest first; where asked for, of one AE title or received before a moment."""
    query = select(quarantine).where(quarantine.c.state == QuarantineState.HELD).order_by(quarantine.c.identifier)
    if sender:
        query = query.where(quarantine.c.calling_ae == sender)
    if before is not None:
        query = query.where(quarantine.c.received_at < before)
    return tuple(map(_record, connection.execute(query)))


def entry(connection: Connection, identifier: int) -> QuarantineRecord | None:
    """One entry."""
    row = connection.execute(select(quarantine).where(quarantine.c.identifier == identifier)).one_or_none()
    return None if row is None else _record(row)


def end(connection: Connection, identifier: int, to: QuarantineState, because: str, now: datetime) -> bool:
    """Say what became of an entry; False when it was not held."""
    is_held = and_(quarantine.c.identifier == identifier, quarantine.c.state == QuarantineState.HELD)
    ended = update(quarantine).where(is_held).values(state=to, ended_at=now, ended_because=because)
    return bool(connection.execute(ended).rowcount)


def hold_for(connection: Connection, held: QuarantineRecord, reason: str, now: datetime) -> int:
    """An entry came back because of another reason than it was held for: it ends, and one with that reason is held.

    Returns the number of that one. When it was received stays known.
    """
    keep(connection, held.file, reason, held.calling_ae, held.received_at)
    end(connection, held.identifier, QuarantineState.RELEASED, f"came back: {reason}", now)
    same = (quarantine.c.path == held.file.path.as_posix(), quarantine.c.calling_ae == held.calling_ae)
    query = select(quarantine.c.identifier).where(*same, quarantine.c.reason == reason)
    return int(connection.execute(query).scalar_one())


def needs(connection: Connection, file: StoredFile) -> bool:
    """Whether an entry that is held has this file."""
    query = select(quarantine.c.identifier).where(
        quarantine.c.path == file.path.as_posix(), quarantine.c.state == QuarantineState.HELD
    )
    return connection.execute(query.limit(1)).first() is not None


def has_entry(connection: Connection, path: Path) -> bool:
    """Whether there is an entry, be it that it has ended, of a file, relative to the root."""
    query = select(quarantine.c.identifier).where(quarantine.c.path == path.as_posix())
    return connection.execute(query.limit(1)).first() is not None


def _record(row: Row[tuple[object, ...]]) -> QuarantineRecord:
    return QuarantineRecord(
        identifier=row.identifier,
        file=stored_file(row),
        reason=row.reason,
        calling_ae=row.calling_ae,
        received_at=row.received_at,
        state=QuarantineState(row.state),
        ended_at=row.ended_at,
        ended_because=row.ended_because,
    )
