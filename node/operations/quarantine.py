"""Received files that cannot be indexed: looked at, released by the ordinary door, or discarded for a reason.

Nothing leaves the quarantine unrecorded: an entry stays with its state, its time and a reason when its file is gone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from node.errors import NodeError
from node.settings import Settings
from storage import database, quarantine_entries
from storage.database import open_engine
from storage.durability import sync
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import QuarantineRecord, QuarantineState, Registration

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuarantineList:
    """Entries, the oldest first; `held` counts all that are held, on the list or not."""

    entries: tuple[QuarantineRecord, ...]
    held: int


@dataclass(frozen=True, slots=True)
class QuarantineDetail:
    """One entry: where its file is, and what the node of today makes of it.

    `fault` says why it cannot be indexed today either; where it is empty the UIDs are those of the object, which can be
    released.
    """

    entry: QuarantineRecord
    path: Path
    fault: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """An object that came in from the quarantine, and what registering it meant."""

    identifier: int
    study_instance_uid: str
    sop_instance_uid: str
    registration: Registration


@dataclass(frozen=True, slots=True)
class Discarded:
    """An entry that was discarded; `file_removed` is False where another entry still holds the same bytes."""

    identifier: int
    reason: str
    file_removed: bool


def entries(settings: Settings, ended: bool = False, limit: int = 50) -> QuarantineList:
    """The latest entries that are held, and those that have ended where asked for."""
    with open_engine(settings.storage_url).connect() as connection:
        return QuarantineList(quarantine_entries.entries(connection, ended, limit), quarantine_entries.held(connection))


def detail(settings: Settings, identifier: int) -> QuarantineDetail:
    """One entry, looked at anew.

    Raises:
        NodeError: there is no such entry.
    """
    entry = _entry(open_engine(settings.storage_url), identifier)
    path = ObjectStore(settings.root).absolute(entry.file)
    if not path.exists():
        return QuarantineDetail(entry, path, "the file is gone")
    try:
        header = read_header(path)
    except HeaderError as error:
        return QuarantineDetail(entry, path, str(error))
    return QuarantineDetail(
        entry, path, "", header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid
    )


def release(settings: Settings, identifier: int, because: str = "") -> Released:
    """Take an object in as if it were received now, by the UIDs of its data set; its file leaves the quarantine.

    Raises:
        NodeError: there is no such entry, it has ended, or its file cannot be indexed today either; it stays.
    """
    # With it comes pynetdicom, which the other operations do without.
    from node.services.store import admit

    engine, store = open_engine(settings.storage_url), ObjectStore(settings.root)
    entry = _held(engine, identifier)
    path = store.absolute(entry.file)
    try:
        header = read_header(path)
        spooled = store.spooled(path.read_bytes())
    except (HeaderError, FileNotFoundError) as error:
        why = "its file is gone" if isinstance(error, FileNotFoundError) else str(error)
        raise NodeError(f"quarantine {identifier}: stays, it cannot be indexed: {why}") from error
    try:
        registration = admit(spooled, header, entry.calling_ae, datetime.now(UTC), store, Index(engine))
    finally:
        spooled.unlink(missing_ok=True)
    # After a crash before this line it is released again, and then a duplicate.
    _end(engine, store, entry, QuarantineState.RELEASED, because or f"released as {registration}")
    return Released(identifier, header.study_instance_uid, header.sop_instance_uid, registration)


def discard(settings: Settings, identifier: int, because: str) -> Discarded:
    """Remove the file of an entry for good; the entry stays with the reason.

    Raises:
        NodeError: there is no such entry, it has ended, or no reason is given.
    """
    if not because.strip():
        raise NodeError(f"quarantine {identifier}: say why it is discarded")
    engine, store = open_engine(settings.storage_url), ObjectStore(settings.root)
    entry = _held(engine, identifier)
    return Discarded(identifier, because, _end(engine, store, entry, QuarantineState.DISCARDED, because))


def _end(engine: Engine, store: ObjectStore, entry: QuarantineRecord, to: QuarantineState, because: str) -> bool:
    """Put the end of an entry on record, then remove its file unless another needs it; whether it was removed."""
    with database.writing(engine).begin() as connection:
        ended = quarantine_entries.end(connection, entry.identifier, to, because, datetime.now(UTC))
    if not ended:
        raise NodeError(f"quarantine {entry.identifier}: another person has ended it meanwhile")
    log.warning("quarantine %d (%s): %s: %s", entry.identifier, entry.file.path.name, to.lower(), because)
    with engine.connect() as connection:
        if quarantine_entries.needs(connection, entry.file):
            return False
    path = store.absolute(entry.file)
    for gone in (path, path.with_suffix(".json")):  # the reason lies beside it
        gone.unlink(missing_ok=True)
    sync(path.parent)
    return True


def _entry(engine: Engine, identifier: int) -> QuarantineRecord:
    with engine.connect() as connection:
        found = quarantine_entries.entry(connection, identifier)
    if found is None:
        raise NodeError(f"quarantine {identifier}: no such entry")
    return found


def _held(engine: Engine, identifier: int) -> QuarantineRecord:
    entry = _entry(engine, identifier)
    if entry.state is not QuarantineState.HELD:
        raise NodeError(f"quarantine {identifier}: was {entry.state.lower()} before: {entry.ended_because}")
    return entry
