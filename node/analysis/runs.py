"""The analyses that run in this process: which are under way, which wait for a fault of this machine to pass.

A run leaves its thread between two steps, or at a safe point within one, when the process stops (`Interrupted`) or when
this machine could not do what a step needs (`PutOff`). Neither is an end: nothing is recorded of the step, which runs
again when the run is taken up, after a while or by the next process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models import interruption
from models.errors import ProcessKilledError
from models.interruption import Interrupted
from node.codes import Alert
from node.errors import PermanentError, StepSetAsideError, told
from node.failure import FAULTS, Fault, fault_of
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.step_attempts import StepAttempts

log = logging.getLogger(__name__)

LIMIT = 5
"""Attempts of one step that end with their process; it is not tried again then."""

_SUBJECT = "analysis"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_LOOK_S = 0.25
_OF_STUDIES = "objects", "work"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class PutOff(BaseException):
    """This machine could not do what a step needs; no `except Exception` takes it for a failure of the study."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(f"{fault}: {what}")
        self.fault = fault
        self.what = what


class FileGoneError(PermanentError):
    """A file of the study is gone, which no wait brings back."""


@dataclass(slots=True)
class _Wait:
    """Of a run that was put off: for what, for how long, and until when (`time.monotonic`)."""

    fault: Fault
    wait_s: float
    until: float


@dataclass(slots=True)
class _Turns:
    """Steps that have ended their process run alone, so that none beside them is taken for the reason."""

    changed: threading.Condition = field(default_factory=threading.Condition)
    running: int = 0
    alone: bool = False

    @contextmanager
    def taken(self, alone: bool) -> Iterator[None]:
        with self.changed:
            while self.alone or (alone and self.running):
                interruption.check()
                self.changed.wait(_LOOK_S)
            self.running += 1
            self.alone = alone
        try:
            yield
        finally:
            with self.changed:
                self.running -= 1
                self.alone = False
                self.changed.notify_all()


class Runs:
    """The runs of one worker; used by the threads of all runs and by that of the worker.

    Args:
        engine: of the index.
        files: of the root, where a file that is gone from it is to end a run.
    """

    def __init__(self, engine: Engine, files: ObjectStore | None = None) -> None:
        self._files = files
        self._alerts = Alerts(engine)
        self._attempts = StepAttempts(engine, _BOOT.read_text().strip() if _BOOT.exists() else "")
        self._changed = threading.Condition()
        self._active: dict[str, str] = {}
        self._waits: dict[str, _Wait] = {}
        self._under_way: set[int] = set()  # attempts, by their numbers
        self._not_ended: list[int] = []
        self._stopping, self._over = threading.Event(), threading.Event()
        self._turns = _Turns()
        self._cleared = False

    # --- a run, in its thread

    @contextmanager
    def run(self, identifier: str) -> Iterator[None]:
        """A context in which a run is under way; its safe points end it when the process stops."""
        if self._stopping.is_set():
            self._over.wait()  # holds the place in the queue, so that no other is begun
            raise Interrupted
        with self._changed:
            self._active[identifier] = ""
        try:
            with interruption.ended_by(self._stopping.is_set):
                yield
        except PutOff as put_off:
            self._put_off(identifier, put_off)
            raise
        else:
            self.goes_on(identifier)
        finally:
            with self._changed:
                self._active.pop(identifier, None)
                self._changed.notify_all()

    @contextmanager
    def attempt(self, study_uid: str, revision: int, identifier: str, step: str) -> Iterator[None]:
        """A context in which a step is tried.

        Raises:
            PutOff: this machine could not do it.
            Interrupted: the process stops.
            FileGoneError: an object, or what an earlier step has left, is gone, and the root is there.
            StepSetAsideError: it has ended its process too often.
        """
        interruption.check()
        with self._changed:
            self._active[identifier] = step
        with self._put_off_where_it_is_this_machine(step):
            self._end_others()
            killed = self._attempts.left(study_uid, revision, step)
            if killed >= LIMIT:
                raise StepSetAsideError(
                    f"{Alert.STEP_SET_ASIDE}: {step!r} has ended its process {killed} times: see the log of the "
                    f"system, then `rectal-node rerun` the study"
                )
            with self._turns.taken(alone=killed > 0):
                number = self._attempts.begin(study_uid, revision, step, datetime.now(UTC))
                self._under_way.add(number)
                try:
                    yield
                except ProcessKilledError:
                    self._under_way.discard(number)
                    raise  # what was killed was the step's
                except BaseException:
                    self._end(number)
                    raise
                self._end(number)

    def is_set_aside(self, study_uid: str, revision: int, why: str) -> None:
        """Tell of a study whose step has ended its process too often."""
        self._alerts.raise_(Alert.STEP_SET_ASIDE, study_uid, f"study {study_uid} revision {revision}: {why}")

    def is_through(self, study_uid: str, revision: int) -> None:
        """A revision has come to its end: what its steps left, and what was told of the study, is over."""
        self._attempts.forget(study_uid, revision)
        self._alerts.clear(Alert.STEP_SET_ASIDE, study_uid)

    # --- the worker

    def due(self) -> list[str]:
        """Runs that are to be taken up again now."""
        with self._changed:
            return [name for name, wait in self._waits.items() if name not in self._active and _is_over(wait)]

    def is_known(self, identifier: str) -> bool:
        """Whether a run is under way here, or waits."""
        with self._changed:
            return identifier in self._active or identifier in self._waits

    def look_again(self, identifier: str, after_s: float) -> None:
        """A run that waits is looked at again after a while, unless it is put off anew, or goes on, before."""
        with self._changed:
            if (wait := self._waits.get(identifier)) is not None:
                wait.until = time.monotonic() + after_s

    def stop(self, patience_s: float) -> dict[str, str]:
        """Have every run leave its thread at the next safe point; those that have not, with their steps."""
        self._stopping.set()
        for number in tuple(self._under_way):
            self._end(number)  # whatever ends the process from here on, it is not the step
        with self._changed:
            self._changed.wait_for(lambda: not self._active, patience_s)
            remaining = dict(self._active)
        try:
            self._end_others()
        except SQLAlchemyError as error:
            log.warning("the steps that have ended cannot be noted: %s", told(error))
        return remaining

    def let_go(self) -> None:
        """Nothing is begun any more: runs that came in during the stop leave."""
        self._over.set()

    # --- faults

    def _put_off(self, identifier: str, put_off: PutOff) -> None:
        with self._changed:
            known = self._waits.get(identifier)
            wait_s = min(2 * known.wait_s, _LONGEST_WAIT_S) if known else _FIRST_WAIT_S
            self._waits[identifier] = _Wait(put_off.fault, wait_s, time.monotonic() + wait_s)
        log.warning("study %s: this machine: %s; again in %.0f s", identifier, put_off, wait_s)
        self._alerts.raise_(put_off.fault.code, _SUBJECT, f"study {identifier}: {put_off}")

    def goes_on(self, identifier: str) -> None:
        """A step was done and recorded, or the run is wanted no more: it lacks nothing of this machine."""
        with self._changed:
            wait = self._waits.pop(identifier, None)
            if wait is None and self._cleared:
                return
            lasting = {it.fault.code for it in self._waits.values()}
            self._cleared = True
        # Once after the start as well: of what was told by a process before nobody else knows that it has ended.
        for code in {fault.code for fault in Fault} - lasting:
            self._alerts.clear(code, _SUBJECT)

    def _end(self, number: int) -> None:
        """An attempt has ended in order; where that cannot be noted now it is later."""
        self._under_way.discard(number)
        try:
            self._attempts.end(number)
        except SQLAlchemyError as error:
            log.warning("the end of a step cannot be noted now: %s", told(error))
            with self._changed:
                self._not_ended.append(number)

    def _end_others(self) -> None:
        while self._not_ended:
            self._attempts.end(self._not_ended[0])
            with self._changed:
                self._not_ended.pop(0)

    @contextmanager
    def _put_off_where_it_is_this_machine(self, step: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            if isinstance(error, FileNotFoundError) and (gone := self._gone(error)):
                raise FileGoneError(f"{step}: {gone} is gone: `rectal-node rerun` the study") from error
            put_off_if_fault(error, step)
            raise

    def _gone(self, error: FileNotFoundError) -> str:
        """What of the root is gone, as a path in it; empty where the root itself is, or something outside of it."""
        if self._files is None or not error.filename or not self._files.is_there():
            return ""
        path = Path(os.fsdecode(error.filename)).absolute()
        kept = (self._files.root / folder for folder in _OF_STUDIES)
        return str(path.relative_to(self._files.root)) if any(path.is_relative_to(it) for it in kept) else ""


def put_off_if_fault(error: Exception, step: str) -> None:
    """Raises PutOff where an error is this machine's."""
    if (fault := fault_of(error)) is not None:
        raise PutOff(fault, f"{step}: {told(error)}") from error


def _is_over(wait: _Wait) -> bool:
    return time.monotonic() >= wait.until
