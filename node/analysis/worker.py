"""The process that takes studies from the queue and runs their workflows."""

from __future__ import annotations

import fcntl
import gc
import logging
import threading
import time
from pathlib import Path
from typing import IO

from dbos import DBOS, DBOSConfig
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.analysis import workflow
from node.analysis.context import AnalysisContext
from node.analysis.leftovers import discard_volumes, is_over
from node.analysis.progress import WORKFLOW, is_made, revision_of
from node.analysis.queue import QUEUE, WORKFLOW_VERSION, Worklist, queue_engine, queue_url
from node.analysis.reconciliation import Reconciliation
from node.analysis.records import JsonRecords, refuse_pickled
from node.analysis.runs import Runs
from node.clock import PARTING_S
from node.errors import ConfigurationError, told
from node.logs import Sparing

#: How often DBOS looks into the queue, in s: it cannot be told that something has come. A look takes 4 ms of
#: processor, which at 0.1 s was most of what a node takes that has nothing to do.
_POLL_S = 0.25
#: How often runs are looked for that wait for a fault to pass, and those that nobody here runs.
_LOOK_S, _LOOK_FOR_STRAYS_S, _AFTER_A_FAULT_S = 0.25, 15.0, 1.0

log = logging.getLogger(__name__)


class Worker:
    """Takes studies from the queue, one process a storage root."""

    def __init__(self, context: AnalysisContext) -> None:
        self._context = context
        self._runs = Runs(context.index.engine, context.files)
        self._strays: set[str] = set()
        self._sparing = Sparing(log)
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
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
            "serializer": JsonRecords(),
        }
        refuse_pickled()
        # What is loaded by now stays: the collector, which a study's many small objects wake, need not walk over it
        # again and again; that took more than a second of a first study.
        gc.collect()
        gc.freeze()
        self._reconcile(root)
        self._runs, self._strays = Runs(self._context.index.engine, self._context.files), set()
        DBOS(config=config)
        workflow.register(self._context, self._runs)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._context.settings.analysis.concurrent_studies,
            polling_interval_sec=_POLL_S,
        )
        self._stop.clear()
        self._keeper = threading.Thread(target=self._keep_running, name="analysis-runs", daemon=True)
        self._keeper.start()

    def interrupt(self) -> None:
        """Have every step end at its next safe point, and wait for none; `stop` does."""
        self._runs.stop(0)

    def stop(self, patience_s: float = PARTING_S) -> bool:
        """Leave the queue; a study under way goes on at the next start from its last finished step.

        A step ends at its next safe point. Where that does not come in time the root stays locked for as long as this
        process lives, since the step may write into it still.

        Returns:
            whether every step has ended.
        """
        self._stop.set()
        if remaining := self._runs.stop(patience_s):
            for run, step in remaining.items():
                log.error("study %s: %r has come to no safe point in %.0f s", run, step, patience_s)
            return False
        if self._keeper is not None:
            self._keeper.join(patience_s)
        DBOS.destroy()
        self._runs.let_go()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return True

    def _keep_running(self) -> None:
        """Take up again what waited for a fault of this machine, and what nobody runs."""
        looked = time.monotonic()
        while not self._stop.wait(_LOOK_S):
            try:
                for run in self._runs.due():
                    self._take_up(run)
                if time.monotonic() >= looked + _LOOK_FOR_STRAYS_S:
                    looked = time.monotonic()
                    self._take_up_strays()
            except SQLAlchemyError as error:
                self._sparing.write(logging.WARNING, "queue", "", "the queue cannot be written now: %s", told(error))
                self._stop.wait(_AFTER_A_FAULT_S)
            except Exception:
                # The thread is the only one that takes them up: whatever goes wrong with one must not end it.
                log.exception("an analysis that waits cannot be taken up")
                self._stop.wait(_AFTER_A_FAULT_S)

    def _take_up(self, run: str) -> None:
        # Before it is in the queue: from there it may be put off again at once.
        self._runs.look_again(run, _LOOK_FOR_STRAYS_S)
        try:
            self._into_the_queue(run)
        except SQLAlchemyError:
            self._runs.look_again(run, _AFTER_A_FAULT_S)
            raise

    def _into_the_queue(self, run: str) -> None:
        status = DBOS.get_workflow_status(run)
        if status is not None and status.status == "PENDING":
            DBOS.resume_workflow(run, queue_name=QUEUE)
        elif status is None or status.status != "ENQUEUED":  # a person has cancelled it
            study, revision = revision_of(run)
            if is_over(self._context.index, study, revision):
                discard_volumes(self._context.study(study, revision).folder)
            self._runs.goes_on(run)

    def _take_up_strays(self) -> None:
        """Runs that are under way by the queue's account, and in no thread: twice in a row, so not just ending."""
        found = DBOS.list_workflows(name=WORKFLOW, status="PENDING", load_input=False, load_output=False)
        strays = {it.workflow_id for it in found if not self._runs.is_known(it.workflow_id)}
        for run in strays & self._strays:
            log.warning("study %s: its analysis had stopped, and is taken up", run)
            DBOS.resume_workflow(run, queue_name=QUEUE)
        self._strays = strays - self._strays

    def _reconcile(self, root: Path) -> None:
        """While nothing runs: what the index does not want any more, or does not know, is not taken up again."""
        if not is_made(root):
            return
        worklist = Worklist(queue_url(root))
        try:
            Reconciliation(root, self._context.index, worklist).before_work()
        finally:
            worklist.close()


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
