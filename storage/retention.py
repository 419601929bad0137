"""What could be removed, and what keeps each study; within a transaction of the caller.

Each condition that keeps a study is one of the database, so that what was found is looked at again, by the same words,
in the transaction that removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, exists, func, or_, select, tuple_

from storage import catalogue_schema as catalogue
from storage.clock_gaps import Gap, is_before
from storage.known_answer import of_check
from storage.records import ENDED_STATES, DeliveryState, ObjectOrigin, StudyState
from storage.rejection_notes import is_rejected_there
from storage.removal_schema import committed_study, hold
from storage.retrievals import RetrievalState
from storage.schema import IS_UNCOMMITTED, association, delivery, dicom_object, result, retrieval, study

_AT_ONCE = 500
"""UIDs of one statement, which has a parameter for each."""


class Kept(StrEnum):
    """Why a study is not removed."""

    HELD = "it is on hold"
    RECEIVING = "it is being received"
    UNDER_ANALYSIS = "it waits for its analysis, or is analysed"
    RETRIEVED = "it is being retrieved"
    NOT_CATALOGUED = "it is not in the catalogue yet"
    SENDING = "results of it are being sent"
    NOT_DELIVERED = "results of it are not delivered"
    NOT_COMMITTED = "a destination has not committed its results"
    TO_BE_WITHDRAWN = "results of it are to be withdrawn where they are"
    SENT_NOWHERE = "its results were for no destination"
    COMMITTED_TO = "another system was promised by storage commitment that it is kept"
    IN_USE = "it is being stored, or served, just now"
    NOT_DUE = "something has come since, or its state is another"


#: What an order to erase a patient does not override.
UNDER_WAY = frozenset(
    {Kept.HELD, Kept.RECEIVING, Kept.UNDER_ANALYSIS, Kept.RETRIEVED, Kept.NOT_CATALOGUED, Kept.SENDING, Kept.IN_USE}
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides beside the rows of a study.

    Attributes:
        now: the time of day.
        committing: destinations that are asked to commit what they have stored.
        delivers: there are destinations.
        promises_hold: studies are kept of which others were promised so.
    """

    now: datetime
    committing: frozenset[str] = frozenset()
    delivers: bool = True
    promises_hold: bool = True


@dataclass(frozen=True, slots=True)
class Terms:
    """Which studies a rule is for: those in these states, of `ENDED_STATES`, that got nothing after `before`.

    `gaps`: where the clock went on by more than time may have.
    """

    states: frozenset[StudyState]
    before: datetime
    gaps: tuple[Gap, ...] = ()

    @property
    def are_met(self) -> ColumnElement[bool]:
        """As a condition on the row of a study."""
        # What makes no revision leaves `last_received_at`, by which analyses are begun, as it was.
        came_since = exists().where(
            dicom_object.c.study_instance_uid == study.c.study_instance_uid,
            dicom_object.c.origin == ObjectOrigin.RECEIVED,
            ~is_before(dicom_object.c.received_at, self.before, self.gaps),
        )
        rested = is_before(study.c.last_received_at, self.before, self.gaps)
        return and_(study.c.state.in_(sorted(self.states)), rested, ~came_since)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study as rules see it.

    Attributes:
        patient_id: as the catalogue has it; None where it has none of the study.
        images, images_size: objects that came from outside, and their bytes.
        objects, size: all of its objects, and their bytes.
        kept: what keeps it; empty where nothing does.
    """

    study_instance_uid: str
    state: StudyState
    last_received_at: datetime
    patient_id: str | None
    issuer: str | None
    images: int
    images_size: int
    objects: int
    size: int
    kept: tuple[Kept, ...]


def candidates(
    connection: Connection,
    terms: Terms,
    circumstances: Circumstances,
    after: tuple[datetime, str] | None = None,
    limit: int = 200,
    free_only: bool = True,
    with_images: bool = False,
) -> list[Candidate]:
    """Studies that a rule is for, the one that rested longest first.

    Args:
        connection: of the caller.
        terms: of the rule.
        circumstances: see there.
        after: last object and UID of the study behind which to go on.
        limit: the most studies.
        free_only: leave those out that anything keeps.
        with_images: leave those out whose images were removed.
    """
    place = (study.c.last_received_at, study.c.study_instance_uid)
    conditions = [terms.are_met, ~of_check(study.c.study_instance_uid)]  # who checks removes its own
    if after is not None:
        conditions.append(tuple_(*place) > after)
    if with_images:
        conditions.append(study.c.instance_count > 0)
    guards = conditions_that_keep(circumstances)
    if free_only:
        conditions += [~guard for guard in guards.values()]
    rows = connection.execute(_studies(guards).where(*conditions).order_by(*place).limit(limit)).all()
    return _with_sizes(connection, rows, guards)


def of_studies(connection: Connection, study_uids: Sequence[str], circumstances: Circumstances) -> dict[str, Candidate]:
    """These studies, as far as they are there, by their UIDs."""
    guards = conditions_that_keep(circumstances)
    found: dict[str, Candidate] = {}
    for begin in range(0, len(study_uids), _AT_ONCE):
        part = study_uids[begin : begin + _AT_ONCE]
        rows = connection.execute(_studies(guards).where(study.c.study_instance_uid.in_(part))).all()
        found |= {it.study_instance_uid: it for it in _with_sizes(connection, rows, guards)}
    return found


def meets(connection: Connection, study_uid: str, terms: Terms) -> bool:
    """Whether a rule is for this study."""
    query = select(study.c.study_instance_uid).where(study.c.study_instance_uid == study_uid, terms.are_met)
    return connection.execute(query).first() is not None


def hold_row(connection: Connection, study_uid: str) -> None:
    """Until the transaction ends nothing arrives for the study, and no person orders anything of it."""
    # SQLite knows no row locks and needs none: there the transaction holds the write lock from its beginning.
    connection.execute(
        select(study.c.study_instance_uid).where(study.c.study_instance_uid == study_uid).with_for_update()
    )


def conditions_that_keep(circumstances: Circumstances) -> dict[Kept, ColumnElement[bool]]:
    """What keeps a study, as conditions on its row."""
    uid, state = study.c.study_instance_uid, study.c.state
    is_open = exists().where(association.c.study_instance_uid == uid, association.c.open_until >= circumstances.now)
    sent = delivery.c.state
    found = {
        Kept.HELD: exists().where(hold.c.study_instance_uid == uid, hold.c.released_at.is_(None)),
        Kept.RECEIVING: or_(state == StudyState.RECEIVING, is_open),
        Kept.UNDER_ANALYSIS: and_(state != StudyState.RECEIVING, state.not_in(sorted(ENDED_STATES))),
        Kept.RETRIEVED: exists().where(
            retrieval.c.study_instance_uid == uid, retrieval.c.state == RetrievalState.QUEUED
        ),
        Kept.NOT_CATALOGUED: exists().where(
            dicom_object.c.study_instance_uid == uid, dicom_object.c.catalogued.is_(False)
        ),
        Kept.SENDING: _has_delivery(sent == DeliveryState.CLAIMED),
        Kept.NOT_DELIVERED: _has_delivery(
            sent.in_([DeliveryState.QUEUED, DeliveryState.FAILED, DeliveryState.UNKNOWN])
        ),
        Kept.NOT_COMMITTED: _has_delivery(
            and_(IS_UNCOMMITTED, delivery.c.destination.in_(sorted(circumstances.committing)))
        ),
        Kept.TO_BE_WITHDRAWN: _has_delivery(and_(sent == DeliveryState.REVOKED, ~is_rejected_there())),
    }
    if circumstances.delivers:
        of_study = result.c.study_instance_uid == uid
        found[Kept.SENT_NOWHERE] = and_(exists().where(of_study), ~_has_delivery(sent != ""))
    if circumstances.promises_hold:
        found[Kept.COMMITTED_TO] = exists().where(committed_study.c.study_instance_uid == uid)
    return found


def _has_delivery(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    of_result = exists().where(delivery.c.result == result.c.identifier, condition)
    return exists().where(result.c.study_instance_uid == study.c.study_instance_uid, of_result)


def _studies(guards: Mapping[Kept, ColumnElement[bool]]) -> Select[tuple[object, ...]]:
    """Rows of studies with whose they are, and a column for each condition."""
    columns = study.c.study_instance_uid, study.c.state, study.c.last_received_at
    named = catalogue.patient.c.patient_id, catalogue.patient.c.issuer_of_patient_id
    conditions = (case((guard, 1), else_=0).label(kept.name) for kept, guard in guards.items())
    known, patient = catalogue.study, catalogue.patient
    return (
        select(*columns, *named, *conditions)
        .select_from(study)
        .outerjoin(known, known.c.study_instance_uid == study.c.study_instance_uid)
        .outerjoin(patient, known.c.patient == patient.c.identifier)
    )


def sizes_of(connection: Connection, study_uids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Objects of studies, and their bytes; of one that has none nothing is said."""
    found: dict[str, tuple[int, int]] = {}
    for uid, _, count, size in _sizes(connection, study_uids):
        objects, so_far = found.get(uid, (0, 0))
        found[uid] = objects + count, so_far + size
    return found


def _sizes(connection: Connection, study_uids: Sequence[str]) -> Iterator[tuple[str, bool, int, int]]:
    """Study, whether made here, count and bytes of objects."""
    made = dicom_object.c.origin == ObjectOrigin.MADE
    columns = dicom_object.c.study_instance_uid, made, func.count(), func.sum(dicom_object.c.size)
    for begin in range(0, len(study_uids), _AT_ONCE):
        these = dicom_object.c.study_instance_uid.in_(study_uids[begin : begin + _AT_ONCE])
        for uid, is_made, count, size in connection.execute(
            select(*columns).where(these).group_by(dicom_object.c.study_instance_uid, made)
        ):
            yield uid, bool(is_made), int(count), int(size)


def _with_sizes(
    connection: Connection, rows: Sequence[Row[tuple[object, ...]]], guards: Mapping[Kept, ColumnElement[bool]]
) -> list[Candidate]:
    sizes: dict[str, dict[bool, tuple[int, int]]] = {}
    for uid, is_made, count, size in _sizes(connection, [row.study_instance_uid for row in rows]):
        sizes.setdefault(uid, {})[is_made] = count, size
    return [_candidate(row, sizes.get(row.study_instance_uid, {}), guards) for row in rows]


def _candidate(
    row: Row[tuple[object, ...]], sizes: Mapping[bool, tuple[int, int]], guards: Mapping[Kept, ColumnElement[bool]]
) -> Candidate:
    images, images_size = sizes.get(False, (0, 0))
    results, results_size = sizes.get(True, (0, 0))
    return Candidate(
        study_instance_uid=row.study_instance_uid,
        state=StudyState(row.state),
        last_received_at=row.last_received_at,
        patient_id=row.patient_id,
        issuer=row.issuer_of_patient_id,
        images=images,
        images_size=images_size,
        objects=images + results,
        size=images_size + results_size,
        kept=tuple(kept for kept in guards if row._mapping[kept.name]),
    )
