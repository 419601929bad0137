"""The choice for a study: one volume for each role, combined from the choices of the roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.enhancement.injection_time import InjectionTime
from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.diffusion import choose_adc, choose_dwi
from node.recognition.choice.dynamic import choose_pvp, dynamic_volumes
from node.recognition.choice.phases import Phases
from node.recognition.choice.ranking import FIRST_OF_EQUALS
from node.recognition.choice.role import RoleChoice
from node.recognition.choice.t2 import choose_t2
from node.recognition.header.facts import Fault
from node.recognition.rules.series import Series, SeriesVolume, series_name
from node.recognition.volumes.splitting import REPETITIONS
from node.recognition.volumes.stacks import VolumeKey
from node.settings import RecognitionSettings


@dataclass(frozen=True, slots=True)
class StudyChoice:
    """The choice of every role; none where the study is refused as a whole.

    `dynamic` are the volumes that belong to a run of several phases; `run` is the run in which the portal-venous
    phase was looked for, `times_s` are the times of its phases after the injection, where that is known.
    """

    roles: tuple[RoleChoice, ...] = ()
    warnings: tuple[str, ...] = ()
    dynamic: frozenset[VolumeKey] = frozenset()
    run: Phases | None = None
    times_s: Mapping[VolumeKey, float] = field(default_factory=dict)

    def role_of(self, key: VolumeKey) -> RoleChoice | None:
        """The choice of the role that a volume fills, where it fills one."""
        return next((choice for choice in self.roles if choice.chosen and choice.chosen.key == key), None)

    def passed_over(self, key: VolumeKey) -> Fault | None:
        """Why a volume fills no role, where it could have."""
        return next((choice.passed_over[key] for choice in self.roles if key in choice.passed_over), None)


def choose(
    series: tuple[Series, ...], settings: RecognitionSettings, measured: InjectionTime | Fault | None = None
) -> StudyChoice:
    """One volume for each of T2WI, DWI, ADC and PVP, or a refusal for the role."""
    dwi = choose_dwi(series, settings)
    dynamic = choose_pvp(series, settings, measured)
    roles = (choose_t2(series, settings), dwi, choose_adc(series, settings, dwi), dynamic.choice)
    return StudyChoice(
        roles=roles,
        warnings=(
            *(warning for choice in roles for warning in choice.warnings),
            *_repetitions(series, roles),
            *_frames_of_reference(roles),
        ),
        dynamic=dynamic_volumes(series),
        run=dynamic.run,
        times_s=_times_s(dynamic.run),
    )


def choose_nothing(series: tuple[Series, ...]) -> StudyChoice:
    """The choice for a study that is refused as a whole."""
    return StudyChoice(dynamic=dynamic_volumes(series))


def _times_s(run: Phases | None) -> dict[VolumeKey, float]:
    if run is None or not run.times_s:
        return {}
    return {volume.key: time_s for volume, time_s in zip(run.volumes, run.times_s, strict=True)}


def _repetitions(series: tuple[Series, ...], roles: tuple[RoleChoice, ...]) -> list[str]:
    """One line for each used volume whose slices, or some of them, the same series holds once more."""
    found = []
    for choice in roles:
        # Phases of a dynamic run repeat their slices by nature.
        if choice.chosen is None or choice.role is Sequence.PVP:
            continue
        others = _repeated(series, choice.chosen)
        if others:
            held = _repetition(choice, choice.chosen, others)
            found.append(f"{choice.role}: {series_name(choice.chosen)} holds {held}")
    return found


def _repetition(choice: RoleChoice, entry: SeriesVolume, others: list[SeriesVolume]) -> str:
    told = f"told apart by {entry.volume.split_by[-1]}"
    whole = [other for other in others if other.volume.fault is None]
    if whole:
        reason = choice.decided_by.get(whole[0].key, FIRST_OF_EQUALS)
        return f"its slices {len(whole) + 1} times, {told}; one set is used: {reason}"
    count = sum(other.volume.slices for other in others)
    slices = f"{count} of its {entry.volume.slices} slices twice, {told}"
    return f"{slices}; the complete set is used, so that all slices are of one acquisition"


def _repeated(series: tuple[Series, ...], entry: SeriesVolume) -> list[SeriesVolume]:
    """The other volumes of a series that hold its slices once more."""
    frame, split_by = entry.volume.first, entry.volume.split_by
    if not split_by or split_by[-1] not in REPETITIONS:
        return []
    return [
        other
        for one in series
        if one.uid == entry.key.series_instance_uid
        for other in one.volumes
        if other.key != entry.key
        and other.volume.split_by == split_by
        and other.volume.first.kind is frame.kind
        and other.volume.first.diffusion.b_value == frame.diffusion.b_value
    ]


def _frames_of_reference(roles: tuple[RoleChoice, ...]) -> tuple[str, ...]:
    """E-FOR for each stack without a frame of reference, and for stacks that do not share one."""
    placements = {choice.role: choice.chosen.volume.first.placement for choice in roles if choice.chosen}
    uids = {role: placement.frame_of_reference_uid for role, placement in placements.items() if placement}
    warnings = [
        f"{Code.FOR}: {role} states no Frame of Reference UID; it is laid over no other series"
        for role, uid in uids.items()
        if not uid
    ]
    stated = [role for role, uid in uids.items() if uid]
    if len({uids[role] for role in stated}) > 1:
        warnings.append(f"{Code.FOR}: {', '.join(stated)} do not share one frame of reference; they may be misaligned")
    return tuple(warnings)
