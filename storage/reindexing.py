"""Objects and catalogue made anew from the files alone, into a database without objects.

What files cannot tell is not guessed. A study with results that were made here is COMPLETED; every other one is
RECEIVING and taken up in the ordinary way, as if it had just come in. Deliveries are UNKNOWN: nothing is sent until a
person orders it. From whom an object came is not known, and it arrived when its file was written. That a person said
which patient is meant is lost; so is that a result was taken back, which the caller may find out anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select, update

from storage import database, delivery_rows, ledger, quarantine, registration
from storage.catalogue.filling import WithheldError, catch_up
from storage.catalogue.header import Settle
from storage.errors import HeaderError, StorageError
from storage.files import ObjectStore
from storage.header import content_of, read_header
from storage.records import (
    DeliveryState,
    InstanceHeader,
    Registration,
    RejectionNote,
    ResultRecord,
    StoredFile,
    StudyState,
)
from storage.schema import dicom_object, result, study

_BATCH = 500  # objects in one transaction
_REASON = "the index was made anew from the files; results of this study are there"
_UNKNOWN_REASON = "why it was put aside is not known: the note beside it cannot be read"
_ROLE = "unknown"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Facts that the caller has of the objects.

    Attributes:
        uid_root: root of the UIDs of results, with its trailing dot.
        destinations: names of those that results are for.
        gets: whether one of them gets results of a SOP class in a role.
        results: the study revisions that have a result, and its role in them, by SOP Instance UID; of others 1 and
            unknown.
        revisions: the greatest revision of which anything is left, by Study Instance UID.
        note_of: what an object rejects, by its file and SOP Class UID.
        settle: see `storage.catalogue.filling.catch_up`.
    """

    uid_root: str
    destinations: tuple[str, ...] = ()
    gets: Callable[[str, str, str], bool] = lambda _destination, _sop_class, _role: True
    results: Mapping[str, Sequence[tuple[int, str]]] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)
    note_of: Callable[[Path, str], RejectionNote | None] = lambda _path, _sop_class: None
    settle: Settle | None = None


@dataclass(frozen=True, slots=True)
class Reindexed:
    """How many objects there are now, and why files are left out, by path relative to the root."""

    received: int
    duplicates: int
    made: int
    returned: int
    completed: int
    receiving: int
    quarantined: int
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """An object as its file shows it."""

    header: InstanceHeader
    file: StoredFile
    written_at: datetime


def reindex(engine: Engine, files: ObjectStore, known: Knowledge) -> Reindexed:
    """Make objects, quarantine and catalogue anew.

    Raises:
        StorageError: the database holds objects.
        OSError: a folder cannot be read.
    """
    _require_empty(engine)
    left_out: dict[str, str] = {}
    made: list[_Found] = []
    others: list[_Found] = []
    for found in _objects(files, left_out):
        (made if _is_made_here(found.header, known) else others).append(found)
    for each in (made, others):
        each.sort(key=lambda found: (found.written_at, found.file.path))
    # Results first: by them it is known what came back.
    _in_batches(engine, made, lambda connection, found: _keep_result(connection, found, known))
    counts: Counter[Registration] = Counter()

    def register(connection: Connection, found: _Found) -> None:
        note = known.note_of(files.absolute(found.file), found.header.sop_class_uid)
        registered = registration.register(connection, found.header, found.file, "", found.written_at, note=note)
        counts[registered] += 1

    _in_batches(engine, others, register)
    quarantined = _quarantine(engine, files)
    with database.writing(engine).begin() as connection:
        completed, receiving = _settle_states(connection, known)
    try:
        while catch_up(engine, files, settle=known.settle):
            pass
    except WithheldError as error:  # the node catalogues them once the disk gives them
        left_out |= {path: f"not in the catalogue yet: {reason}" for path, reason in error.reasons.items()}
    return Reindexed(
        received=counts[Registration.NEW] + counts[Registration.REVISED],
        duplicates=counts[Registration.DUPLICATE],
        made=len(made),
        returned=counts[Registration.OWN_RESULT],
        completed=completed,
        receiving=receiving,
        quarantined=quarantined,
        left_out=left_out,
    )


def _require_empty(engine: Engine) -> None:
    with engine.connect() as connection:
        if connection.execute(select(dicom_object.c.identifier).limit(1)).first() is not None:
            where = engine.url.render_as_string()
            raise StorageError(f"{where}: the database holds objects; stop the node and move it away first")


def _objects(files: ObjectStore, left_out: dict[str, str]) -> Iterator[_Found]:
    """Every object of the store whose file is whole; of the others why they are not."""
    for path in sorted((files.root / "objects").rglob("*.dcm")):
        name = path.relative_to(files.root)
        try:
            header, content = read_header(path), content_of(path)
            status = path.stat()
        except (HeaderError, OSError) as error:
            left_out[name.as_posix()] = str(error) if isinstance(error, HeaderError) else f"{error.strerror}"
            continue
        # The name ends with the content, before the syntax was part of it with the digest of the data set alone.
        if path.stem.rpartition("-")[2] not in (content.identifier[:16], content.digest[:16]):
            left_out[name.as_posix()] = "its content is not the one that was stored under its name"
            continue
        written_at = datetime.fromtimestamp(status.st_mtime, UTC)
        yield _Found(header, StoredFile(name, content.digest, status.st_size), written_at)


def _is_made_here(header: InstanceHeader, known: Knowledge) -> bool:
    """Whether it is a result under the UID that this node gave it; of nodes with one root nothing tells them apart."""
    uid = header.sop_instance_uid
    return uid in known.results or (header.made_here and uid.startswith(known.uid_root))


def _in_batches(engine: Engine, found: Sequence[_Found], work: Callable[[Connection, _Found], None]) -> None:
    for begin in range(0, len(found), _BATCH):
        with database.writing(engine).begin() as connection:
            for each in found[begin : begin + _BATCH]:
                work(connection, each)


def _keep_result(connection: Connection, found: _Found, known: Knowledge) -> None:
    header = found.header
    results = [
        ResultRecord(
            study_instance_uid=header.study_instance_uid,
            revision=revision,
            role=role,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            series_instance_uid=header.series_instance_uid,
            file=found.file,
            transfer_syntax_uid=header.transfer_syntax_uid,
        )
        for revision, role in known.results.get(header.sop_instance_uid, [(1, _ROLE)])
    ]
    first, *_ = ledger.keep_results(connection, results)
    due = {header.sop_instance_uid: first}
    destinations = [name for name in known.destinations if known.gets(name, header.sop_class_uid, results[0].role)]
    delivery_rows.enqueue(connection, due, destinations, found.written_at, DeliveryState.UNKNOWN)


def _settle_states(connection: Connection, known: Knowledge) -> tuple[int, int]:
    """Give each study its state and revision; how many are COMPLETED, and how many RECEIVING."""
    latest = select(result.c.study_instance_uid, func.max(result.c.revision)).group_by(result.c.study_instance_uid)
    with_results: dict[str, int] = {uid: revision for uid, revision in connection.execute(latest)}
    states: Counter[StudyState] = Counter()
    for uid in connection.scalars(select(study.c.study_instance_uid)).all():
        used = max(known.revisions.get(uid, 0), with_results.get(uid, 0))
        values: dict[str, object] = {"state": StudyState.COMPLETED, "revision": used, "reason": _REASON}
        if uid not in with_results:
            # The next one: what is left of an analysis that ended without results must not be taken for its own.
            values = {"state": StudyState.RECEIVING, "revision": used + 1}
        states[StudyState(str(values["state"]))] += 1
        connection.execute(update(study).where(study.c.study_instance_uid == uid).values(values))
    return states[StudyState.COMPLETED], states[StudyState.RECEIVING]


def _quarantine(engine: Engine, files: ObjectStore) -> int:
    count = 0
    for path in sorted((files.root / "quarantine").glob("*.dcm")):
        file = StoredFile(path.relative_to(files.root), content_of(path).digest, path.stat().st_size)
        written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        with database.writing(engine).begin() as connection:
            quarantine.keep(connection, file, reason_beside(path), "", written_at)
        count += 1
    return count


def reason_beside(path: Path) -> str:
    """Why bytes are in quarantine, as the note beside them says."""
    try:
        return str(json.loads(path.with_suffix(".json").read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return _UNKNOWN_REASON
