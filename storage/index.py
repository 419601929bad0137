"""The index of what was received: instances, studies and their states, verdicts, quarantine.

A transition holds the study's row from the look to the change. Associations register concurrently: unique
constraints decide, and the loser looks again. Asking for what is already so is answered with yes: workflow steps
repeat after a crash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, Row, delete, insert, or_, select, update

from storage import (
    arrivals,
    associations,
    database,
    due,
    objects,
    quarantine,
    registration,
    rejections,
    schema,
    studies,
)
from storage.grouping import Group
from storage.identity import InstanceKey
from storage.records import (
    InstanceHeader,
    InstanceRecord,
    OpenAssociation,
    PatientIdentity,
    Registration,
    RejectionNote,
    StoredFile,
    StudyRecord,
    StudyState,
)
from storage.registration import Arrived
from storage.turn import Turn

_RESTED = (schema.study.c.last_received_at, schema.study.c.study_instance_uid)
_RECEIVING = select(schema.study).where(schema.study.c.state == StudyState.RECEIVING)


class Index:
    """The received instances and studies of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = Turn(engine)
        self._registrations: Group[Arrived, Registration] = Group(self._register_all)

    @property
    def engine(self) -> Engine:
        """The engine of the database, for those who read other tables of it."""
        return self._engine

    @property
    def database_url(self) -> str:
        """Of the database, with what is needed to open it: another process can."""
        return self._engine.url.render_as_string(hide_password=False)

    # --- instances

    def register(
        self,
        header: InstanceHeader,
        file: StoredFile,
        calling_ae: str,
        now: datetime,
        association: OpenAssociation | None = None,
        note: RejectionNote | None = None,
    ) -> Registration:
        """Make a stored instance known, durably; `note` is what it rejects, where it is a rejection note.

        One transaction serves all threads that wait for one; a thread alone waits for no other.

        NEW or REVISED that changes the plan of a study (`storage.reopening`) opens the next revision of one that
        already left RECEIVING; so does a note in the studies of which it rejects what is there. DUPLICATE (the latest
        revision has the same content) and OWN_RESULT (`storage.objects`) change nothing. Where an association is
        given, it counts as open for the study where the instance is one that changes the plan; once an association
        and study is enough.
        """
        return self._registrations.do(Arrived(header, file, calling_ae, now, association, note))

    def _register_all(self, arrived: Sequence[Arrived]) -> Sequence[Registration]:
        with self._turn:
            return database.transact(self._engine, lambda connection: registration.register_all(connection, arrived))

    def has_uid_of_result(self, sop_instance_uid: str) -> bool:
        """Whether the object is there as a result of this node: nothing has to be kept of it."""
        with self._engine.connect() as connection:
            return objects.has_uid_of_result(connection, sop_instance_uid)

    def has_file(self, header: InstanceHeader, path: Path) -> bool:
        """Whether an object of any origin has this file, whose path is relative to the root of the files."""
        with self._engine.connect() as connection:
            return objects.has_file(connection, header, path)

    def returned_series(self, study_uid: str) -> frozenset[str]:
        """Series Instance UIDs under which results of this node came back in a study."""
        with self._engine.connect() as connection:
            return objects.returned_series(connection, study_uid)

    def rejected(self, study_uid: str) -> dict[InstanceKey, str]:
        """The objects of a study that rejection notes name, with the code of the title of the note."""
        with self._engine.connect() as connection:
            return rejections.rejected(connection, study_uid)

    def instances(self, study_uid: str) -> tuple[InstanceRecord, ...]:
        """The latest revision of each object, in order of first arrival within each series."""
        with self._engine.connect() as connection:
            return objects.latest(connection, study_uid)

    def pinned(self, study_uid: str, revision: int) -> tuple[InstanceRecord, ...]:
        """The instances of a revision as it was queued, in the order of `instances`; none before that."""
        with self._engine.connect() as connection:
            return studies.pinned(connection, study_uid, revision)

    def elsewhere(self, study_uid: str) -> dict[InstanceKey, tuple[str, ...]]:
        """Objects of a study whose SOP Instance UID objects of other studies have as well, with the other studies."""
        with self._engine.connect() as connection:
            return objects.elsewhere(connection, study_uid)

    # --- associations

    def open_associations(self, now: datetime) -> Counter[str]:
        """How many associations have stored something of a study and have not ended, by its UID."""
        with self._engine.connect() as connection:
            return associations.count(connection, now)

    def renew_associations(self, identifiers: Collection[str], until: datetime) -> None:
        """Prolong the lease of associations that are still open."""
        with database.writing(self._engine).begin() as connection:
            associations.renew(connection, identifiers, until)

    def end_associations(self, identifiers: Collection[str]) -> None:
        """Associations were released or aborted: they hold no study any more."""
        with database.writing(self._engine).begin() as connection:
            associations.end(connection, identifiers)

    def discard_expired_associations(self, now: datetime) -> None:
        """Forget what a process that died has left behind."""
        with database.writing(self._engine).begin() as connection:
            associations.discard_expired(connection, now)

    # --- studies

    def study(self, uid: str) -> StudyRecord | None:
        """The study, if anything of it was received."""
        with self._engine.connect() as connection:
            row = connection.execute(select(schema.study).where(schema.study.c.study_instance_uid == uid)).one_or_none()
        return None if row is None else study_record(row)

    def studies(self, *states: StudyState) -> tuple[StudyRecord, ...]:
        """Studies in one of these states (all when none is named), the one that rested longest first."""
        query = select(schema.study).order_by(*_RESTED)
        if states:
            query = query.where(schema.study.c.state.in_(states))
        with self._engine.connect() as connection:
            return tuple(study_record(row) for row in connection.execute(query))

    def resting(self, since: datetime, now: datetime) -> tuple[StudyRecord, ...]:
        """Studies that are RECEIVING and got nothing after `since`, the one that rested longest first.

        With them those that have got something later than `now`, which no clock says that is right.
        """
        column = schema.study.c.last_received_at
        resting = _RECEIVING.where(or_(column <= since, column > now + due.TOLERANCE)).order_by(*_RESTED)
        with self._engine.connect() as connection:
            return tuple(study_record(row) for row in connection.execute(resting))

    def has_arrived(self, study_uid: str, now: datetime) -> None:
        """A study of which something is said to have come later than `now` has got nothing since now."""
        with database.writing(self._engine).begin() as connection:
            arrivals.correct(connection, study_uid, now)

    def follow_clock(self, moved: timedelta, now: datetime, since: datetime | None = None) -> None:
        """The clock was set, and says `now`: studies that are RECEIVING have rested for as long as before.

        So have others that came after `since`, when this node started by the clock as it was.
        """
        with database.writing(self._engine).begin() as connection:
            arrivals.follow(connection, moved, now, since)

    def received_next(self, after: datetime) -> datetime | None:
        """The first moment later than `after` since which a study that is RECEIVING has got nothing."""
        column = schema.study.c.last_received_at
        query = select(column).where(schema.study.c.state == StudyState.RECEIVING, column > after)
        with self._engine.connect() as connection:
            return connection.scalar(query.order_by(column).limit(1))

    def queued(self) -> list[tuple[str, int]]:
        """UID and revision of each study that is QUEUED, the one that rested longest first."""
        table = schema.study
        query = select(table.c.study_instance_uid, table.c.revision).where(table.c.state == StudyState.QUEUED)
        with self._engine.connect() as connection:
            return [(uid, revision) for uid, revision in connection.execute(query.order_by(*_RESTED))]

    def revisions(self, studies: Collection[str]) -> dict[str, tuple[int, StudyState]]:
        """The revision and the state of those of these studies that are known; at most some hundred are asked for."""
        table = schema.study
        query = select(table.c.study_instance_uid, table.c.revision, table.c.state)
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(table.c.study_instance_uid.in_(studies)))
            return {uid: (revision, StudyState(state)) for uid, revision, state in rows}

    def move(self, study_uid: str, revision: int, to: StudyState, reason: str = "", caution: str = "") -> bool:
        """Move this revision of a study to another state; becoming QUEUED pins it to the instances that are there.

        `caution` is what has to be known of these, of a revision that becomes QUEUED.

        Returns:
            False when the study has moved on to a newer revision, or its analysis was cancelled: the caller's work is
            out of date. True when the study is in the state now, also when it was before.

        Raises:
            TransitionError: STUDY_TRANSITIONS does not allow the move, or there is no such revision.
        """
        with database.writing(self._engine).begin() as connection:
            return studies.move(connection, study_uid, revision, to, reason, caution)

    def explain(self, study_uid: str, revision: int, reason: str) -> None:
        """Say why a study that is RECEIVING is not taken yet; one that has moved on is left alone."""
        table = schema.study
        with database.writing(self._engine).begin() as connection:
            connection.execute(
                update(table)
                .where(
                    table.c.study_instance_uid == study_uid,
                    table.c.revision == revision,
                    table.c.state == StudyState.RECEIVING,
                )
                .values(reason=reason)
            )

    def meant_patient(self, study_uid: str) -> PatientIdentity | None:
        """The patient of a study that names two, where a person has said who is meant."""
        table = schema.meant_patient
        with self._engine.connect() as connection:
            row = connection.execute(select(table).where(table.c.study_instance_uid == study_uid)).one_or_none()
        return None if row is None else PatientIdentity(row.identifier, row.issuer, row.born)

    # --- verdicts

    def keep_verdict(self, study_uid: str, revision: int, document: str) -> None:
        """Keep why each series was used or not (JSON of recognition); a second call replaces it."""
        table = schema.verdict

        def keep(connection: Connection) -> None:
            connection.execute(
                delete(table).where(table.c.study_instance_uid == study_uid, table.c.revision == revision)
            )
            connection.execute(insert(table).values(study_instance_uid=study_uid, revision=revision, document=document))

        database.transact(self._engine, keep)

    def verdict(self, study_uid: str, revision: int | None = None) -> str | None:
        """The verdict of a revision, or the latest one."""
        table = schema.verdict
        query = (
            select(table.c.document)
            .where(table.c.study_instance_uid == study_uid)
            .order_by(table.c.revision.desc())
            .limit(1)
        )
        if revision is not None:
            query = query.where(table.c.revision == revision)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    # --- quarantine

    def keep_quarantine(self, file: StoredFile, reason: str, calling_ae: str, now: datetime) -> None:
        """Note bytes that could not be indexed; the same ones again only renew the time."""
        database.transact(self._engine, lambda connection: quarantine.keep(connection, file, reason, calling_ae, now))


def study_record(row: Row[tuple[object, ...]]) -> StudyRecord:
    """The study in a row of its table."""
    return StudyRecord(
        study_instance_uid=row.study_instance_uid,
        revision=row.revision,
        state=StudyState(row.state),
        series_count=row.series_count,
        instance_count=row.instance_count,
        first_received_at=row.first_received_at,
        last_received_at=row.last_received_at,
        changed=row.changed,
        reason=row.reason,
        caution=row.caution,
    )
