"""What people have done: who did what to whose study, and when; added to, never changed.

Who looked at which patient is one query (`AuditSearch.patient`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, insert, or_, select

from storage import catalogue_schema as catalogue
from storage import database
from storage.audit_schema import audit_event
from storage.search import of_patient

MOST = 500
"""Events of one page."""
_SHORT, _LONG = 64, 500


class AuditAction(StrEnum):
    """What was done; ORDERED: something that has no name of its own here, which the subject says."""

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


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that somebody did, or was refused (not `succeeded`).

    Attributes:
        account: who; empty where nobody was known.
        session: of one session the same; empty outside of one.
        address: from where, as an address of the network.
        study_instance_uid: of the study that it was done to; empty: to none.
        patient_id: Patient ID of that study when it was done; empty where it said none.
        subject: what else it was done to, such as a remote or the number of an alert.
        detail: how, or why it was refused.
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


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """Which events are wanted; an empty field asks for nothing, and all that are not empty have to fit.

    `patient`: part of a Patient ID, or of a name of a patient whose studies are here. `since` and `until`: moments,
    the second one not included.
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
        with database.writing(self._engine).begin() as connection:
            _add(connection, event)

    def add_once(self, event: AuditEvent) -> None:
        """Keep an event unless the same was done in its session to its study before."""
        with database.writing(self._engine).begin() as connection:
            if not _is_known(connection, event):
                _add(connection, event)

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


def _add(connection: Connection, event: AuditEvent) -> None:
    values = asdict(event) | {
        "account": event.account[:_SHORT],
        "address": event.address[:_SHORT],
        "study_instance_uid": event.study_instance_uid[:_SHORT],
        "subject": event.subject[:_LONG],
        "detail": event.detail[:_LONG],
        "patient_id": event.patient_id or _patient_of(connection, event.study_instance_uid),
    }
    connection.execute(insert(audit_event).values(values))


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
        yield table.account == wanted.account.strip()
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
    )
