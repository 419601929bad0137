"""Two patients under one Study Instance UID: what is refused, and what is left once a person has said who is meant.

All objects count, images or not, save results of this node, which carry the patient of what they were made from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from node.codes import Code
from node.recognition.header import patients
from node.recognition.header.facts import Fault, FrameFacts, ImageKind
from node.recognition.header.naming import listed, series_in_words, series_names
from storage.identity import InstanceKey
from storage.records import PatientIdentity

#: Why a series is not used whose images are of another patient than the one who is meant.
OTHER_PATIENT = Fault(Code.PATIENT_MIX, "it names another patient than the one who is meant")


@dataclass(frozen=True, slots=True)
class Selection:
    """The frames of a study that may be analysed together, those of another patient, and why, where not all may."""

    frames: tuple[FrameFacts, ...]
    others: tuple[FrameFacts, ...] = ()
    fault: Fault | None = None
    warnings: tuple[str, ...] = ()


def select(study_instance_uid: str, frames: tuple[FrameFacts, ...], meant: PatientIdentity | None) -> Selection:
    """The frames of one patient: all of them, unless they name two.

    `meant`: who a person said is meant.
    """
    known = patients.persons(_stated(frames))
    chosen = patients.meant_among(known, meant) if meant else known
    if len(known) == 0 or (len(known) == len(chosen) == 1):
        return Selection(frames)
    if len(chosen) != 1:
        return Selection(frames, fault=_refusal(study_instance_uid, frames, known, chosen, meant))
    own = tuple(frame for frame in frames if _own(frame) or not patients.contradict(frame.header.patient, chosen[0]))
    kept = {id(frame) for frame in own}
    others = tuple(frame for frame in frames if id(frame) not in kept)
    warning = (
        f"{Code.PATIENT_MIX}: the study names {'two' if len(known) == 2 else len(known)} patients; a person said which "
        f"is meant, and what names another is left out: {_left_out(own, others)}"
    )
    return Selection(own, others, warnings=(warning,))


def reference(frames: Sequence[FrameFacts], used: Iterable[InstanceKey]) -> InstanceKey | None:
    """The object that states the patient most fully, among those used where that is no less; results take him from it.

    None where there is no object but results of this node.
    """
    order = {key: index for index, key in enumerate(used)}
    candidates = [frame.header for frame in frames if not _own(frame)]
    if not candidates:
        return None
    return max(
        candidates,
        key=lambda header: (patients.completeness(header.patient), -order.get(header.key, len(order))),
    ).key


def _own(frame: FrameFacts) -> bool:
    return frame.kind is ImageKind.OWN_RESULT


def _stated(frames: Iterable[FrameFacts]) -> set[PatientIdentity]:
    return {frame.header.patient for frame in frames if not _own(frame)}


def _refusal(
    study_instance_uid: str,
    frames: Sequence[FrameFacts],
    known: tuple[PatientIdentity, ...],
    chosen: tuple[PatientIdentity, ...],
    meant: PatientIdentity | None,
) -> Fault:
    run = f"`rectal-node rerun {study_instance_uid} --patient ID`"
    if meant is None:
        reason = f"{_who_names_whom(frames, known)}; say which is meant by {run}"
    elif not chosen:
        reason = f"no object names the patient who was said to be meant; say anew which is by {run}"
    else:
        reason = (
            f"{_who_names_whom(frames, chosen)}, and each has the ID that was said; say which is meant by {run} with "
            f"--born or --issuer"
        )
    return Fault(Code.PATIENT_MIX, reason)


def _who_names_whom(frames: Sequence[FrameFacts], known: tuple[PatientIdentity, ...]) -> str:
    """Such as `series 2 and 3 name one patient, series 4 another (Patient ID differs)`."""
    series: dict[int, set[str]] = defaultdict(set)
    for frame in frames:
        person = None if _own(frame) else patients.person_of(frame.header.patient, known)
        if person is not None:
            series[person].add(frame.header.series_instance_uid)
    names = series_names(frames)
    several = {uid for uid in names if sum(uid in uids for uids in series.values()) > 1}
    alone = [uids - several for uids in sorted(series.values(), key=lambda uids: _place(uids, names))]
    parts = [
        _named(uids, names, "another" if index else "one patient") for index, uids in enumerate(filter(None, alone))
    ]
    if several:
        parts.append(_named(several, names, "two patients" if len(known) == 2 else "several patients"))
    differing = dict.fromkeys(name for one in known for other in known for name in patients.differences(one, other))
    return f"{', '.join(parts)} ({listed(list(differing))} {'differ' if len(differing) > 1 else 'differs'})"


def _place(uids: set[str], names: Mapping[str, str]) -> int:
    return min(list(names).index(uid) for uid in uids)


def _named(uids: set[str], names: Mapping[str, str], what: str) -> str:
    verb = "" if what == "another" else (" names" if len(uids) == 1 else " name")
    return f"{series_in_words(uids, names)}{verb} {what}"


def _left_out(own: Sequence[FrameFacts], others: Sequence[FrameFacts]) -> str:
    """Whole series, and of how many series how many objects."""
    names = series_names((*own, *others))
    kept, gone = _objects(own), _objects(others)
    whole = [uid for uid in gone if uid not in kept]
    parts = [series_in_words(whole, names)] if whole else []
    parts += [
        f"{len(gone[uid])} of {len(gone[uid]) + len(kept[uid])} objects of series {names[uid]}"
        for uid in names
        if uid in gone and uid in kept
    ]
    return listed(parts)


def _objects(frames: Iterable[FrameFacts]) -> dict[str, set[object]]:
    found: dict[str, set[object]] = defaultdict(set)
    for frame in frames:
        found[frame.header.series_instance_uid].add(frame.header.path)
    return found
