"""When the steps of an analysis began and ended, as the tables of its queue have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.analysis.progress import fetch, workflow_id

_FINISHED = """
    SELECT function_name, started_at_epoch_ms, completed_at_epoch_ms FROM operation_outputs
    WHERE workflow_uuid = ? ORDER BY function_id
"""


#: By the order of writing, of which SQLite knows the end at once, however many analyses there were.
_LATEST = """
    SELECT workflow_uuid, function_name, started_at_epoch_ms, completed_at_epoch_ms FROM
    (SELECT * FROM operation_outputs ORDER BY rowid DESC LIMIT ?)
    WHERE started_at_epoch_ms IS NOT NULL AND completed_at_epoch_ms IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class StepTime:
    """A step that an analysis has finished, when it began and when it ended; None where the queue did not note it."""

    name: str
    started_at: datetime | None
    ended_at: datetime | None


def finished_steps(root: Path, study_uid: str, revision: int) -> tuple[StepTime, ...]:
    """The steps of a study revision that have ended, in their order."""
    rows = fetch(root, _FINISHED, workflow_id(study_uid, revision))
    return tuple(StepTime(name, _moment(started), _moment(ended)) for name, started, ended in rows)


def latest_steps(root: Path, limit: int) -> tuple[tuple[str, StepTime], ...]:
    """So many steps of all analyses that ended last, each with the analysis that it is of, the last one first."""
    rows = fetch(root, _LATEST, limit)
    return tuple((run, StepTime(name, _moment(started), _moment(ended))) for run, name, started, ended in rows)


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
