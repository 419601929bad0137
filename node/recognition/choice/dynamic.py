"""The choice of the portal-venous volume among the dynamic runs of a study."""

from __future__ import annotations

from node.codes import Code
from node.recognition.choice.candidates import (
    Ledger,
    Series,
    SeriesVolume,
    one_series,
    series_name,
    unusable,
    usable_volumes,
    volumes_of,
)
from node.recognition.choice.injection import InjectionTime
from node.recognition.choice.phases import Phases, assemble_runs, choose_portal_venous
from node.recognition.header.facts import Fault
from node.recognition.rules.findings import Finding
from node.recognition.volumes.stacks import Volume
from node.settings import RecognitionSettings, Role

_OUTSIDE_RUN = "not of the dynamic run (other TR, TE, flip angle or geometry), and its contrast state is unknown"
_ALONE = "a single phase: without a dynamic run and a contrast start time its contrast state is unknown"


def dynamic_volumes(series: tuple[Series, ...]) -> frozenset[int]:
    """Identities of the volumes that belong to a run of several phases, usable or not."""
    by_volume = {id(entry.volume): entry for entry in volumes_of(series, Finding.T1_DYNAMIC)}
    runs = assemble_runs(tuple(entry.volume for entry in by_volume.values()))
    return frozenset(id(by_volume[id(volume)]) for run in runs if _timed(run) for volume in run)


def choose_pvp(
    series: tuple[Series, ...], settings: RecognitionSettings, ledger: Ledger, measured: InjectionTime | Fault | None
) -> None:
    """The portal-venous phase of the longest run that has one; `measured` is the time of injection, if it was.

    Volumes with broken geometry stay in their run, so that a phase cannot vanish unseen; they are never chosen.
    """
    usable_volumes(series, Finding.T1_DYNAMIC, settings, ledger)
    members = {
        id(entry.volume): entry
        for entry in volumes_of(series, Finding.T1_DYNAMIC)
        if unusable(entry.volume, settings) is entry.volume.fault
    }
    runs = [run for run in assemble_runs(tuple(entry.volume for entry in members.values())) if _timed(run)]
    results = [choose_portal_venous(run, settings, measured) for run in runs]
    for entry in members.values():
        if id(entry) not in ledger.passed_over:
            ledger.pass_over(entry, _outside(entry.volume, runs))
    chosen = [phases for phases in results if phases.chosen is not None]
    if not results:
        ledger.refuse(Role.PVP, series, Finding.T1_DYNAMIC, _no_run(series, bool(members)))
        return
    _record((chosen or results)[0], members, ledger)
    if len(chosen) > 1:
        ledger.warnings.append(f"{len(chosen)} dynamic runs have a portal-venous phase; the longest run is used")


def _outside(volume: Volume, runs: list[tuple[Volume, ...]]) -> str:
    """Why a volume is of no use if it is not in the run that is recorded."""
    if any(volume is member for run in runs if len(run) > 1 for member in run):
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


def _record(phases: Phases, members: dict[int, SeriesVolume], ledger: Ledger) -> None:
    entries = [members[id(volume)] for volume in phases.volumes]
    ledger.run = (phases, tuple(entries))
    ledger.times_s.update({id(entry): time for entry, time in zip(entries, phases.times_s, strict=False)})
    ledger.warnings.extend(phases.warnings)
    best = None if phases.chosen is None else entries[phases.chosen]
    if best is not None:
        ledger.take(Role.PVP, best, ledger.times_s.get(id(best)))
    if phases.fault is not None:
        ledger.refusals.append((Role.PVP, phases.fault))
    for entry in entries:
        if entry is best or entry.volume.fault is not None:
            continue
        if best is not None:
            place = "" if one_series(best, entry) else f"; the portal-venous one is {series_name(best)}"
            ledger.pass_over(entry, f"another phase of the run{place}")
        elif phases.fault is not None:
            ledger.pass_over(entry, "no portal-venous phase could be named", phases.fault.code)
