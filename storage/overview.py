"""The storage at a glance: how many studies stand where, and pages of them with open work first.

Each method is one statement, whatever the number of studies, on the connection of the caller: what is asked within
one transaction belongs together. A page is sorted by the database; what belongs to its studies is asked for all of
them together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, case, distinct, exists, func, or_, select

from storage import (
    alerts,
    answer_checks,
    commitment_requests,
    commitments,
    damage,
    delivery_rows,
    holds,
    quarantine_entries,
    rejection_notes,
    removal_records,
    retrievals,
    upkeep,
)
from storage.alerts import AlertCount
from storage.answer_checks import AnswerCheck
from storage.catalogue import faults
from storage.catalogue.faults import CatalogueFault
from storage.commitment_requests import Unreported
from storage.commitments import Uncommitted
from storage.holds import Hold
from storage.index import study_record
from storage.known_answer import of_check
from storage.records import (
    DELIVERED,
    UNSETTLED_DELIVERIES,
    DeliveryRecord,
    DeliveryState,
    ObjectOrigin,
    QuarantineRecord,
    StoredFile,
    StudyRecord,
    StudyState,
)
from storage.removal_records import Removal
from storage.schema import delivery, dicom_object, result, stored_file, study, verdict
from storage.upkeep import Round

#: Place in the order of a page; a study whose results are not all where they should be comes after these.
_FIRST = {StudyState.QUEUED: 1, StudyState.RECEIVING: 2, StudyState.FAILED: 3}
_RUNNING, _UNDELIVERED, _DONE = 0, 4, 5


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """Which studies are wanted, and which page of them; an empty field asks for nothing.

    `since`: something of the study arrived then or later. `destination`: results of it are for that one. `text`: part
    of a reason, of the study or of a delivery, whatever its case.
    """

    study_instance_uid: str = ""
    states: frozenset[StudyState] = frozenset()
    since: datetime | None = None
    destination: str = ""
    text: str = ""
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """The number of results of a study that are in a state at a destination."""

    study_instance_uid: str
    destination: str
    state: DeliveryState
    count: int


class Overview:
    """Reads one database within a transaction of the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def connection(self) -> Connection:
        """The connection, for those who read more within the same transaction."""
        return self._connection

    def studies(self) -> dict[StudyState, int]:
        """Count studies by state; every state is there."""
        query = select(study.c.state, func.count()).where(~of_check(_UID)).group_by(study.c.state)
        found = {state: count for state, count in self._connection.execute(query)}
        return {state: found.get(state, 0) for state in StudyState}

    def undelivered(self) -> int:
        """Count studies with results that are not all where they should be."""
        query = select(func.count(distinct(result.c.study_instance_uid))).where(_is_undelivered())
        return int(self._connection.execute(query).scalar_one())

    def unsettled_deliveries(self) -> dict[str, dict[DeliveryState, int]]:
        """Count deliveries that something is still to be done about, by destination and state."""
        return delivery_rows.counts(self._connection, _is_unsettled())

    def quarantine_held(self) -> int:
        """How many entries the quarantine holds."""
        return quarantine_entries.held(self._connection)

    def quarantined(self, limit: int) -> tuple[QuarantineRecord, ...]:
        """The latest entries that the quarantine holds, oldest first."""
        return quarantine_entries.entries(self._connection, False, limit)

    def catalogue_faults(self) -> int:
        """How many files are not, or not wholly, in the catalogue."""
        return faults.count(self._connection)

    def damaged(self) -> int:
        """How many objects have a file that is gone or is not what was stored."""
        return damage.count(self._connection)

    def rounds(self) -> tuple[Round, ...]:
        """How far the ways through all files are, and what the last whole ones found."""
        return upkeep.rounds(self._connection)

    def faulty(self, limit: int) -> tuple[CatalogueFault, ...]:
        """Files that are not, or not wholly, in the catalogue, the last that came first."""
        return faults.entries(self._connection, limit)

    def uncommitted(self, most_asked: Mapping[str, int]) -> tuple[Uncommitted, ...]:
        """What destinations have stored and not committed; which of them are asked, and how often at the most."""
        return commitments.uncommitted(self._connection, most_asked)

    def unreported(self, limit: int) -> tuple[Unreported, ...]:
        """The latest requests for commitment whose report the asker has not taken, oldest first."""
        return commitment_requests.unreported(self._connection, limit)

    def unreported_count(self) -> int:
        """How many requests for commitment have a report that the asker has not taken."""
        return commitment_requests.count_unreported(self._connection)

    def short_retrievals(self) -> dict[str, int]:
        """How many studies were asked of each remote and are not here, or not whole."""
        return retrievals.count_short(self._connection)

    def alerts(self) -> dict[str, AlertCount]:
        """How many alerts of each code are open, and how often it was raised."""
        return alerts.counts(self._connection)

    def answer_check(self) -> AnswerCheck | None:
        """The latest known-answer check."""
        return answer_checks.latest(self._connection)

    def returned_files(self) -> dict[str, list[StoredFile]]:
        """The files of results that came here from a node, this one or another, by Study Instance UID."""
        returned = dicom_object.c.origin == ObjectOrigin.RETURNED
        found: dict[str, list[StoredFile]] = {}
        for row in self._connection.execute(select(dicom_object).where(returned).order_by(dicom_object.c.identifier)):
            found.setdefault(row.study_instance_uid, []).append(stored_file(row))
        return found

    def matching(self, query: StudyQuery) -> int:
        """Count the studies that a query asks for, on all of its pages."""
        wanted = select(func.count()).select_from(study).where(*_conditions(query))
        return int(self._connection.execute(wanted).scalar_one())

    def page(self, query: StudyQuery, running: Collection[str] = ()) -> tuple[StudyRecord, ...]:
        """A page of studies: running, queued, receiving, failed, undelivered, then all others; each the latest first.

        `running`: Study Instance UIDs of those that are analysed at this moment, which the queue knows.
        """
        undelivered = select(result.c.study_instance_uid).where(_is_undelivered())
        place = case(
            (study.c.study_instance_uid.in_(running), _RUNNING),
            *((study.c.state == state, place) for state, place in _FIRST.items()),
            (study.c.study_instance_uid.in_(undelivered), _UNDELIVERED),
            else_=_DONE,
        )
        selection = (
            select(study)
            .where(*_conditions(query))
            .order_by(place, study.c.last_received_at.desc(), study.c.study_instance_uid)
            .limit(query.limit)
            .offset(query.offset)
        )
        return tuple(study_record(row) for row in self._connection.execute(selection))

    def deliveries(self, studies: Sequence[str]) -> tuple[DeliveryCount, ...]:
        """Deliveries of studies, counted by study, destination and state."""
        query = (
            select(result.c.study_instance_uid, delivery.c.destination, delivery.c.state, func.count())
            .select_from(_DELIVERIES)
            .where(result.c.study_instance_uid.in_(studies))
            .group_by(result.c.study_instance_uid, delivery.c.destination, delivery.c.state)
            .order_by(result.c.study_instance_uid, delivery.c.destination, delivery.c.state)
        )
        return tuple(
            DeliveryCount(uid, destination, DeliveryState(state), count)
            for uid, destination, state, count in self._connection.execute(query)
        )

    def revoked(self, studies: Sequence[str]) -> dict[str, list[DeliveryRecord]]:
        """The deliveries of studies that a person has to take back, by study, in the order of recording."""
        found: dict[str, list[DeliveryRecord]] = {}
        for record in delivery_rows.of_studies(self._connection, studies, DeliveryState.REVOKED):
            found.setdefault(record.result.study_instance_uid, []).append(record)
        return found

    def told(self, of_deliveries: Sequence[int]) -> frozenset[int]:
        """Those of these deliveries whose destination has a note that rejects their object."""
        return rejection_notes.told_of(self._connection, of_deliveries) if of_deliveries else frozenset()

    def reasons(self, studies: Sequence[str]) -> tuple[tuple[str, str, str], ...]:
        """Study, destination and reason of results that are not where they should be; each once."""
        query = (
            select(result.c.study_instance_uid, delivery.c.destination, delivery.c.reason)
            .select_from(_DELIVERIES)
            .where(
                result.c.study_instance_uid.in_(studies),
                delivery.c.state.not_in(sorted(DELIVERED | {DeliveryState.REVOKED})),
                delivery.c.reason != "",
            )
            .group_by(result.c.study_instance_uid, delivery.c.destination, delivery.c.reason)
            .order_by(func.min(delivery.c.identifier))
        )
        return tuple((uid, destination, reason) for uid, destination, reason in self._connection.execute(query))

    def holds(self, studies: Sequence[str]) -> dict[str, Hold]:
        """Those of studies that are under hold."""
        return holds.of_studies(self._connection, studies)

    def removals(self, studies: Sequence[str]) -> dict[str, Removal]:
        """The last removal of each of studies that anything was removed of."""
        return removal_records.last_of(self._connection, studies)

    def verdicts(self, studies: Sequence[str]) -> dict[str, str]:
        """The latest verdict of each study that has one."""
        latest = (
            select(verdict.c.study_instance_uid, func.max(verdict.c.revision).label("revision"))
            .where(verdict.c.study_instance_uid.in_(studies))
            .group_by(verdict.c.study_instance_uid)
            .subquery()
        )
        query = select(verdict.c.study_instance_uid, verdict.c.document).join(
            latest,
            and_(verdict.c.study_instance_uid == latest.c.study_instance_uid, verdict.c.revision == latest.c.revision),
        )
        return {uid: document for uid, document in self._connection.execute(query)}


_UID = study.c.study_instance_uid
_DELIVERIES = delivery.join(result, delivery.c.result == result.c.identifier)


def _is_unsettled() -> ColumnElement[bool]:
    return delivery.c.state.in_(sorted(UNSETTLED_DELIVERIES))


def _is_undelivered() -> ColumnElement[bool]:
    """Of a result: the few deliveries that are unsettled are found first, by their states."""
    return result.c.identifier.in_(select(delivery.c.result).where(_is_unsettled()))


def _conditions(query: StudyQuery) -> Iterator[ColumnElement[bool]]:
    if query.study_instance_uid:
        yield study.c.study_instance_uid == query.study_instance_uid
    else:
        yield ~of_check(_UID)
    if query.states:
        yield study.c.state.in_(sorted(query.states))
    if query.since is not None:
        yield study.c.last_received_at >= query.since
    if query.destination:
        yield _has_delivery(delivery.c.destination == query.destination)
    if query.text:
        told = delivery.c.reason.icontains(query.text, autoescape=True)
        of_delivery = select(result.c.study_instance_uid).where(
            result.c.identifier.in_(select(delivery.c.result).where(told))
        )
        of_study = study.c.reason.icontains(query.text, autoescape=True)
        yield or_(of_study, study.c.study_instance_uid.in_(of_delivery))


def _has_delivery(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Of a study; nested, so that each step goes by the index of what is known."""
    of_result = exists().where(delivery.c.result == result.c.identifier, condition)
    return exists().where(result.c.study_instance_uid == study.c.study_instance_uid, of_result)
