"""The process that takes studies from the queue and runs their workflows."""

from __future__ import annotations

import fcntl
import gc
from pathlib import Path
from typing import IO

from dbos import DBOS, DBOSConfig
from sqlalchemy import Engine

from node.analysis import workflow
from node.analysis.context import AnalysisContext
from node.analysis.progress import WORKFLOW, is_made
from node.analysis.queue import QUEUE, WORKFLOW_VERSION, Worklist, queue_engine, queue_url
from node.analysis.reconciliation import Reconciliation
from node.errors import ConfigurationError
from storage.records import StudyState

#: How often DBOS looks into the queue, in s: it cannot be told that something has come. A look takes 2 ms or so.
_POLL_S = 0.1


class Worker:
    """Takes studies from the queue, one process a storage root."""

    def __init__(self, context: AnalysisContext) -> None:
        self._context = context
        self._lock: IO[str] | None = None
        self._engine: Engine | None = None

    def start(self) -> None:
        """Recover what was under way and take new work.

        Raises:
            ConfigurationError: another process works on the same root; two would run a step at the same time.
        """
        root = self._context.settings.root
        self._lock = lock_root(root)
        self._engine = queue_engine(queue_url(root))
        config: DBOSConfig = {
            "name": "rectal-node",
            "system_database_engine": self._engine,
            "application_version": WORKFLOW_VERSION,
            "executor_id": "worker-1",
            "log_level": "ERROR",
        }
        # What is loaded by now stays: the collector, which a study's many small objects wake, need not walk over it
        # again and again; that took more than a second of a first study.
        gc.collect()
        gc.freeze()
        self._reconcile(root)
        DBOS(config=config)
        workflow.register(self._context)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._context.settings.analysis.concurrent_studies,
            polling_interval_sec=_POLL_S,
        )
        self._fail_runs_of_other_versions()

    def stop(self) -> None:
        """Leave the queue; a study under way goes on at the next start from its last finished step."""
        DBOS.destroy()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _reconcile(self, root: Path) -> None:
        """While nothing runs: what the index does not want any more, or does not know, is not taken up again."""
        if not is_made(root):
            return
        worklist = Worklist(queue_url(root))
        try:
            Reconciliation(root, self._context.index, worklist).before_work()
        finally:
            worklist.close()

    def _fail_runs_of_other_versions(self) -> None:
        """Runs of another workflow version are never recovered by DBOS: say so instead of leaving them for ever."""
        for found in DBOS.list_workflows(name=WORKFLOW, status=["PENDING", "ENQUEUED"], load_input=False):
            if found.app_version in (None, WORKFLOW_VERSION):
                continue
            study, revision = found.workflow_id.rsplit(":", 1)
            reason = f"queued by workflow version {found.app_version}, not {WORKFLOW_VERSION}: `rectal-node rerun` it"
            DBOS.cancel_workflow(found.workflow_id)
            self._context.index.move(study, int(revision), StudyState.FAILED, reason)


def lock_root(root: Path) -> IO[str]:
    """Hold a root for this process until the file is closed.

    Raises:
        ConfigurationError: another process holds it.
    """
    path = root / "worker.lock"
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise ConfigurationError(
            f"{path}: another worker runs on this root; stop it, or set another root in config.toml"
        ) from error
    return handle
