"""The queue of studies that wait for analysis: submitting by name, and what became of it.

The queue is DBOS's; it lives in its own database file beside the index, and works across processes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dbos import DBOSClient, EnqueueOptions
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from node.analysis.progress import WORKFLOW, Run, queue_database, revision_of, workflow_id
from node.analysis.records import JsonRecords

QUEUE = "analysis"
#: Raise by hand whenever the order or the meaning of the workflow's steps changes: DBOS recovers only runs of the
#: same version, and recovering a run into other steps would mix their recorded results. Runs of another version are
#: begun anew when a worker starts.
WORKFLOW_VERSION = "analysis-7"
#: Of one statement; SQLite before 3.32 takes 999 values, of later ones 32,766.
_IDENTIFIERS = 10_000 if sqlite3.sqlite_version_info >= (3, 32) else 900


_ENDED = [Run.SUCCESS, Run.ERROR, Run.CANCELLED, Run.MAX_RECOVERY_ATTEMPTS_EXCEEDED]


def queue_url(root: Path) -> str:
    """SQLAlchemy URL of the queue's database under the storage root."""
    return f"sqlite:///{queue_database(root)}"


def queue_engine(url: str) -> Engine:
    """The queue's database for DBOS, which is given its engine: one made by itself lacks two things.

    DBOS leaves SQLite in rollback-journal mode, where readers and the writer block each other. And from Python 3.12
    on its tables have times by ``unixepoch('subsec')``, which SQLite knows since 3.42 only and which is NULL, and
    refused, before: Debian 12 and Ubuntu 22.04 have older ones.
    """
    engine = create_engine(url)
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401 (a DBAPI connection)
    connection.isolation_level = "IMMEDIATE"  # as DBOS does: writers wait for one another
    connection.execute("PRAGMA journal_mode=WAL")
    if sqlite3.sqlite_version_info < (3, 42):
        connection.create_function("unixepoch", 1, _unixepoch)


def _unixepoch(modifier: str) -> float:
    if modifier != "subsec":
        raise ValueError(f"unixepoch({modifier!r}) is not known here")
    return time.time()


class Worklist:
    """Submit study revisions for analysis and ask what became of them."""

    def __init__(self, url: str) -> None:
        self._engine = queue_engine(url)
        self._client = DBOSClient(system_database_engine=self._engine, serializer=JsonRecords())

    def submit(self, study_instance_uid: str, revision: int) -> None:
        """Queue a study revision; submitting it again changes nothing."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": workflow_id(study_instance_uid, revision),
            "app_version": WORKFLOW_VERSION,
            "priority": 5,
        }
        self._client.enqueue(options, study_instance_uid, revision)

    def unknown(self, revisions: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Those of these study revisions that were never submitted."""
        return set(revisions) - {revision_of(found.workflow_id) for found in self._among(revisions)}

    def ended(self, revisions: Collection[tuple[str, int]]) -> dict[tuple[str, int], Run]:
        """Those of these study revisions whose run has ended, and how."""
        return {revision_of(found.workflow_id): Run(found.status) for found in self._among(revisions, status=_ENDED)}

    def cancel(self, study_instance_uid: str, revision: int) -> None:
        """Take a study revision out of the queue; one under way ends with the step that it is in."""
        self._client.cancel_workflow(workflow_id(study_instance_uid, revision))

    def forget(self, study_instance_uid: str, revision: int) -> None:
        """Remove all that the queue knows of a study revision, which can be submitted anew then."""
        self._client.delete_workflow(workflow_id(study_instance_uid, revision))

    def of_other_versions(self) -> list[tuple[str, int]]:
        """Study revisions that wait or are under way as another version of the workflow, which DBOS never takes up."""
        found = self._list(status=["ENQUEUED", "DELAYED", "PENDING"])
        return [revision_of(it.workflow_id) for it in found if it.app_version not in (None, WORKFLOW_VERSION)]

    def close(self) -> None:
        """Give the database connection back."""
        self._client.destroy()
        self._engine.dispose()

    def _among(self, revisions: Collection[tuple[str, int]], **query: Any) -> Iterator[Any]:  # noqa: ANN401
        identifiers = [workflow_id(*each) for each in revisions]
        for begin in range(0, len(identifiers), _IDENTIFIERS):
            yield from self._list(workflow_ids=identifiers[begin : begin + _IDENTIFIERS], **query)

    def _list(self, **query: Any) -> list[Any]:  # noqa: ANN401 - DBOS's own query words
        return self._client.list_workflows(name=WORKFLOW, load_input=False, load_output=False, **query)
