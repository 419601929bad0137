"""SOP Instance UIDs that stand for several objects (`storage.identity`), named by series.

Each object is analysed as what it is; who looks one up by its UID alone, in an archive or a reference, may find the
other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from node.codes import Code
from node.recognition.header.facts import FrameFacts
from node.recognition.header.naming import listed, series_in_words, series_names
from storage.identity import InstanceKey


def within(frames: Sequence[FrameFacts]) -> list[str]:
    """One sentence for each set of series of a study whose objects share UIDs."""
    series: dict[str, set[str]] = defaultdict(set)
    for key in _keys(frames):
        series[key.sop_instance_uid].add(key.series_instance_uid)
    shared = Counter(tuple(sorted(uids)) for uids in series.values() if len(uids) > 1)
    names = series_names(frames)
    return [
        f"{Code.UID_CLASH}: {_uids(count)} one object in each of {series_in_words(uids, names)}: all are kept, and "
        f"each series is taken whole"
        for uids, count in sorted(shared.items())
    ]


def across(frames: Sequence[FrameFacts], elsewhere: Mapping[InstanceKey, Sequence[str]]) -> list[str]:
    """One sentence for each set of other studies with objects of the same UIDs.

    `elsewhere`: those studies, by the object of this one.
    """
    shared: dict[tuple[str, ...], set[InstanceKey]] = defaultdict(set)
    for key in _keys(frames) & elsewhere.keys():
        shared[tuple(elsewhere[key])].add(key)
    names = series_names(frames)
    return [
        f"{Code.UID_CLASH}: {_uids(len(keys))} one object in "
        f"{series_in_words((key.series_instance_uid for key in keys), names)} and another in study "
        f"{listed(studies)}: all are kept, and each study is taken whole"
        for studies, keys in sorted(shared.items())
    ]


def between(studies: Iterable[tuple[str, Sequence[FrameFacts]]]) -> dict[str, dict[InstanceKey, tuple[str, ...]]]:
    """The objects of each study that another study holds under the same UID, as `across` takes them, by study UID."""
    found = [(uid, key) for uid, frames in studies for key in _keys(frames)]
    holders: dict[str, set[str]] = defaultdict(set)
    for uid, key in found:
        holders[key.sop_instance_uid].add(uid)
    elsewhere: dict[str, dict[InstanceKey, tuple[str, ...]]] = defaultdict(dict)
    for uid, key in found:
        if len(holders[key.sop_instance_uid]) > 1:
            elsewhere[uid][key] = tuple(sorted(holders[key.sop_instance_uid] - {uid}))
    return elsewhere


def _keys(frames: Sequence[FrameFacts]) -> set[InstanceKey]:
    return {frame.header.key for frame in frames if frame.header.sop_instance_uid}


def _uids(count: int) -> str:
    return "one SOP Instance UID stands for" if count == 1 else f"{count} SOP Instance UIDs stand for"
