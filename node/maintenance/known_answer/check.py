"""One known-answer check: the study is stored, its results are waited for, compared, and everything is removed.

Its results are handed to delivery for a destination of its own, which is the check itself: it claims them as a process
of delivery does, and takes those whose files are what was made. Nothing of it leaves the node.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from models.manifest import digest, load_manifest
from node.clock import Clock, utc_now
from node.codes import Alert
from node.dicom.outcomes import StoreResult
from node.dicom.scu import stored
from node.errors import TransientError, told
from node.failure import pass_on
from node.maintenance.known_answer import answer, images
from node.maintenance.known_answer.remote import listener_of
from node.maintenance.removing import Remover
from node.settings import AnalysisSettings, Settings
from storage.alerts import Alerts
from storage.answer_checks import AnswerCheck, AnswerChecks, Outcome
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import content_of
from storage.index import Index
from storage.known_answer import DESTINATION
from storage.records import ENDED_STATES, DeliveryRecord, StudyState
from storage.removal import Order
from storage.removal_records import Scope
from storage.retention import Circumstances, Kept

log = logging.getLogger(__name__)

ANSWERS = Path(__file__).parent / "answers.json"
_LOOK_S = 0.2
_LEASE = timedelta(minutes=5)
_REMOVED_WITHIN_S = 30.0
_RULE = "known-answer check"
#: What does not keep a study that nobody's results depend on.
_UNHEEDED = frozenset({Kept.NOT_DELIVERED, Kept.NOT_CATALOGUED, Kept.SENT_NOWHERE, Kept.NOT_COMMITTED})


class NoAnswerError(Exception):
    """The node gave no answer; the text says how far it came."""


class KnownAnswerCheck:
    """Checks one node, which must be running; the listener of the settings is called."""

    def __init__(
        self, settings: Settings, files: ObjectStore, index: Index, alerts: Alerts, clock: Clock = utc_now
    ) -> None:
        self._settings, self._files, self._index, self._alerts = settings, files, index, alerts
        self._checks, self._deliveries = AnswerChecks(index.engine), Deliveries(index.engine)
        self._remover, self._clock = Remover(index.engine, files, clock), clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have a check that is under way end soon, without an outcome."""
        self._stopping.set()

    def run(self) -> AnswerCheck | None:
        """Make a check; None where the node stops meanwhile. Another answer than the known one, or none, is an alert.

        Raises:
            TransientError: another check is under way.
            BundleError: a bundle cannot be read.
            OSError: this machine cannot write the images.
        """
        with self._alone():
            for left in self._checks.left():
                self._remove(left, 0)
            models = models_digest(self._settings.analysis)
            with self._written() as (study, paths):
                begun = self._checks.begin(study, models, self._clock())
                log.info("known-answer check: study %s", study)
                ended: AnswerCheck | None = None
                try:
                    found = self._answer(study, paths)
                except NoAnswerError as error:
                    ended = self._end(begun, Outcome.FAILED, {}, str(error))
                else:
                    if found is not None:
                        ended = self._judged(begun, models, found)
            # Who was not answered need not wait for the end of an analysis: what is left goes later.
            self._remove(study, _REMOVED_WITHIN_S if ended is not None and ended.answer else 0)
        return ended

    def remove_left(self) -> None:
        """Remove what checks have left whose process has died, or that were answered too late."""
        with contextlib.suppress(TransientError), self._alone():
            for left in self._checks.left():
                self._remove(left, 0)

    def _judged(self, identifier: int, models: str, found: Mapping[str, float]) -> AnswerCheck:
        known = self._checks.reference(models) or shipped_answer(models)
        if known is None:
            return self._end(identifier, Outcome.NO_REFERENCE, found, "no answer of these bundles is known yet")
        wrong = answer.differences(known, found)
        return self._end(identifier, Outcome.FAILED if wrong else Outcome.PASSED, found, "; ".join(wrong))

    def _end(self, identifier: int, outcome: Outcome, found: Mapping[str, float], reason: str) -> AnswerCheck:
        ended = self._checks.end(identifier, outcome, found, reason, self._clock())
        if outcome is Outcome.FAILED:
            self._alerts.raise_(Alert.KNOWN_ANSWER, "", reason)
        else:
            self._alerts.clear(Alert.KNOWN_ANSWER, "")
        level = logging.ERROR if outcome is Outcome.FAILED else logging.INFO
        log.log(level, "known-answer check: %s %s", outcome, reason)
        return ended

    def _answer(self, study: str, paths: list[Path]) -> dict[str, float] | None:
        """What the node makes of the study; None where it stops meanwhile.

        Raises:
            NoAnswerError: nothing came in its time.
        """
        deadline = time.monotonic() + self._settings.known_answer.within_s
        outcomes = stored(paths, listener_of(self._settings))
        refused = [it.reason for it in outcomes if it.result is not StoreResult.SENT]
        if refused:
            raise NoAnswerError(f"{len(refused)} of {len(paths)} images were not stored: {refused[0]}")
        while time.monotonic() < deadline:
            if self._stopping.wait(_LOOK_S):
                return None
            record = self._index.study(study)
            if record is not None and record.state in ENDED_STATES:
                return self._taken(study, record.state, record.reason)
        record = self._index.study(study)
        how_far = "not known to the node" if record is None else f"{record.state} {record.reason}".rstrip()
        raise NoAnswerError(f"no answer within {self._settings.known_answer.within_s:g} s: the study is {how_far}")

    def _taken(self, study: str, state: StudyState, reason: str) -> dict[str, float]:
        """Take the results as their destination, and read them.

        Raises:
            NoAnswerError: there are none, or one is not what was made, or cannot be read.
        """
        taken: list[DeliveryRecord] = []
        while claimed := self._deliveries.claim(DESTINATION, _RULE, self._clock(), self._clock() + _LEASE, 100):
            self._deliveries.stored({it.identifier: "" for it in claimed}, self._clock())
            taken += [it for it in claimed if it.result.study_instance_uid == study]
        for each in taken:
            if content_of(self._files.absolute(each.result.file)).digest != each.result.file.digest:
                raise NoAnswerError(f"the file of result {each.result.sop_instance_uid} is not what was made")
        if state is not StudyState.COMPLETED or not taken:
            raise NoAnswerError(f"the study became {state}, with {len(taken)} results{f': {reason}' if reason else ''}")
        try:
            return answer.read((it.result.role, self._files.absolute(it.result.file)) for it in taken)
        except answer.UNREADABLE as error:
            pass_on(error)
            raise NoAnswerError(f"a result cannot be read: {told(error)}") from error

    def _remove(self, study: str, within_s: float) -> None:
        """Remove everything of a check; what is still in use is left to the next one."""
        deadline = time.monotonic() + within_s
        while True:
            circumstances = Circumstances(self._clock(), promises_hold=False)
            kept = self._remover.remove(study, Scope.STUDY, Order(_RULE), circumstances, frozenset(Kept) - _UNHEEDED)
            if not isinstance(kept, tuple) or not kept:
                return
            if time.monotonic() >= deadline or self._stopping.wait(_LOOK_S):
                log.warning("known-answer check: study %s stays for now: %s", study, ", ".join(kept))
                return

    @contextmanager
    def _written(self) -> Iterator[tuple[str, list[Path]]]:
        """The study of this check, and its images in a folder that goes with them."""
        folder = self._files.root / "known-answer"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield images.write(folder, time.time_ns())
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._files.root / "known-answer.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError("another known-answer check is under way: wait for its end") from error
            yield


def models_digest(settings: AnalysisSettings) -> str:
    """SHA-256 (hex) over the bundles: by it an answer is known.

    Raises:
        BundleError: a bundle cannot be read.
    """
    digests = [digest(load_manifest(folder)) for folder in settings.bundles]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def shipped_answer(models: str) -> Mapping[str, float] | None:
    """The answer that this release knows of bundles."""
    answers: dict[str, dict[str, float]] = json.loads(ANSWERS.read_text("utf-8"))
    return answers.get(models)
