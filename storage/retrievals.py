"""Studies that are to be fetched from other systems, and how far that has come: what is there and here, why short.

Whoever fetches one claims it for a time, with one guarded statement, and says how the attempt ended. What was claimed
by a process that died is due again when its claim has run out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, insert, or_, select, update

from storage import database, due
from storage.maintenance_schema import damage
from storage.schema import dicom_object, retrieval


class RetrievalState(StrEnum):
    """Where the retrieval of a study stands.

    QUEUED: to be fetched, or the rest of it, when its time has come. COMPLETE: all that the remote had is here.
    FAILED: it waits for a person, or for the remote to have more.
    """

    QUEUED = "QUEUED"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class RetrievalRecord:
    """A study at a remote.

    Attributes:
        at_remote: instances that the remote has, as it last said; 0: it is not known.
        here: instances that are here, as they were last counted.
        attempts: since it was last asked for.
        reason: why it is not complete; empty where it is, or was not tried.
    """

    identifier: int
    remote: str
    study_instance_uid: str
    state: RetrievalState
    at_remote: int
    here: int
    attempts: int
    asked_at: datetime
    last_attempt_at: datetime | None
    next_attempt_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """The end of an attempt; `again_at` is None where no other follows, and not `counted` one that was none."""

    at_remote: int
    here: int
    reason: str = ""
    again_at: datetime | None = None
    counted: bool = True

    @property
    def state(self) -> RetrievalState:
        """The state that follows."""
        if not self.reason:
            return RetrievalState.COMPLETE
        return RetrievalState.FAILED if self.again_at is None else RetrievalState.QUEUED


class Retrievals:
    """The retrievals of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def records(
        self, remote: str = "", states: Collection[RetrievalState] = (), limit: int | None = None
    ) -> tuple[RetrievalRecord, ...]:
        """Of one remote or of all, the last that was asked for first; the first `limit` of them."""
        query = select(retrieval).order_by(retrieval.c.asked_at.desc(), retrieval.c.identifier.desc())
        if remote:
            query = query.where(retrieval.c.remote == remote)
        if states:
            query = query.where(retrieval.c.state.in_(states))
        with self._engine.connect() as connection:
            return tuple(_record(row) for row in connection.execute(query.limit(limit)))

    def want(self, remote: str, studies: Mapping[str, int], now: datetime, anew: bool) -> int:
        """Have studies fetched, of which the remote has so many instances (0: unknown); returns how many are due now.

        One that is COMPLETE is fetched again where the remote has more than are here, or may have; one that is FAILED
        where it has another number than before. With `anew` every one is looked at now, with a fresh count of attempts.
        """
        return database.transact(self._engine, lambda connection: _want(connection, remote, studies, now, anew))

    def new(self, remote: str, studies: Mapping[str, int]) -> list[str]:
        """Studies that `want` would have fetched, without `anew`."""
        query = select(retrieval).where(retrieval.c.remote == remote)
        with self._engine.connect() as connection:
            rows = {row.study_instance_uid: row for row in connection.execute(query)}
        return [study for study, count in studies.items() if _is_wanted(rows.get(study), count)]

    def due(
        self, remote: str, now: datetime, limit: int = 100, longest: timedelta | None = None
    ) -> tuple[RetrievalRecord, ...]:
        """What can be claimed, that first which waits longest; `longest`: for which one is ever put off."""
        query = select(retrieval).where(retrieval.c.remote == remote, *_is_due(now, longest))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(retrieval.c.next_attempt_at, retrieval.c.identifier).limit(limit))
            return tuple(_record(row) for row in rows)

    def claim(self, identifier: int, now: datetime, until: datetime, longest: timedelta | None = None) -> bool:
        """Claim a retrieval that is due; False where another has it, or it is not due any more."""
        return self._change(identifier, [*_is_due(now, longest)], claimed_until=until)

    def extend(self, identifier: int, until: datetime) -> None:
        """Prolong a claim."""
        self._change(identifier, [retrieval.c.claimed_until.is_not(None)], claimed_until=until)

    def give_back(self, identifier: int) -> None:
        """End a claim without an attempt: it was interrupted."""
        self._change(identifier, [retrieval.c.state == RetrievalState.QUEUED], claimed_until=None)

    def settle(self, identifier: int, attempt: Attempt, now: datetime) -> bool:
        """An attempt has ended; False where the retrieval is not open any more."""
        return self._change(
            identifier,
            [retrieval.c.state == RetrievalState.QUEUED],
            state=attempt.state,
            at_remote=attempt.at_remote,
            here=attempt.here,
            reason=attempt.reason,
            attempts=retrieval.c.attempts + int(attempt.counted),
            last_attempt_at=now,
            next_attempt_at=attempt.again_at or now,
            claimed_until=None,
        )

    def of_study(self, study_instance_uid: str) -> dict[str, RetrievalRecord]:
        """The retrievals of a study, by the name of the remote."""
        query = select(retrieval).where(retrieval.c.study_instance_uid == study_instance_uid)
        with self._engine.connect() as connection:
            return {row.remote: _record(row) for row in connection.execute(query)}

    def here(self, study_instance_uid: str) -> dict[str, frozenset[str]]:
        """Objects of a study that are here whole, whatever their origin: SOP Instance UIDs by Series Instance UID."""
        columns = dicom_object.c.series_instance_uid, dicom_object.c.sop_instance_uid
        whole = dicom_object.c.identifier.not_in(select(damage.c.object))
        query = select(*columns).where(dicom_object.c.study_instance_uid == study_instance_uid, whole).distinct()
        found: dict[str, set[str]] = {}
        with self._engine.connect() as connection:
            for series, uid in connection.execute(query):
                found.setdefault(series, set()).add(uid)
        return {series: frozenset(uids) for series, uids in found.items()}

    def _change(self, identifier: int, guards: list[ColumnElement[bool]], **values: object) -> bool:
        with database.writing(self._engine).begin() as connection:
            changed = connection.execute(
                update(retrieval).where(retrieval.c.identifier == identifier, *guards).values(**values)
            )
        return bool(changed.rowcount)


def count_short(connection: Connection) -> dict[str, int]:
    """How many studies of each remote were tried and are not here whole."""
    table = retrieval
    short = (table.c.state != RetrievalState.COMPLETE) & (table.c.last_attempt_at.is_not(None))
    found = connection.execute(select(table.c.remote, func.count()).where(short).group_by(table.c.remote))
    return {remote: int(count) for remote, count in found}


def _is_due(now: datetime, longest: timedelta | None = None) -> tuple[ColumnElement[bool], ...]:
    table = retrieval
    nobodys = or_(table.c.claimed_until.is_(None), due.has_come(table.c.claimed_until, now, longest))
    return table.c.state == RetrievalState.QUEUED, due.has_come(table.c.next_attempt_at, now, longest), nobodys


def _want(connection: Connection, remote: str, studies: Mapping[str, int], now: datetime, anew: bool) -> int:
    for study, count in studies.items():
        known = connection.execute(
            select(retrieval).where(retrieval.c.remote == remote, retrieval.c.study_instance_uid == study)
        ).one_or_none()
        values: dict[str, object] = {"state": RetrievalState.QUEUED, "at_remote": count, "next_attempt_at": now}
        values |= {"attempts": 0, "asked_at": now}
        if known is None:
            key = {"remote": remote, "study_instance_uid": study}
            connection.execute(insert(retrieval).values(**key, **values, here=0, reason=""))
        elif anew or _is_wanted(known, count):
            values["claimed_until"] = None  # of whoever has it; it goes on, and what comes twice is kept once
            connection.execute(update(retrieval).where(retrieval.c.identifier == known.identifier).values(**values))
    found = select(func.count()).select_from(retrieval).where(retrieval.c.remote == remote, *_is_due(now))
    return int(connection.scalar(found.where(retrieval.c.study_instance_uid.in_(list(studies)))) or 0)


def _is_wanted(known: Row[tuple[object, ...]] | None, count: int) -> bool:
    if known is None:
        return True
    match RetrievalState(known.state):
        case RetrievalState.COMPLETE:
            return count > known.here
        case RetrievalState.FAILED:
            return bool(count) and count != known.at_remote
    return False


def _record(row: Row[tuple[object, ...]]) -> RetrievalRecord:
    return RetrievalRecord(
        identifier=row.identifier,
        remote=row.remote,
        study_instance_uid=row.study_instance_uid,
        state=RetrievalState(row.state),
        at_remote=row.at_remote,
        here=row.here,
        attempts=row.attempts,
        asked_at=row.asked_at,
        last_attempt_at=row.last_attempt_at,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
    )
