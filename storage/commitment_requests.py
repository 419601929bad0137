"""Storage commitment that others ask this node for (PS3.4 Annex J): their requests, and what became of the reports.

A request is written before it is accepted. Its report is owed from then on: whoever reports claims the request for a
time, and one that was claimed by a process which died is claimed again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from storage import database, due
from storage.records import CommitmentRequest, Reference, ReportState, StoredFile
from storage.removal_schema import committed_study
from storage.schema import commitment_request, dicom_object, stored_file

_table = commitment_request
_QUEUED = _table.c.state == ReportState.QUEUED
_NOT_TAKEN = _table.c.state.in_((ReportState.QUEUED, ReportState.GIVEN_UP))
_AT_ONCE = 500
"""Objects of one statement, which has a parameter for each."""


@dataclass(frozen=True, slots=True)
class KeptObject:
    """An object that is kept here under a SOP Instance UID, and its file."""

    sop_class_uid: str
    file: StoredFile


@dataclass(frozen=True, slots=True)
class Unreported:
    """A request of a remote for commitment of `objects` objects, whose report it has not taken, and why."""

    transaction_uid: str
    remote: str
    objects: int
    received_at: datetime
    state: ReportState
    attempts: int
    reason: str


class CommitmentRequests:
    """The requests of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(
        self,
        transaction_uid: str,
        remote: str,
        called_ae: str,
        references: Sequence[Reference],
        now: datetime,
        report_at: datetime,
    ) -> int:
        """Write a request, durably; the same one again is reported again. Returns its identifier.

        Args:
            transaction_uid: as the remote says; one that another request has makes this one a duplicate.
            remote: name of the one that asks.
            called_ae: what it calls this node.
            references: the objects.
            now: the time of day.
            report_at: when the report is due.
        """
        named = json.dumps([[it.sop_class_uid, it.sop_instance_uid] for it in references])
        fresh = {"state": ReportState.QUEUED, "attempts": 0, "next_attempt_at": report_at, "reason": ""}

        def write(connection: Connection) -> int:
            _keep_studies(connection, [it.sop_instance_uid for it in references])
            same_uid = select(_table).where(_table.c.transaction_uid == transaction_uid).with_for_update()
            known = connection.execute(same_uid.order_by(_table.c.identifier)).all()
            for row in known:
                if (row.asker, row.objects) == (remote, named):
                    again = update(_table).where(_table.c.identifier == row.identifier)
                    connection.execute(again.values(called_ae=called_ae, **fresh))
                    return int(row.identifier)
            values = {"transaction_uid": transaction_uid, "asker": remote, "called_ae": called_ae, "objects": named}
            added = connection.execute(insert(_table).values(duplicate=bool(known), received_at=now, **values, **fresh))
            assert added.inserted_primary_key is not None
            return int(added.inserted_primary_key[0])

        return database.transact(self._engine, write)

    def request(self, identifier: int) -> CommitmentRequest:
        """One request."""
        with self._engine.connect() as connection:
            return _record(connection.execute(select(_table).where(_table.c.identifier == identifier)).one())

    def claim(
        self, remote: str, now: datetime, until: datetime, longest: timedelta | None = None
    ) -> CommitmentRequest | None:
        """The request of a remote whose report is due first; nobody else is given it before `until`.

        `longest`: for which a report is ever put off (`storage.due`).
        """
        mine = _QUEUED, _table.c.asker == remote
        first = select(_table.c.identifier).where(*mine, due.has_come(_table.c.next_attempt_at, now, longest))
        with self._engine.connect() as connection:  # looks without the lock that writers need
            if connection.scalar(first.limit(1)) is None:
                return None
        foremost = first.order_by(_table.c.next_attempt_at).limit(1).with_for_update(skip_locked=True)
        with database.writing(self._engine).begin() as connection:
            identifier = connection.scalar(foremost)
            if identifier is None:
                return None
            this = _table.c.identifier == identifier
            one_more = {"next_attempt_at": until, "attempts": _table.c.attempts + 1}
            connection.execute(update(_table).where(this).values(one_more))
            return _record(connection.execute(select(_table).where(this)).one())

    def taken(self, identifier: int) -> None:
        """The remote has taken the report."""
        self._move(identifier, {"state": ReportState.TAKEN, "reason": ""})

    def postpone(self, identifier: int, reason: str, next_attempt_at: datetime) -> None:
        """The report was not taken: again at that time."""
        self._move(identifier, {"reason": reason, "next_attempt_at": next_attempt_at})

    def give_up(self, identifier: int, reason: str) -> None:
        """The report is not sent any more."""
        self._move(identifier, {"state": ReportState.GIVEN_UP, "reason": reason})

    def give_up_others(self, remotes: Collection[str], reason: str) -> int:
        """No report is sent to remotes that are not among these; returns how many were due to such."""
        others = _QUEUED, _table.c.asker.not_in(sorted(remotes))
        with self._engine.connect() as connection:  # looks without the lock that writers need
            if connection.scalar(select(_table.c.identifier).where(*others).limit(1)) is None:
                return 0
        with database.writing(self._engine).begin() as connection:
            ended = {"state": ReportState.GIVEN_UP, "reason": reason}
            return int(connection.execute(update(_table).where(*others).values(ended)).rowcount)

    def kept(self, sop_instance_uids: Sequence[str]) -> dict[str, list[KeptObject]]:
        """What is kept here under SOP Instance UIDs, the last that came at the end."""
        found: dict[str, list[KeptObject]] = {}
        with self._engine.connect() as connection:
            for begin in range(0, len(sop_instance_uids), _AT_ONCE):
                part = sop_instance_uids[begin : begin + _AT_ONCE]
                query = select(dicom_object).where(dicom_object.c.sop_instance_uid.in_(part))
                for row in connection.execute(query.order_by(dicom_object.c.identifier)):
                    kept = KeptObject(row.sop_class_uid, stored_file(row))
                    found.setdefault(row.sop_instance_uid, []).append(kept)
        return found

    def _move(self, identifier: int, values: dict[str, object]) -> None:
        with database.writing(self._engine).begin() as connection:
            connection.execute(update(_table).where(_table.c.identifier == identifier, _QUEUED).values(values))


def _keep_studies(connection: Connection, sop_instance_uids: Sequence[str]) -> None:
    """Write down of which studies somebody may delete the copy, once these objects are committed."""
    asked: set[str] = set()
    for begin in range(0, len(sop_instance_uids), _AT_ONCE):
        these = dicom_object.c.sop_instance_uid.in_(sop_instance_uids[begin : begin + _AT_ONCE])
        asked.update(connection.scalars(select(dicom_object.c.study_instance_uid).where(these).distinct()))
    studies = committed_study.c.study_instance_uid
    known = set(connection.scalars(select(studies).where(studies.in_(sorted(asked)))))
    if new := sorted(asked - known):
        connection.execute(insert(committed_study), [{"study_instance_uid": uid} for uid in new])


def unreported(connection: Connection, limit: int) -> tuple[Unreported, ...]:
    """The latest requests whose report was not taken, the oldest first: what waits, and what was given up."""
    open_ones = select(_table).where(_NOT_TAKEN)
    rows = connection.execute(open_ones.order_by(_table.c.identifier.desc()).limit(limit)).all()
    found = map(_record, reversed(rows))
    return tuple(
        Unreported(it.transaction_uid, it.remote, len(it.references), it.received_at, it.state, it.attempts, it.reason)
        for it in found
    )


def count_unreported(connection: Connection) -> int:
    """How many requests have a report that was not taken."""
    query = select(func.count()).select_from(_table).where(_NOT_TAKEN)
    return int(connection.execute(query).scalar_one())


def _record(row: Row[tuple[object, ...]]) -> CommitmentRequest:
    return CommitmentRequest(
        identifier=row.identifier,
        transaction_uid=row.transaction_uid,
        remote=row.asker,
        called_ae=row.called_ae,
        references=tuple(Reference(*each) for each in json.loads(row.objects)),
        duplicate=row.duplicate,
        received_at=row.received_at,
        state=ReportState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        reason=row.reason,
    )
