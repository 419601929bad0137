"""Study revisions that are QUEUED in the storage go into the queue of the workflow; those that broke off there fail.

Of one that the queue knows as ended and the storage as QUEUED `reconciliation` says what becomes of it.

Completion tells of each that it queues, which is submitted at once; looking finds what a crash left between row and
queue. What was submitted is remembered: a look asks one thing of the storage and one of the queue, whatever number
of studies waits, and more only of those that are new.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from node.analysis.progress import Run
from node.analysis.queue import Worklist
from node.analysis.reconciliation import MEASURES, Measure, Standing, standing_of
from storage.index import Index
from storage.records import StudyState

log = logging.getLogger(__name__)

_BROKEN = "the analysis broke off repeatedly; see the log, then `rectal-node rerun` the study"


class Intake:
    """Submits the QUEUED study revisions of one storage to one queue."""

    def __init__(self, index: Index, worklist: Worklist) -> None:
        self._index = index
        self._worklist = worklist
        self._submitted: set[tuple[str, int]] = set()

    def submit(self, study_uid: str, revision: int) -> None:
        """Submit a revision that has just become QUEUED; one that the queue cannot take now is left to `look`."""
        try:
            self._worklist.submit(study_uid, revision)
        except SQLAlchemyError as error:
            log.warning("study %s revision %d: not submitted, trying again: %s", study_uid, revision, error)
            return
        self._submitted.add((study_uid, revision))
        log.info("study %s revision %d: submitted for analysis", study_uid, revision)

    def look(self) -> None:
        """Submit every QUEUED study revision that the queue does not know, and fail what broke off there."""
        queued = self._index.queued()
        self._submitted &= set(queued)
        new = [each for each in queued if each not in self._submitted]
        unknown = self._worklist.unknown(new)
        for each in new:
            if each in unknown:
                self.submit(*each)
            else:
                self._submitted.add(each)
        if ended := self._worklist.ended(queued):
            self._settle(ended)

    def _settle(self, ended: Mapping[tuple[str, int], Run]) -> None:
        """What has ended in the queue and is QUEUED in the index still, which was looked at before: looked at again."""
        known = self._index.revisions({study for study, _ in ended})
        for (study, revision), run in ended.items():
            standing = standing_of(known.get(study), revision)
            measure = MEASURES[standing][run] if standing is Standing.QUEUED else Measure.NOTHING
            if measure is Measure.FAIL:
                self._index.move(study, revision, StudyState.FAILED, _BROKEN)
            elif measure is Measure.RESTART:
                log.warning("study %s revision %d: the queue knows it from before (%s): anew", study, revision, run)
                self._worklist.forget(study, revision)
                self.submit(study, revision)
