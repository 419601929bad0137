"""The choice for one role: the volume that fills it, or why none does, and why each other volume was passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.sequence import Sequence
from node.recognition.choice.candidates import Candidates
from node.recognition.choice.ranking import Rank, ranked
from node.recognition.header.facts import Fault
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, SeriesVolume, one_series, series_name, volumes_of
from node.recognition.volumes.stacks import VolumeKey


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """The volume chosen for a role, or the refusal of the role.

    `time_s` is the time of the chosen volume after the injection, where it is known. `decided_by` is the preference
    that decided against a usable volume.
    """

    role: Sequence
    chosen: SeriesVolume | None = None
    time_s: float | None = None
    refusal: Fault | None = None
    passed_over: Mapping[VolumeKey, Fault] = field(default_factory=dict)
    decided_by: Mapping[VolumeKey, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def best_of(role: Sequence, found: Candidates, rank: Rank) -> RoleChoice:
    """The usable volume that ranks highest; the others keep the first preference that decided against them."""
    best, decided_by = ranked(found.usable, rank)
    preferred = {}
    for entry in (it for it in found.usable if it.key != best.key):
        name = "another volume of the series" if one_series(best, entry) else series_name(best)
        preferred[entry.key] = Fault("", f"{name} is preferred: {decided_by[entry.key]}")
    return RoleChoice(role, best, passed_over={**found.passed_over, **preferred}, decided_by=decided_by)


def refused(
    role: Sequence, series: tuple[Series, ...], finding: Finding, passed_over: Mapping[VolumeKey, Fault], missing: Fault
) -> RoleChoice:
    """A refusal with the named fault of the best volume of a finding, else with `missing`.

    The best is that of the highest b-value, of several the largest.
    """
    near = sorted(
        volumes_of(series, finding),
        key=lambda entry: (entry.volume.first.diffusion.b_value or 0.0, entry.volume.slices),
        reverse=True,
    )
    faults = [passed_over[entry.key] for entry in near if entry.key in passed_over]
    named = next((fault for fault in faults if fault.code), None)
    reasons = "; ".join(dict.fromkeys(fault.reason for fault in faults))
    plain = Fault(missing.code, f"{missing.reason} ({reasons})") if reasons else missing
    return RoleChoice(role, refusal=named or plain, passed_over=passed_over)
