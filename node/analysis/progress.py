"""How far the analyses of a root are, read from the tables of its queue.

DBOS says the same and takes a second to import, which nobody should wait for who only looks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.errors import DatabaseError

WORKFLOW = "analyse-study"
_WAIT_S = 30.0
_CHECKED_AT_START = 64 * 2**20  # bytes
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
_RUNS = (
    "SELECT workflow_uuid, status FROM workflow_status WHERE name = ? AND workflow_uuid > ? AND (? OR status IN"
    " ('ENQUEUED', 'DELAYED', 'PENDING')) ORDER BY workflow_uuid LIMIT ?"
)


class Run(StrEnum):
    """What the queue says of a study revision: the states of DBOS, and that it was never submitted."""

    ABSENT = "ABSENT"
    ENQUEUED = "ENQUEUED"
    DELAYED = "DELAYED"
    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


def queue_database(root: Path) -> Path:
    """The database of the queue, an SQLite file, of a storage root."""
    return (root / "worklist.sqlite").absolute()


def require_readable(root: Path) -> None:
    """Look whether the queue of a root is whole, where there is one; it holds a few kB for each analysis.

    Raises:
        DatabaseError: it is not.
    """
    path = queue_database(root)
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
            connection.execute(_IS_MADE).fetchone()
            if path.stat().st_size <= _CHECKED_AT_START:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError("it is malformed")
    except sqlite3.DatabaseError as error:
        raise DatabaseError(
            f"{path}: the queue of analyses cannot be read ({error}): move it and the files beside it away; a new one "
            "is made, what waits is submitted again, and what has ended is not computed twice"
        ) from error


def is_made(root: Path) -> bool:
    """Whether the queue of a root has its tables: a worker has run there."""
    return bool(fetch(root, "SELECT 1"))


def running_steps(root: Path) -> dict[str, str]:
    """Studies that are analysed at this moment, with the last step that each has finished; empty for none."""
    return {identifier.rpartition(":")[0]: step for identifier, step in fetch(root, _RUNNING, WORKFLOW)}


def unfinished(root: Path) -> list[tuple[str, int]]:
    """Study revisions that wait in the queue or are analysed at this moment, oldest first."""
    return [revision_of(identifier) for (identifier,) in fetch(root, _UNFINISHED, WORKFLOW)]


def runs(root: Path, limit: int, unfinished: bool = False) -> Iterator[list[tuple[str, int, Run]]]:
    """Study revisions and what the queue says of each, in slices of so many; all, or those that have not ended."""
    last = ""
    while found := fetch(root, _RUNS, WORKFLOW, last, not unfinished, limit):
        last = found[-1][0]
        yield [(*revision_of(identifier), Run(status)) for identifier, status in found]


def workflow_id(study_instance_uid: str, revision: int) -> str:
    """The identifier under which a study revision runs at most once."""
    return f"{study_instance_uid}:{revision}"


def revision_of(identifier: str) -> tuple[str, int]:
    """The study and the revision that an identifier of the queue is of."""
    study, _, revision = identifier.rpartition(":")
    return study, int(revision)


def fetch(root: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What a statement finds in the tables of the queue; nothing where there are none yet."""
    path = queue_database(root)
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=_WAIT_S)) as connection:
        if connection.execute(_IS_MADE).fetchone() is None:
            return []
        return connection.execute(query, values).fetchall()
