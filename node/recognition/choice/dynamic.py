"""The choice of the portal-venous volume among the dynamic runs of a study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.enhancement.injection_time import InjectionTime
from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.candidates import candidates, unusable
from node.recognition.choice.phases import Phases, assemble_runs, choose_portal_venous
from node.recognition.choice.role import RoleChoice, refused
from node.recognition.header.facts import Fault
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, SeriesVolume, one_series, series_name, volumes_of
from node.recognition.volumes.stacks import Volume, VolumeKey
from node.settings import RecognitionSettings

_OUTSIDE_RUN = "not of the dynamic run (other TR, TE, flip angle or geometry), and its contrast state is unknown"
_ALONE = "a single phase: without a dynamic run and a contrast start time its contrast state is unknown"


@dataclass(frozen=True, slots=True)
class DynamicChoice:
    """The choice of the portal-venous phase, and the run that it was looked for in, where there is one."""

    choice: RoleChoice
    run: Phases | None = None


def dynamic_volumes(series: tuple[Series, ...]) -> frozenset[VolumeKey]:
    """The volumes that belong to a run of several phases, usable or not."""
    runs = assemble_runs(tuple(entry.volume for entry in volumes_of(series, Finding.T1_DYNAMIC)))
    return frozenset(volume.key for run in runs if _timed(run) for volume in run)


def choose_pvp(
    series: tuple[Series, ...], settings: RecognitionSettings, measured: InjectionTime | Fault | None
) -> DynamicChoice:
    """The portal-venous phase of the longest run that has one; `measured` is the time of injection, if it was.

    Volumes with broken geometry stay in their run, so that a phase cannot vanish unseen; they are never chosen.
    """
    members = {
        entry.key: entry
        for entry in volumes_of(series, Finding.T1_DYNAMIC)
        if unusable(entry.volume, settings) in (None, entry.volume.fault)
    }
    runs = [run for run in assemble_runs(tuple(entry.volume for entry in members.values())) if _timed(run)]
    outside = {key: Fault("", _outside(key, runs)) for key in members}
    passed_over = {**outside, **candidates(series, Finding.T1_DYNAMIC, settings).passed_over}
    if not runs:
        missing = _no_run(series, bool(members))
        return DynamicChoice(refused(Sequence.PVP, series, Finding.T1_DYNAMIC, passed_over, missing))
    results = [choose_portal_venous(run, settings, measured) for run in runs]
    chosen = [phases for phases in results if phases.chosen is not None]
    run = (chosen or results)[0]
    choice = _choice_in(run, [members[volume.key] for volume in run.volumes], passed_over)
    if len(chosen) > 1:
        several = f"{len(chosen)} dynamic runs have a portal-venous phase; the longest run is used"
        choice = replace(choice, warnings=(*choice.warnings, several))
    return DynamicChoice(choice, run)


def _outside(key: VolumeKey, runs: list[tuple[Volume, ...]]) -> str:
    """Why a volume is of no use if it is not in the run that is used."""
    if any(key == member.key for run in runs if len(run) > 1 for member in run):
        return "of another dynamic run than the one that is used"
    return _OUTSIDE_RUN if runs else _ALONE


def _timed(run: tuple[Volume, ...]) -> bool:
    """Several volumes, or one whose time after a stated injection can be known."""
    header = run[0].first.header
    return len(run) > 1 or header.contrast_start_s is not None or header.contrast_start_to_the_minute


def _no_run(series: tuple[Series, ...], single: bool) -> Fault:
    if single:
        return Fault(Code.CONTRAST_UNKNOWN, "T1-weighted volumes")
    if volumes_of(series, Finding.DIXON_PART):
        return Fault(Code.DIXON_NO_WATER, "Dixon parts without a water image")
    return Fault(Code.MISSING, "no dynamic T1-weighted 3D gradient-echo series")


def _choice_in(phases: Phases, entries: list[SeriesVolume], passed_over: Mapping[VolumeKey, Fault]) -> RoleChoice:
    """The choice in a run, of which `entries` are the volumes in its order; its other phases say why not they."""
    best = None if phases.chosen is None else entries[phases.chosen]
    reasons = dict(passed_over)
    for entry in entries:
        if entry.volume.fault is None:
            reasons[entry.key] = _another_phase(entry, best, phases.fault)
    if best is not None:
        del reasons[best.key]
    return RoleChoice(
        Sequence.PVP,
        best,
        time_s=None if phases.chosen is None else phases.times_s[phases.chosen],
        refusal=phases.fault,
        passed_over=reasons,
        warnings=phases.warnings,
    )


def _another_phase(entry: SeriesVolume, best: SeriesVolume | None, fault: Fault | None) -> Fault:
    """Why a phase of the run that is used is not the portal-venous one."""
    if best is None:
        return Fault(fault.code if fault else "", "no portal-venous phase could be named")
    place = "" if one_series(best, entry) else f"; the portal-venous one is {series_name(best)}"
    return Fault("", f"another phase of the run{place}")
