"""Studies as a person looks for them: a page of them, with how far each is and where its results are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from node.analysis.progress import running_steps
from node.clock import utc_now
from node.errors import NodeError
from storage import search
from storage.catalogue import matching
from storage.overview import Overview
from storage.records import DeliveryState, StudyRecord, StudyState
from storage.search import Identification, StudySearch


@dataclass(frozen=True, slots=True)
class StudyFound:
    """A study: whose it is, where it stands, and its results by destination and state.

    `step` is the last step that an analysis under way has finished.
    """

    study: StudyRecord
    of: Identification
    running: bool
    step: str
    deliveries: dict[str, dict[DeliveryState, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudyPage:
    """A page of the studies that fit, those that came last first; `counts` are of all studies by state."""

    as_of: datetime
    studies: tuple[StudyFound, ...]
    matching: int
    limit: int
    offset: int
    counts: dict[StudyState, int]


def find(engine: Engine, root: Path, wanted: StudySearch) -> StudyPage:
    """A page of the studies that fit.

    Raises:
        NodeError: a date is none.
    """
    for day in filter(None, (wanted.date_from, wanted.date_to)):
        if matching.date(day) != day:
            raise NodeError(f"{day!r} is no day: give it as YYYYMMDD")
    with engine.connect() as connection:
        overview = Overview(connection)
        records = search.page_of(connection, wanted)
        uids = [record.study_instance_uid for record in records]
        known, counted = search.identifications(connection, uids), overview.deliveries(uids)
        states, fitting = overview.studies(), search.matching_studies(connection, wanted)
    by_study: dict[str, dict[str, dict[DeliveryState, int]]] = {uid: {} for uid in uids}
    for it in counted:
        by_study[it.study_instance_uid].setdefault(it.destination, {})[it.state] = it.count
    steps = running_steps(root) if states[StudyState.QUEUED] else {}
    found = tuple(
        StudyFound(
            study=record,
            of=known.get(record.study_instance_uid, Identification()),
            running=record.study_instance_uid in steps,
            step=steps.get(record.study_instance_uid, ""),
            deliveries=by_study[record.study_instance_uid],
        )
        for record in records
    )
    return StudyPage(utc_now(), found, fitting, wanted.limit, wanted.offset, states)
