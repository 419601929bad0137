"""The state of the node: studies with their deliveries, open work first, and what is in quarantine.

It is read from the storage alone, a page of studies at a time, with a number of statements that does not grow with the
number of studies; no running node is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from models.plausibility.records import Location, SetAside
from node.analysis.progress import running_steps
from node.analysis.withdrawal import Withdrawal, withdrawals
from node.clock import utc_now
from node.dicom.certificates import expiry_warning
from node.recognition.record import RECORD_VERSION, RoleRefusal, SeriesVerdict, from_json
from node.settings import Settings
from node.settings.destinations import within
from storage.alerts import AlertCount
from storage.answer_checks import AnswerCheck
from storage.catalogue.faults import CatalogueFault
from storage.commitment_requests import Unreported
from storage.commitments import Uncommitted
from storage.database import open_engine
from storage.holds import Hold
from storage.overview import DeliveryCount, Overview, StudyQuery
from storage.records import DELIVERED, DeliveryState, QuarantineRecord, StudyRecord, StudyState
from storage.removal_records import Removal
from storage.root import fault
from storage.upkeep import Round

#: States of an object that its destination has.
ARRIVED = DELIVERED | {DeliveryState.REVOKED}


@dataclass(frozen=True, slots=True)
class StudyLine:
    """One study: what is known of it and how far its results have got, by destination and state.

    `step` is the last step that an analysis under way has finished. `series` is there where one study was asked for.
    `removal` is the last one of anything of it: of its images, or of all that was there before it came again.
    """

    study: StudyRecord
    refusals: tuple[RoleRefusal, ...]
    warnings: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    locations: tuple[Location, ...]
    series: tuple[SeriesVerdict, ...]
    deliveries: dict[str, dict[DeliveryState, int]]
    delivery_reasons: tuple[str, ...]
    withdrawals: tuple[Withdrawal, ...]
    running: bool = False
    step: str = ""
    hold: Hold | None = None
    removal: Removal | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of studies by state, on all pages and whatever is asked for.

    `undelivered`: studies with results that are not all where they should be; `deliveries` are those results, by
    destination and state; `quarantine`: files that are held; `catalogue_faults`: files that are not, or not wholly, in
    the catalogue; `unreported`: requests for storage commitment whose report the asker has not taken;
    `short_retrievals`: studies that were asked of a remote and are not here whole, by its name; `alerts`: by code;
    `damaged`: objects whose file is gone or is not what was stored.
    """

    studies: dict[StudyState, int]
    undelivered: int
    deliveries: dict[str, dict[DeliveryState, int]]
    quarantine: int
    catalogue_faults: int = 0
    unreported: int = 0
    short_retrievals: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, AlertCount] = field(default_factory=dict)
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Which of the studies that match are shown: `limit` from the one with number `offset`, counted from 0, on."""

    limit: int
    offset: int
    matching: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `status` shows; of the quarantine the latest, as many as a page has studies.

    `catalogue_faults` is there where it was asked for, as many as a page has studies. `uncommitted` is what
    destinations have stored, are asked to commit, and have not; `unreported` the latest of those requests, as many as a
    page has studies. `rounds` say how far the comparison of files and rows and the reading of all objects are.
    `warnings` are for the administrator: of the configuration, and of what was not fetched.
    `answer_check` is the latest known-answer check; its study is counted and listed nowhere.
    """

    as_of: datetime
    counts: Counts
    page: Page
    studies: tuple[StudyLine, ...]
    quarantine: tuple[QuarantineRecord, ...]
    catalogue_faults: tuple[CatalogueFault, ...] = ()
    warnings: tuple[str, ...] = ()
    uncommitted: tuple[Uncommitted, ...] = ()
    unreported: tuple[Unreported, ...] = ()
    rounds: tuple[Round, ...] = ()
    answer_check: AnswerCheck | None = None


@dataclass(frozen=True, slots=True)
class _Notes:
    """The part of a record that a list shows; the rest of the document, thousands of frames, is not built."""

    refusals: tuple[RoleRefusal, ...] = ()
    warnings: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    locations: tuple[Location, ...] = ()


@dataclass(frozen=True, slots=True)
class _Version:
    version: int = 1


_VERSION = TypeAdapter(_Version)
_NOTES = TypeAdapter(_Notes)


def collect(settings: Settings, query: StudyQuery | None = None, faults: bool = False) -> Report:
    """The state of the node, with the studies that `query` asks for, and the faults of the catalogue if asked."""
    query = query or StudyQuery()
    settings.root.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.storage_url)
    try:
        with engine.connect() as connection:
            report = _report(Overview(connection), settings, query, faults)
        apart = fault(engine, settings.root)
    finally:
        engine.dispose()  # callers that wait for something ask again and again
    return replace(report, warnings=tuple(filter(None, (apart, *_warnings(settings, report.counts)))))


def _warnings(settings: Settings, counts: Counts) -> Iterator[str]:
    """What does not go on because of the configuration, the time of day, or a remote that studies are fetched from."""
    now = utc_now()
    for credentials in settings.credentials:
        yield expiry_warning(credentials, now)
    local = now.astimezone(ZoneInfo(settings.time_zone) if settings.time_zone else None).time()
    for name, count in counts.short_retrievals.items():
        studies = "1 study" if count == 1 else f"{count} studies"
        yield f"{name}: {studies} not fetched whole: `rectal-node retrievals` says why"
    for remote in settings.destinations:
        waiting = counts.deliveries.get(remote.name, {}).get(DeliveryState.QUEUED, 0)
        if waiting and not within(remote.delivery_hours, local):
            yield f"{remote.name}: {waiting} results wait for its delivery hours, {remote.delivery_hours}"


def _report(overview: Overview, settings: Settings, query: StudyQuery, faults: bool) -> Report:
    most_asked = {it.name: it.commitment_attempts for it in settings.destinations if it.commitment}
    counts = Counts(
        overview.studies(),
        overview.undelivered(),
        overview.unsettled_deliveries(),
        overview.quarantine_held(),
        overview.catalogue_faults(),
        overview.unreported_count(),
        overview.short_retrievals(),
        overview.alerts(),
        overview.damaged(),
    )
    steps = running_steps(settings.root) if counts.studies[StudyState.QUEUED] else {}
    return Report(
        as_of=datetime.now(UTC),
        counts=counts,
        page=Page(query.limit, query.offset, overview.matching(query)),
        studies=_lines(overview.page(query, tuple(steps)), overview, steps, bool(query.study_instance_uid)),
        quarantine=overview.quarantined(query.limit),
        catalogue_faults=overview.faulty(query.limit) if faults else (),
        uncommitted=overview.uncommitted(most_asked),
        unreported=overview.unreported(query.limit),
        rounds=overview.rounds(),
        answer_check=overview.answer_check(),
    )


def _lines(
    studies: Sequence[StudyRecord], overview: Overview, steps: Mapping[str, str], whole: bool
) -> tuple[StudyLine, ...]:
    uids = [study.study_instance_uid for study in studies]
    counts, documents, reasons = overview.deliveries(uids), overview.verdicts(uids), overview.reasons(uids)
    revoked = {count.study_instance_uid for count in counts if count.state is DeliveryState.REVOKED}
    held, removals = overview.holds(uids), overview.removals(uids)
    to_withdraw = overview.revoked(sorted(revoked)) if revoked else {}
    told = overview.told([it.identifier for of_study in to_withdraw.values() for it in of_study])
    lines = []
    for study in studies:
        uid = study.study_instance_uid
        document = documents.get(uid)
        notes = _notes(document) if document else _Notes()
        own = [count for count in counts if count.study_instance_uid == uid]
        lines.append(
            StudyLine(
                study=study,
                refusals=notes.refusals,
                warnings=notes.warnings,
                set_aside=notes.set_aside,
                locations=notes.locations,
                series=from_json(document).verdicts if document and whole else (),
                deliveries=_by_destination(own),
                delivery_reasons=tuple(f"{name}: {reason}" for of, name, reason in reasons if of == uid),
                withdrawals=withdrawals(to_withdraw.get(uid, ()), told),
                running=uid in steps,
                step=steps.get(uid, ""),
                hold=held.get(uid),
                removal=removals.get(uid),
            )
        )
    return tuple(lines)


def _by_destination(counts: Sequence[DeliveryCount]) -> dict[str, dict[DeliveryState, int]]:
    found: dict[str, dict[DeliveryState, int]] = {}
    for count in counts:
        found.setdefault(count.destination, {})[count.state] = count.count
    return found


def _notes(document: str) -> _Notes:
    version = _VERSION.validate_json(document).version
    if version <= RECORD_VERSION:
        return _NOTES.validate_json(document)
    return _Notes(warnings=(f"its record has version {version}: update the node, or `rectal-node rerun` it",))
