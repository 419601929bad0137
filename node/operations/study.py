"""One study: its series and why each was used or not, its results and where they are, and what happened when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from node.analysis.progress import running_steps
from node.analysis.step_times import StepTime, finished_steps
from node.errors import NodeError, PermanentError
from node.recognition.record import SeriesVerdict, StudyPlan, from_json
from node.viewing.report import ReportRead, read_report
from storage import catalogue_schema as catalogue
from storage import search
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DELIVERED, DeliveryRecord, ObjectOrigin, ResultRecord, StudyRecord
from storage.schema import dicom_object
from storage.search import Identification
from storage.study_log import SeriesFault, series_faults

REPORT = "report"
"""The role of the measurement report among the results."""


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """A series of a study: what its headers call it, and the verdict of the record on it, where there is one.

    `made_here`: it is a result. `images`: its modality is that of images that can be looked at. `faults`: what is
    wrong with its files.
    """

    series_instance_uid: str
    number: int | None
    description: str
    modality: str
    instances: int
    made_here: bool
    images: bool
    verdict: SeriesVerdict | None
    faults: tuple[SeriesFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a study; `what` is `received`, `step`, `stored` or `committed`."""

    at: datetime
    what: str
    detail: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class StudyProgress:
    """Where a study stands, and what happened to it; `results` are of the latest revision that has any."""

    study: StudyRecord
    results: tuple[ResultRecord, ...]
    deliveries: tuple[DeliveryRecord, ...]
    timeline: tuple[Event, ...]
    running: bool
    step: str


@dataclass(frozen=True, slots=True)
class StudyDetail(StudyProgress):
    """All that is known of a study.

    `plan` is the record of its latest revision that was looked at. `report` is what its measurement report says;
    `report_fault` why there is one that cannot be read.
    """

    of: Identification
    plan: StudyPlan | None
    series: tuple[SeriesLine, ...]
    report: ReportRead | None
    report_fault: str

    @property
    def shown_revision(self) -> int:
        """The revision whose results are shown; that of the study where there are none."""
        return self.results[0].revision if self.results else self.study.revision

    def segmented(self, sop_instance_uid: str) -> str:
        """What a segmentation of the results is of, such as `T2WI`; empty where it is none of them."""
        for it in self.results:
            if it.sop_instance_uid == sop_instance_uid:
                return it.role.rpartition("-")[2].upper()
        return ""


def of_study(engine: Engine, files: ObjectStore, root: Path, study_uid: str) -> StudyDetail:
    """All that is known of a study.

    Raises:
        NodeError: there is none of that UID.
    """
    now = progress_of(engine, root, study_uid)
    document = Index(engine).verdict(study_uid)
    plan = from_json(document) if document else None
    report, fault = _report(files, now.results)
    with engine.connect() as connection:
        known = search.identifications(connection, [study_uid])
        series = tuple(_series(connection, study_uid, plan))
    return StudyDetail(
        study=now.study,
        results=now.results,
        deliveries=now.deliveries,
        timeline=now.timeline,
        running=now.running,
        step=now.step,
        of=known.get(study_uid, Identification()),
        plan=plan,
        series=series,
        report=report,
        report_fault=fault,
    )


def progress_of(engine: Engine, root: Path, study_uid: str) -> StudyProgress:
    """Where a study stands, without reading its record and its report; raises as `of_study`."""
    study = _known(engine, study_uid)
    deliveries = Deliveries(engine).records(study_uid)
    running = running_steps(root)
    return StudyProgress(
        study=study,
        results=Ledger(engine).latest_results(study_uid),
        deliveries=deliveries,
        timeline=_timeline(study, finished_steps(root, study_uid, study.revision), deliveries),
        running=study_uid in running,
        step=running.get(study_uid, ""),
    )


def results_of(engine: Engine, study_uid: str) -> tuple[ResultRecord, ...]:
    """The results of a study of the latest revision that has any; raises as `of_study`."""
    _known(engine, study_uid)
    return Ledger(engine).latest_results(study_uid)


def _known(engine: Engine, study_uid: str) -> StudyRecord:
    study = Index(engine).study(study_uid)
    if study is None:
        raise NodeError(f"{study_uid}: no study of this node")
    return study


def _report(files: ObjectStore, results: Sequence[ResultRecord]) -> tuple[ReportRead | None, str]:
    for it in results:
        if it.role == REPORT:
            try:
                return read_report(files.absolute(it.file)), ""
            except (PermanentError, OSError) as error:
                return None, str(error) if isinstance(error, PermanentError) else "the file cannot be read"
    return None, ""


def _series(connection: Connection, study_uid: str, plan: StudyPlan | None) -> Iterator[SeriesLine]:
    """Series of the catalogue by their number; what the record knows and the catalogue does not yet, after them."""
    verdicts = {it.series_instance_uid: it for it in plan.verdicts} if plan else {}
    made = _made_here(connection, study_uid)
    faults = series_faults(connection, study_uid)
    table = catalogue.series
    query = (
        select(table)
        .join(catalogue.study, table.c.study == catalogue.study.c.identifier)
        .where(catalogue.study.c.study_instance_uid == study_uid)
        .order_by(table.c.series_number, table.c.identifier)
    )
    for row in connection.execute(query):
        uid = row.series_instance_uid
        yield SeriesLine(
            series_instance_uid=uid,
            number=row.series_number,
            description=row.series_description,
            modality=row.modality,
            instances=row.instance_count,
            made_here=uid in made,
            images=row.modality == "MR",
            verdict=verdicts.pop(uid, None),
            faults=tuple(it for it in faults if it.series_instance_uid == uid),
        )
    for uid, it in verdicts.items():
        yield SeriesLine(
            uid, it.series_number, it.description, it.modality, it.instance_count, False, it.modality == "MR", it
        )


def _made_here(connection: Connection, study_uid: str) -> frozenset[str]:
    table = dicom_object
    query = (
        select(table.c.series_instance_uid, func.min(table.c.origin).label("origin"))
        .where(table.c.study_instance_uid == study_uid)
        .group_by(table.c.series_instance_uid)
    )
    return frozenset(row.series_instance_uid for row in connection.execute(query) if row.origin == ObjectOrigin.MADE)


def _timeline(study: StudyRecord, steps: Sequence[StepTime], deliveries: Sequence[DeliveryRecord]) -> tuple[Event, ...]:
    events = [
        Event(study.first_received_at, "received", "first"),
        Event(study.last_received_at, "received", "last"),
    ]
    for step in steps:
        if step.ended_at is not None:
            took = None if step.started_at is None else (step.ended_at - step.started_at).total_seconds()
            events.append(Event(step.ended_at, "step", step.name, took))
    arrived: dict[str, list[datetime]] = {}
    for it in deliveries:
        if it.state in DELIVERED:
            arrived.setdefault(it.destination, []).append(it.next_attempt_at)  # of these, when they were stored
    events += [Event(max(times), "stored", f"{name}: {len(times)}") for name, times in arrived.items()]
    return tuple(sorted(events, key=lambda event: event.at))
