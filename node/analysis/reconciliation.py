"""Queue and index brought together: for every pair of what they say of a study revision, what is done.

The storage owns the state of a study, DBOS the progress of its steps. A crash between the two, a database that was put
back from a backup and one that was lost alone can leave them apart; of each such pair the table says the way out. The
queue is looked at first and the index after it: a run ends in the index before it ends in the queue, so that what is
seen apart in this order is apart.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from node.analysis.leftovers import discard_leftovers
from node.analysis.progress import Run, runs
from node.analysis.queue import Worklist
from storage.index import Index
from storage.records import StudyState

log = logging.getLogger(__name__)

_SLICE = 500  # runs that are looked at together


class Standing(StrEnum):
    """What the index says of a revision: its state, that a later one has begun, or nothing."""

    UNKNOWN = "UNKNOWN"
    SUPERSEDED = "SUPERSEDED"
    RECEIVING = "RECEIVING"
    QUEUED = "QUEUED"
    COMPLETED = "COMPLETED"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Measure(StrEnum):
    """What is done about a pair.

    SUBMIT: into the queue. RESTART: the run of another life of the index is forgotten, and the revision submitted.
    FORGET: the run is removed from the queue, so that the revision can be submitted when it comes to that. CANCEL: the
    run is not wanted any more. FAIL: the analysis broke off, and the study says so.
    """

    NOTHING = "NOTHING"
    SUBMIT = "SUBMIT"
    RESTART = "RESTART"
    FORGET = "FORGET"
    CANCEL = "CANCEL"
    FAIL = "FAIL"


def _row(absent: Measure, waits: Measure, succeeded: Measure, broken: Measure) -> dict[Run, Measure]:
    return {
        Run.ABSENT: absent,
        **dict.fromkeys((Run.ENQUEUED, Run.DELAYED, Run.PENDING), waits),
        Run.SUCCESS: succeeded,
        **dict.fromkeys((Run.ERROR, Run.CANCELLED, Run.MAX_RECOVERY_ATTEMPTS_EXCEEDED), broken),
    }


_M = Measure
_ENDED = _row(_M.NOTHING, _M.CANCEL, _M.NOTHING, _M.NOTHING)

MEASURES: Mapping[Standing, Mapping[Run, Measure]] = {
    # The index was made anew, or is older than the queue: what will have this number is another revision.
    Standing.UNKNOWN: _row(_M.NOTHING, _M.FORGET, _M.FORGET, _M.FORGET),
    # Nothing of it would be kept.
    Standing.SUPERSEDED: _ENDED,
    # Its instances are not pinned yet; a run of this number is of another life of the index.
    Standing.RECEIVING: _row(_M.NOTHING, _M.FORGET, _M.FORGET, _M.FORGET),
    # A run that succeeds has ended the revision in the index before: this one ended another.
    Standing.QUEUED: _row(_M.SUBMIT, _M.NOTHING, _M.RESTART, _M.FAIL),
    # What has ended is not computed twice, whatever became of the queue.
    Standing.COMPLETED: _ENDED,
    Standing.REFUSED: _ENDED,
    Standing.FAILED: _ENDED,
    Standing.CANCELLED: _ENDED,
}
"""What is done, by what the index and what the queue says. A PENDING run is left alone while a worker runs."""


class Reconciliation:
    """Brings the queue of a root and the index together."""

    def __init__(self, root: Path, index: Index, worklist: Worklist) -> None:
        self._root, self._index, self._worklist = root, index, worklist

    def before_work(self) -> Counter[Measure]:
        """All that waits or was under way, before a worker takes it up again; returns what was done, and how often."""
        done: Counter[Measure] = Counter()
        for part in runs(self._root, _SLICE, unfinished=True):
            done += self._settle(part)
        for study, revision in self._worklist.of_other_versions():
            log.warning("study %s revision %d: begun by another release: its analysis begins anew", study, revision)
            # None of what its steps have left is read by the steps of this release.
            shutil.rmtree(self._root / "work" / study / str(revision), ignore_errors=True)
            self._worklist.forget(study, revision)
            self._worklist.submit(study, revision)
        return _told(done)

    def all(self) -> Counter[Measure]:
        """Every run that the queue remembers, and what is left in the work folder, while a worker may run."""
        done: Counter[Measure] = Counter()
        for part in runs(self._root, _SLICE):
            done += self._settle([each for each in part if each[2] is not Run.PENDING])
        discard_leftovers(self._root, self._index)
        return _told(done)

    def _settle(self, found: Sequence[tuple[str, int, Run]]) -> Counter[Measure]:
        standings = self._index.revisions({study for study, _, _ in found})
        done: Counter[Measure] = Counter()
        for study, revision, run in found:
            standing = standing_of(standings.get(study), revision)
            # What is QUEUED and not under way is the intake's, which looks every few seconds.
            measure = _M.NOTHING if standing is Standing.QUEUED else MEASURES[standing][run]
            if measure is _M.NOTHING:
                continue
            log.info("study %s revision %d: %s, and in the queue %s: %s", study, revision, standing, run, measure)
            if measure is _M.CANCEL:
                self._worklist.cancel(study, revision)
            else:
                self._worklist.forget(study, revision)
            done[measure] += 1
        return done


def standing_of(known: tuple[int, StudyState] | None, revision: int) -> Standing:
    """What the index says of a revision of a study, of which it knows the latest revision and its state."""
    if known is None or known[0] < revision:
        return Standing.UNKNOWN
    return Standing.SUPERSEDED if known[0] > revision else Standing(known[1])


def _told(done: Counter[Measure]) -> Counter[Measure]:
    if done:
        log.warning("queue and index were apart: %s", ", ".join(f"{count} {it.lower()}" for it, count in done.items()))
    return done
