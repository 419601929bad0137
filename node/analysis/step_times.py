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


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
