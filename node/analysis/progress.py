"""How far the analyses of a root are, read from the tables of its queue.

DBOS says the same and takes a second to import, which nobody should wait for who only looks.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

WORKFLOW = "analyse-study"
_WAIT_S = 30.0
_IS_MADE = "SELECT 1 FROM sqlite_master WHERE name = 'operation_outputs'"
_RUNNING = """
    SELECT workflow_uuid, coalesce(
        (
            SELECT function_name FROM operation_outputs
            WHERE operation_outputs.workflow_uuid = workflow_status.workflow_uuid ORDER BY function_id DESC LIMIT 1
        ), ''
    )
    FROM workflow_status WHERE status = 'PENDING' AND name = ? ORDER BY created_at
"""
_UNFINISHED = (
    "SELECT workflow_uuid FROM workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING') AND name = ?"
    " ORDER BY created_at"
)


def queue_database(root: Path) -> Path:
    """The database of the queue, an SQLite file, of a storage root."""
    return (root / "worklist.sqlite").absolute()


def running_steps(root: Path) -> dict[str, str]:
    """Studies that are analysed at this moment, with the last step that each has finished; empty for none."""
    return {identifier.rpartition(":")[0]: step for identifier, step in _fetch(root, _RUNNING)}


def unfinished(root: Path) -> list[tuple[str, int]]:
    """Study revisions that wait in the queue or are analysed at this moment, oldest first."""
    found = (identifier.rpartition(":") for (identifier,) in _fetch(root, _UNFINISHED))
    return [(study, int(revision)) for study, _, revision in found]


def _fetch(root: Path, query: str) -> list[tuple[str, ...]]:
    path = queue_database(root)
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
        if connection.execute(_IS_MADE).fetchone() is None:
            return []
        return connection.execute(query, (WORKFLOW,)).fetchall()
