"""Received files that cannot be indexed: looked at, released by the ordinary door, or discarded for a reason.

Nothing leaves the quarantine unrecorded: an entry stays with its state, its time and a reason when its file is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from node.errors import NodeError
from node.settings import Settings
from storage import database, quarantine_entries
from storage.database import open_engine
from storage.durability import sync
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import read_header, readable_uids
from storage.index import Index
from storage.quarantine import DAMAGED_HERE
from storage.records import InstanceHeader, QuarantineRecord, QuarantineState, Registration

if TYPE_CHECKING:
    from node.operations.intake import Giver, Intake, Taken

log = logging.getLogger(__name__)


_INSTANCE = "SOP Instance UID"


class _OfAnotherError(NodeError):
    """A file is not known to be of the object that an entry is of."""


class StillBrokenError(NodeError):
    """An entry cannot be indexed today either; `came_back` says under which number it is held, and why."""

    def __init__(self, came_back: CameBack) -> None:
        super().__init__(came_back.sentence)
        self.came_back = came_back


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
class CameBack:
    """An entry that could not be taken in: under which number it is held now, and why."""

    identifier: int
    held_as: int
    reason: str

    @property
    def sentence(self) -> str:
        """What is said of it, to a person."""
        held_as = f" as {self.held_as}" if self.held_as != self.identifier else ""
        return f"quarantine {self.identifier}: stays{held_as}, it cannot be indexed: {self.reason}"


@dataclass(frozen=True, slots=True)
class ReleasedMany:
    """What came in of several entries, and what came back."""

    released: tuple[Released, ...]
    came_back: tuple[CameBack, ...]


@dataclass(frozen=True, slots=True)
class Discarded:
    """An entry that was discarded; `file_removed` is False where another entry still holds the same bytes."""

    identifier: int
    reason: str
    file_removed: bool


@dataclass(frozen=True, slots=True)
class DiscardedMany:
    """Several entries that were discarded."""

    discarded: tuple[Discarded, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are meant: these, or all that are held and for which the rest holds.

    `sender`: the AE title that sent them. `older_than`: received so long ago, or longer.
    """

    numbers: tuple[int, ...] = ()
    sender: str = ""
    older_than: timedelta | None = None


def chosen(settings: Settings, selection: Selection) -> tuple[QuarantineRecord, ...]:
    """The entries that are meant, all of them held.

    Raises:
        NodeError: one that is named is not there, or is not held.
    """
    engine = open_engine(settings.storage_url)
    if selection.numbers:
        return tuple(_held(engine, number) for number in dict.fromkeys(selection.numbers))
    before = None if selection.older_than is None else datetime.now(UTC) - selection.older_than
    with engine.connect() as connection:
        return quarantine_entries.held_ones(connection, selection.sender, before)


def release_many(settings: Settings, numbers: Iterable[int], because: str = "") -> ReleasedMany:
    """Take entries in one after the other; what cannot be indexed today either comes back, with today's reason."""
    engine, store = open_engine(settings.storage_url), ObjectStore(settings.root)
    released, came_back = [], []
    for number in numbers:
        try:
            released.append(_release(engine, store, number, because))
        except StillBrokenError as error:
            came_back.append(error.came_back)
    return ReleasedMany(tuple(released), tuple(came_back))


def discard_many(settings: Settings, numbers: Iterable[int], because: str) -> DiscardedMany:
    """Remove the files of entries for good; the entries stay with the reason.

    Raises:
        NodeError: no reason is given, or one is not held any more; those before it are discarded.
    """
    return DiscardedMany(tuple(discard(settings, number, because) for number in numbers))


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
        NodeError: there is no such entry, it has ended, or its file cannot be indexed today either; then it is held
            for that reason.
    """
    return _release(open_engine(settings.storage_url), ObjectStore(settings.root), identifier, because)


def _release(engine: Engine, store: ObjectStore, identifier: int, because: str) -> Released:
    # With it comes pynetdicom, which the other operations do without.
    from node.services.store import admit

    entry = _held(engine, identifier)
    if DAMAGED_HERE in entry.reason:
        # It can be read, and would become the latest revision of the object that it was.
        raise StillBrokenError(_came_back(engine, entry, entry.reason))
    path = store.absolute(entry.file)
    try:
        header = read_header(path)
        spooled = store.spooled(path.read_bytes())
    except (HeaderError, FileNotFoundError) as error:
        why = "its file is gone" if isinstance(error, FileNotFoundError) else str(error)
        raise StillBrokenError(_came_back(engine, entry, why)) from error
    try:
        registration = admit(spooled, header, entry.calling_ae, datetime.now(UTC), store, Index(engine))
    finally:
        spooled.unlink(missing_ok=True)
    # After a crash before this line it is released again, and then a duplicate.
    _end(engine, store, entry, QuarantineState.RELEASED, because or f"released as {registration}")
    return Released(identifier, header.study_instance_uid, header.sop_instance_uid, registration)


def replace(settings: Settings, identifier: int, intake: Intake, giver: Giver, mended: Path, because: str) -> Taken:
    """Take a mended file in, as what is uploaded, in the place of an entry, which ends; the file of the entry goes.

    Raises:
        NodeError: there is no such entry, it has ended, the mended file is not taken in either, or is not known to be
            of the same object; the entry stays with its file.
    """
    # With it comes pynetdicom, which the other operations do without.
    from node.operations.intake import Became

    engine, store = open_engine(settings.storage_url), ObjectStore(settings.root)
    entry = _held(engine, identifier)
    if DAMAGED_HERE in entry.reason:
        raise StillBrokenError(_came_back(engine, entry, entry.reason))
    stays = f"quarantine {identifier}: stays, the mended file is not taken in"
    try:
        known = _agreeing(store.absolute(entry.file), read_header(mended))
    except (HeaderError, _OfAnotherError) as error:
        raise NodeError(f"{stays}: {error}") from error
    with mended.open("rb") as source:
        taken = intake.take(f"mended {identifier}", source, giver)
    if taken.became is Became.OWN_RESULT:
        raise NodeError(f"{stays}: it is a result of this node, of which nothing is stored")
    if not taken.is_kept:
        raise NodeError(f"{stays}: {taken.reason}")
    if taken.became is Became.DUPLICATE and _INSTANCE not in known:
        raise NodeError(f"{stays}: it is an object that was here before, and need not be that of the entry")
    _end(engine, store, entry, QuarantineState.RELEASED, because)
    return taken


def _agreeing(held: Path, mended: InstanceHeader) -> dict[str, str]:
    """The UIDs that can be read in a file that is held, which are those of the mended one.

    Raises:
        _OfAnotherError: one is not, or there is none.
    """
    given = {
        "Study Instance UID": mended.study_instance_uid,
        "Series Instance UID": mended.series_instance_uid,
        _INSTANCE: mended.sop_instance_uid,
    }
    found = readable_uids(held) if held.exists() else {}
    known = {name: found[name] for name in given if name in found}
    for name, uid in known.items():
        if uid != given[name]:
            raise _OfAnotherError(f"its {name} is {given[name]}, that of the entry {uid}")
    if not known:
        raise _OfAnotherError("of the entry no UID can be read: upload the mended file, and discard the entry")
    return known


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


def _came_back(engine: Engine, entry: QuarantineRecord, reason: str) -> CameBack:
    """Put on record why an entry cannot be indexed today."""
    if reason == entry.reason:
        return CameBack(entry.identifier, entry.identifier, reason)
    now = datetime.now(UTC)
    held_as = database.transact(engine, lambda it: quarantine_entries.hold_for(it, entry, reason, now))
    log.warning("quarantine %d came back as %d: %s", entry.identifier, held_as, reason)
    return CameBack(entry.identifier, held_as, reason)


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
