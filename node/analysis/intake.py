"""Study revisions that are QUEUED in the storage go into the queue of the workflow; those that broke off there fail."""

from __future__ import annotations

import logging

from node.analysis.queue import Progress, Worklist
from storage.index import Index
from storage.records import StudyState

log = logging.getLogger(__name__)

_BROKEN = "the analysis broke off repeatedly; see the log, then `rectal-node rerun` the study"


def take_queued(index: Index, worklist: Worklist) -> None:
    """Submit every QUEUED study revision that the queue does not know; again changes nothing."""
    for study in index.studies(StudyState.QUEUED):
        uid, revision = study.study_instance_uid, study.revision
        progress = worklist.progress(uid, revision)
        if progress is Progress.UNKNOWN:
            worklist.submit(uid, revision)
            log.info("study %s revision %d: submitted for analysis", uid, revision)
        elif progress is Progress.BROKEN:
            index.move(uid, revision, StudyState.FAILED, _BROKEN)
