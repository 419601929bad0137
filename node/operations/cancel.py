"""The end of an analysis that a person does not want: of a study in the queue, or under way."""

from __future__ import annotations

from dataclasses import dataclass

from node.analysis.progress import queue_database
from node.errors import NodeError
from node.settings import Settings
from storage.database import open_engine
from storage.errors import TransitionError
from storage.index import Index
from storage.records import StudyState


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A study revision whose analysis is cancelled, and why."""

    study_instance_uid: str
    revision: int
    reason: str


def cancel(settings: Settings, study_instance_uid: str, reason: str = "") -> Cancelled:
    """End the analysis of a study that is queued or under way; asking again does no harm.

    A step under way runs to its end, and nothing that it makes is kept for delivery. Images that arrive later begin the
    next revision as they do after every end; so does `rerun`.

    Raises:
        NodeError: the node does not know the study, or another revision of it has begun meanwhile.
        TransitionError: it is neither queued nor under way.
    """
    index = Index(open_engine(settings.storage_url))
    study = index.study(study_instance_uid)
    if study is None:
        raise NodeError(f"{study_instance_uid}: no study of this node")
    if study.state not in (StudyState.QUEUED, StudyState.CANCELLED):
        raise TransitionError(
            f"study {study_instance_uid} revision {study.revision} is {study.state}: only an analysis that is queued "
            f"or under way can be cancelled"
        )
    because = reason or "cancelled by a person"
    # The state moves first: whatever the analysis does from here on, it cannot end in results.
    if not index.move(study_instance_uid, study.revision, StudyState.CANCELLED, because):
        raise NodeError(f"study {study_instance_uid}: images have arrived, and revision {study.revision} is past")
    if queue_database(settings.root).exists():
        # DBOS takes a second to import: only where it has something to do.
        from node.analysis.queue import Worklist, queue_url

        worklist = Worklist(queue_url(settings.root))
        try:
            worklist.cancel(study_instance_uid, study.revision)
        finally:
            worklist.close()
    return Cancelled(study_instance_uid, study.revision, because)
