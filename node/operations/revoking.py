"""Results of a root whose index was made anew that are of another patient, or of rejected images, as far as files tell.

What had been stopped or was to be withdrawn is not in the files. It is found as an analysis finds it: by the record of
the last revision and the headers of results and images. Where these do not tell, the results are doubtful: nobody sends
them without naming them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine

from node.analysis.earlier import EarlierResults
from node.analysis.refusal import why_refused
from node.analysis.study import Study
from node.recognition.record import from_json
from storage import database, delivery_rows
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import ResultRecord

_NOT_KNOWN = "whether it was sent is not known, the index was made anew"
_NO_RECORD = (
    "whether it is of the patient of the study is not known: the index was made anew, and the record of revision "
    "{revision}, or an image that it names, is not there"
)


def revoke_what_is_of_others(engine: Engine, root: Path, last: Mapping[str, int]) -> None:
    """Revoke the results that are of others, and put the doubtful ones in doubt.

    `last` is the greatest revision, by study, of which an analysis has left anything.
    """
    for study in Index(engine).studies():
        uid = study.study_instance_uid
        _judge(engine, root, uid, max(last.get(uid, 0), study.revision))


def _judge(engine: Engine, root: Path, uid: str, last: int) -> None:
    index, ledger, files = Index(engine), Ledger(engine), ObjectStore(root)
    results = ledger.all_results(uid)
    earlier = [it for it in results if it.revision < last]
    if not earlier:
        return
    document = index.verdict(uid, last)
    if document is None:
        _doubt(engine, earlier, last)
        return
    before = EarlierResults(files, index, ledger, uid, last)
    refusal = why_refused(from_json(document))
    instances = {it.header.key: (files.absolute(it.file), it.content.identifier) for it in index.instances(uid)}
    study = Study(uid, last, instances, root / "work" / uid / str(last), rejected=index.rejected(uid))
    of_another = before.revisions_of_another_patient(study, refusal)
    revocation = before.revocation(refusal, of_another, [it for it in results if it.revision == last])
    with database.writing(engine).begin() as connection:
        told = replace(revocation, reason=f"{revocation.reason}; {_NOT_KNOWN}")
        delivery_rows.revoke(connection, uid, told)
    for revision in sorted({it.revision for it in earlier}):
        if not _is_whole(index.verdict(uid, revision)):
            _doubt(engine, [it for it in earlier if it.revision == revision], revision)


def _is_whole(document: str | None) -> bool:
    """Whether it can be told what the results of a revision were made from: record and images are there."""
    stacks = from_json(document).stacks if document else None
    return stacks is not None and all(frame.path.exists() for stack in stacks for frame in stack.frames)


def _doubt(engine: Engine, results: Collection[ResultRecord], revision: int) -> None:
    with database.writing(engine).begin() as connection:
        uids = [it.sop_instance_uid for it in results]
        delivery_rows.doubt(connection, uids, _NO_RECORD.format(revision=revision))
