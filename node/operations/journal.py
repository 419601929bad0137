"""Who did what to whose study, and when, as a person looks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from node.errors import NodeError
from node.settings import Settings
from storage.audit import Audit, AuditAction, AuditEvent, AuditSearch


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """What is looked for; an empty field asks for nothing, and all that are not empty have to fit.

    `date_from` and `date_to`: days in the time zone of the site, YYYY-MM-DD, both included.
    """

    account: str = ""
    patient: str = ""
    study: str = ""
    actions: frozenset[AuditAction] = frozenset()
    date_from: str = ""
    date_to: str = ""
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class JournalPage:
    """A page of the events that fit, the latest first."""

    events: tuple[AuditEvent, ...]
    matching: int
    limit: int
    offset: int


def journal(settings: Settings, engine: Engine, wanted: JournalQuery) -> JournalPage:
    """A page of the events that fit.

    Raises:
        NodeError: a date is none.
    """
    zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
    search = AuditSearch(
        account=wanted.account,
        patient=wanted.patient,
        study_instance_uid=wanted.study,
        actions=wanted.actions,
        since=_midnight(wanted.date_from, zone) if wanted.date_from else None,
        until=_midnight(wanted.date_to, zone, timedelta(days=1)) if wanted.date_to else None,
        limit=wanted.limit,
        offset=wanted.offset,
    )
    kept = Audit(engine)
    return JournalPage(kept.find(search), kept.count(search), wanted.limit, wanted.offset)


def _midnight(said: str, zone: tzinfo | None, later: timedelta = timedelta()) -> datetime:
    """The beginning of a day, or of one that is so much later."""
    try:
        day = date.fromisoformat(said) + later
    except (ValueError, OverflowError) as error:
        raise NodeError(f"{said!r} is no day: give it as YYYY-MM-DD") from error
    local = datetime.combine(day, time())
    return local.replace(tzinfo=zone) if zone else local.astimezone()
