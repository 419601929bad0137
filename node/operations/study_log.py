"""The log of one study: what the storage and the queue keep of what happened to it, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from node.analysis.step_times import finished_steps
from node.errors import NodeError
from storage import study_log
from storage.index import Index
from storage.readings import Readings
from storage.study_log import LogEntry

MOST = 500
_REVISIONS = 10
"""The latest of a study, whose steps are told of."""


@dataclass(frozen=True, slots=True)
class StudyLog:
    """The latest entries, the first of them first; `earlier` are not shown."""

    entries: tuple[LogEntry, ...]
    earlier: int


def log_of(engine: Engine, root: Path, study_uid: str) -> StudyLog:
    """What happened to a study; UIDs, and no names of patients.

    Raises:
        NodeError: there is none of that UID.
    """
    study = Index(engine).study(study_uid)
    if study is None:
        raise NodeError(f"{study_uid}: no study of this node")
    with engine.connect() as connection:
        found = list(study_log.entries(connection, study_uid))
    for revision in range(max(study.revision - _REVISIONS, 0) + 1, study.revision + 1):
        for step in finished_steps(root, study_uid, revision):
            if step.ended_at is not None:
                took = step.ended_at - (step.started_at or step.ended_at)
                found.append(LogEntry(step.ended_at, "step", step.name, revision, f"{took.total_seconds():.1f}"))
    for it in Readings(engine).of_study(study_uid):
        found.append(LogEntry(it.said_at, "reading", it.reader, it.revision, it.verdict))
    found.sort(key=lambda entry: entry.at)
    return StudyLog(tuple(found[-MOST:]), max(len(found) - MOST, 0))
