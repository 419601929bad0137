"""Supersession: which results of earlier revisions those of a later one replace.

A revision that makes the same object again supersedes nothing: the object is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from node.results.identity import Identity
from node.results.source import put_all
from node.settings import ResultKind
from storage.records import ResultRecord


def predecessor(
    earlier: Sequence[ResultRecord], role: str, series_uid: Callable[[ResultRecord | None], str]
) -> ResultRecord | None:
    """The result of a role that one made now supersedes; None where there is none.

    Args:
        earlier: results of earlier revisions, the earliest first.
        role: which result.
        series_uid: Series Instance UID of the one made now, if this were its predecessor.
    """
    known = _history(earlier, role)
    latest, before = (*reversed(known), None, None)[:2]
    if latest is not None and series_uid(before) == latest.series_instance_uid:
        return before  # the same as the latest one, which named its predecessor already
    return latest


def superseding(identity: Identity, earlier: Sequence[ResultRecord], report: ResultRecord | None) -> Identity:
    """The identity with the revisions that its objects supersede.

    Args:
        identity: origin of the objects made now.
        earlier: results of earlier revisions, the earliest first.
        report: the report that is superseded; summary and key objects go with it.
    """

    def revision(role: str) -> int | None:
        found = report
        if role not in ("report", "summary", "summary-pdf") and not role.startswith(ResultKind.KEY_OBJECTS):
            found = predecessor(earlier, role, lambda _: identity.uid(f"{role}/series"))
        return None if found is None else found.revision

    roles = sorted({result.role for result in earlier})
    return replace(identity, supersedes=tuple((role, number) for role in roles if (number := revision(role))))


def _history(earlier: Sequence[ResultRecord], role: str) -> list[ResultRecord]:
    """One result a series in the order of revisions; of a series that revisions repeat, that of the last of them."""
    known: list[ResultRecord] = []
    for result in earlier:
        if result.role != role:
            continue
        if known and known[-1].series_instance_uid == result.series_instance_uid:
            known.pop()
        known.append(result)
    return known


def reference_to(result: ResultRecord) -> Dataset:
    """Identifiers of the superseded report, for Predecessor Documents Sequence (0040,A360)."""
    dataset = Dataset()
    uids = {
        "StudyInstanceUID": result.study_instance_uid,
        "SeriesInstanceUID": result.series_instance_uid,
        "SOPClassUID": result.sop_class_uid,
        "SOPInstanceUID": result.sop_instance_uid,
    }
    put_all(dataset, uids)
    return dataset
