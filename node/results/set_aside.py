"""Remarks on findings that are not reported, and on the place of those that are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from models.plausibility.records import Location, SetAside
from node.recognition.record import StudyPlan
from node.results.figures import millilitres

_NAMED = 2
"""Places in the conclusion; the others stand below it."""


def not_reported(plan: StudyPlan) -> list[str]:
    """A sentence for each place at which something was set aside for one reason, the largest first."""
    return [
        f"{_volumes(group)} {group[0].place}: not reported, {group[0].reason} ({group[0].code})"
        for group in _groups(plan, lambda it: (it.place, it.code, it.reason))
    ]


def no_reliable_finding(plan: StudyPlan) -> str:
    """The conclusion where all that was outlined was set aside."""
    groups = _groups(plan, lambda it: (it.place,))
    places = [f"{_volumes(group)} {group[0].place}" for group in groups[:_NAMED]]
    more = f"; and {len(groups) - _NAMED} more place(s)" if len(groups) > _NAMED else ""
    return f"No reliable finding: {'; '.join(places)}{more}, not reported."


def is_in_rectum(location: Location | None) -> bool:
    """Whether it was established that a finding lies in the rectum: only then its place is coded."""
    return location is not None and location.established


def _volumes(group: Sequence[SetAside]) -> str:
    return ", ".join(f"{it.sequence} {millilitres(it.volume_ml)}" for it in group)


def _groups(plan: StudyPlan, key: Callable[[SetAside], tuple[str, ...]]) -> list[list[SetAside]]:
    """Findings with one key, the group of the largest first."""
    groups: dict[tuple[str, ...], list[SetAside]] = defaultdict(list)
    for finding in sorted(plan.set_aside, key=lambda it: -it.volume_ml):
        groups[key(finding)].append(finding)
    return list(groups.values())
