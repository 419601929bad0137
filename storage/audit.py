"""What people and other systems have done: who did what to whose study, and when; added to, never changed.

Who looked at which patient is one query (`AuditSearch.patient`). Events are read in the order in which they became
durable (`Audit.after`), by who writes them elsewhere: on PostgreSQL who adds one waits for others, since numbers are
given before a transaction ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, insert, or_, select, update

from storage import catalogue_schema as catalogue
from storage import database
from storage.audit_chain import Position
from storage.audit_schema import audit_event, audit_position
from storage.search import of_patient

MOST = 500
"""Events of one page."""
_SHORT, _LONG = 64, 500


class AuditAction(StrEnum):
    """What was done.

    ORDERED: something that has no name of its own here, which the subject says. REFUSED: somebody was not let in, or
    asked for what it may not. SENDING: objects begin to be sent, of which SENT tells the end.
    """

    SIGNED_IN = "SIGNED_IN"
    SET_PASSWORD = "SET_PASSWORD"
    SIGNED_OUT = "SIGNED_OUT"
    LOOKED = "LOOKED"
    DOWNLOADED = "DOWNLOADED"
    REPROCESSED = "REPROCESSED"
    CANCELLED = "CANCELLED"
    RESENT = "RESENT"
    VERDICT = "VERDICT"
    RELEASED = "RELEASED"
    DISCARDED = "DISCARDED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    ASKED_REMOTE = "ASKED_REMOTE"
    UPLOADED = "UPLOADED"
    RETRIEVED = "RETRIEVED"
    TRIED_RULES = "TRIED_RULES"
    ORDERED = "ORDERED"
    STARTED = "STARTED"
    STOPPED = "STOPPED"
    REFUSED = "REFUSED"
    QUERIED = "QUERIED"
    RECEIVED = "RECEIVED"
    SENDING = "SENDING"
    SENT = "SENT"
    REMOVED = "REMOVED"
    COPIED = "COPIED"
    EXPORTED = "EXPORTED"
    CHANGED_ACCOUNT = "CHANGED_ACCOUNT"
    READ_AUDIT = "READ_AUDIT"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is said of an event beside; empty where there is nothing to say.

    Attributes:
        service: by which it was done, such as C-FIND.
        called: what the other side called here, as an AE title.
        destination: to whom objects go that another asked for.
        sop_classes: how many objects of each SOP class.
        query: what was asked for, in base64: an identifier of DICOM, or the query of an address.
        sop_class: of the query.
        transfer_syntax: in which it is encoded.
        left_out: what of it is not there, since it was too long: tags of its elements.
        times: how often it was done, within a minute.
    """

    service: str = ""
    called: str = ""
    destination: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    query: str = ""
    sop_class: str = ""
    times: int = 1
    transfer_syntax: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that somebody did, or was refused (not `succeeded`).

    Attributes:
        account: who of the people; empty where nobody was known.
        session: of one session the same; empty outside of one.
        address: from where, as an address of the network.
        study_instance_uid: of the study that it was done to; empty: to none.
        patient_id: Patient ID of that study when it was done; empty where it said none.
        subject: what else it was done to, such as a remote or the number of an alert.
        detail: how, or why it was refused.
        remote: the other system.
    """

    at: datetime
    action: AuditAction
    succeeded: bool
    account: str = ""
    session: str = ""
    address: str = ""
    study_instance_uid: str = ""
    patient_id: str = ""
    subject: str = ""
    detail: str = ""
    remote: str = ""
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which events are wanted; an empty field asks for nothing, and all that are not empty have to fit.

    `account`: of a person, or another system. `patient`: part of a Patient ID, or of a name of a patient whose studies
    are here. `since` and `until`: moments, the second one not included.
    """

    account: str = ""
    patient: str = ""
    study_instance_uid: str = ""
    actions: frozenset[AuditAction] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100
    offset: int = 0


class Audit:
    """The events of one database; safe for use by several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, event: AuditEvent) -> None:
        """Keep an event, with the patient of its study where it names none; long texts are cut."""
        self.add_all([event])

    def add_all(self, events: Iterable[AuditEvent]) -> None:
        """Keep events, in one transaction."""
        with database.writing(self._engine).begin() as connection:
            for event in events:
                _add(connection, event)

    def add_once(self, event: AuditEvent) -> None:
        """Keep an event unless the same was done in its session to its study before."""
        with database.writing(self._engine).begin() as connection:
            if not _is_known(connection, event):
                _add(connection, event)

    def after(self, event: int, most: int) -> tuple[tuple[int, AuditEvent], ...]:
        """The events behind one, with their numbers, in the order of these."""
        query = select(audit_event).where(audit_event.c.identifier > event).order_by(audit_event.c.identifier)
        with self._engine.connect() as connection:
            return tuple((int(row.identifier), _readable(row)) for row in connection.execute(query.limit(most)))

    def position(self, target: str) -> Position:
        """How far events have been written to a place."""
        query = select(audit_position).where(audit_position.c.target == target)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return Position(row.event, row.digest, row.file) if row else Position(0)

    def keep_position(self, target: str, position: Position) -> None:
        """They have been written so far."""
        with database.writing(self._engine).begin() as connection:
            this, values = audit_position.c.target == target, asdict(position)
            if not connection.execute(update(audit_position).where(this).values(values)).rowcount:
                connection.execute(insert(audit_position).values(target=target, **values))

    def patient_of(self, study_uid: str) -> str:
        """The Patient ID of a study of the catalogue; empty where it is not there, or has none."""
        with self._engine.connect() as connection:
            return _patient_of(connection, study_uid)

    def find(self, wanted: AuditSearch) -> tuple[AuditEvent, ...]:
        """A page of events, the latest first."""
        query = (
            select(audit_event)
            .where(*_conditions(wanted))
            .order_by(audit_event.c.identifier.desc())
            .limit(min(wanted.limit, MOST))
            .offset(wanted.offset)
        )
        with self._engine.connect() as connection:
            return tuple(map(_event, connection.execute(query)))

    def count(self, wanted: AuditSearch) -> int:
        """How many events fit, on all pages."""
        query = select(func.count()).select_from(audit_event).where(*_conditions(wanted))
        with self._engine.connect() as connection:
            return int(connection.scalar(query) or 0)


def add_within(connection: Connection, event: AuditEvent) -> None:
    """Keep an event in a transaction of the caller, as `Audit.add` does."""
    _add(connection, event)


def _add(connection: Connection, event: AuditEvent) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE audit_event IN SHARE ROW EXCLUSIVE MODE")
    study = _kept(event.study_instance_uid, _SHORT)
    values = asdict(event) | {
        "account": _kept(event.account, _SHORT),
        "session": _kept(event.session, _SHORT),
        "address": _kept(event.address, _SHORT),
        "study_instance_uid": study,
        "subject": _kept(event.subject, _LONG),
        "detail": _kept(event.detail, _LONG),
        "patient_id": _kept(event.patient_id, _SHORT) or _patient_of(connection, study),
        "remote": _kept(event.remote, _SHORT),
        "facts": "" if event.facts == Facts() else _written(event.facts),
    }
    connection.execute(insert(audit_event).values(values))


def _kept(text: str, most: int) -> str:
    """Its beginning, in characters that every database takes: neither NUL nor half of a surrogate pair."""
    return text[:most].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _written(facts: Facts) -> str:
    """As JSON, without what it does not say."""
    nothing = asdict(Facts())
    said = {key: value for key, value in asdict(facts).items() if value != nothing[key]}
    return json.dumps(said, separators=(",", ":"))


def _patient_of(connection: Connection, study_uid: str) -> str:
    if not study_uid:
        return ""
    of_study = catalogue.study.c.study_instance_uid == study_uid
    query = select(catalogue.patient.c.patient_id).join(catalogue.study).where(of_study)
    return str(connection.scalar(query) or "")


def _is_known(connection: Connection, event: AuditEvent) -> bool:
    table = audit_event.c
    same = (
        table.session == event.session,
        table.study_instance_uid == event.study_instance_uid,
        table.action == event.action,
    )
    return connection.execute(select(table.identifier).where(*same).limit(1)).first() is not None


def _conditions(wanted: AuditSearch) -> Iterator[ColumnElement[bool]]:
    table = audit_event.c
    if wanted.account.strip():
        yield or_(table.account == wanted.account.strip(), table.remote == wanted.account.strip())
    if wanted.study_instance_uid.strip():
        yield table.study_instance_uid == wanted.study_instance_uid.strip()
    if wanted.actions:
        yield table.action.in_(sorted(wanted.actions))
    if wanted.since is not None:
        yield table.at >= wanted.since
    if wanted.until is not None:
        yield table.at < wanted.until
    if said := wanted.patient.strip():
        studies = select(catalogue.study.c.study_instance_uid).where(of_patient(said))
        yield or_(table.patient_id.icontains(said, autoescape=True), table.study_instance_uid.in_(studies))


def _event(row: Row[tuple[object, ...]]) -> AuditEvent:
    return AuditEvent(
        at=row.at,
        action=AuditAction(row.action),
        succeeded=row.succeeded,
        account=row.account,
        session=row.session,
        address=row.address,
        study_instance_uid=row.study_instance_uid,
        patient_id=row.patient_id,
        subject=row.subject,
        detail=row.detail,
        remote=row.remote,
        facts=Facts(**json.loads(row.facts)) if row.facts else Facts(),
    )


def _readable(row: Row[tuple[object, ...]]) -> AuditEvent:
    """An event; of one that another release has written in its own way, that there was one."""
    try:
        return _event(row)
    except (TypeError, ValueError) as error:
        said = f"event {row.identifier}, {row.action}: this release cannot read it ({type(error).__name__})"
        return AuditEvent(row.at, AuditAction.ORDERED, row.succeeded, subject=row.action, detail=said)
