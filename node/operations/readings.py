"""What a reader says of the results of a study."""

from __future__ import annotations

from sqlalchemy import Engine

from node.clock import utc_now
from node.errors import NodeError
from storage.index import Index
from storage.ledger import Ledger
from storage.readings import ReaderVerdict, Reading, Readings

LONGEST_COMMENT = 2000


def give(engine: Engine, study_uid: str, revision: int, verdict: ReaderVerdict, comment: str, reader: str) -> Reading:
    """Keep what a reader says of `revision`: the one whose results were looked at, or that of a study without any.

    Raises:
        NodeError: there is no such study, its results are of another revision or there are none to accept or reject,
            a comment is missing or too long, or an outline is none.
    """
    study = Index(engine).study(study_uid)
    if study is None:
        raise NodeError(f"{study_uid}: no study of this node")
    if verdict is ReaderVerdict.OUTLINED:
        raise NodeError("an outline is a DICOM segmentation")
    results = Ledger(engine).latest_results(study_uid)
    if not results and verdict is not ReaderVerdict.COMMENT:
        raise NodeError(f"study {study_uid} has no results to accept or reject: leave a comment")
    looked_at = results[0].revision if results else study.revision
    if looked_at != revision:
        raise NodeError(f"study {study_uid} shows revision {looked_at}: look at it again before you say so")
    said = comment.strip()
    if verdict is ReaderVerdict.COMMENT and not said:
        raise NodeError("a comment has words")
    if len(said) > LONGEST_COMMENT:
        raise NodeError(f"a comment has at most {LONGEST_COMMENT} characters")
    reading = Reading(study_uid, revision, verdict, said, reader, utc_now())
    Readings(engine).add(reading)
    return reading
