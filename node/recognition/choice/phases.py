"""The dynamic run and its portal-venous phase, from timing alone.

A run is made of T1-weighted 3D gradient-echo volumes of one geometry and one protocol, from one series or many.
The portal-venous phase is the volume whose centre lies nearest to the wanted time after injection, inside the
window widened by half the duration of a volume. The time of injection comes from the header, else from a site rule,
else from what was measured in the images. Without one there is a refusal, never a guess such as "the third phase".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from models.enhancement.injection_time import InjectionTime
from node.codes import Code
from node.recognition.choice.clocks import Clock, accepted_clocks, order_conflict
from node.recognition.header.facts import Fault
from node.recognition.header.words import words
from node.recognition.rules import site
from node.recognition.rules.volume_facts import names
from node.recognition.volumes.geometry import along_normal
from node.recognition.volumes.stacks import Volume, lost_ends
from node.settings import RecognitionSettings

_EARLIEST_INJECTION_S = 300.0
_TIE_S = 0.05
_POSITION_MM = 0.1


@dataclass(frozen=True, slots=True)
class Phases:
    """A run in order of time: `times_s` after injection where that is known, else empty.

    `centres_s` is the centre of each volume on the clock of the run; `clocks` names every source that gives times;
    `named` is what the name of the chosen volume says where that is another phase.
    """

    volumes: tuple[Volume, ...]
    times_s: tuple[float, ...] = ()
    chosen: int | None = None
    fault: Fault | None = None
    clocks: tuple[str, ...] = ()
    centres_s: tuple[float, ...] = ()
    zero: InjectionTime | None = None
    warnings: tuple[str, ...] = ()
    named: str = ""


def assemble_runs(volumes: tuple[Volume, ...]) -> tuple[tuple[Volume, ...], ...]:
    """Volumes that share plane, lattice, positions, TR, TE, flip angle and Dixon part; the longest run first."""
    runs: list[list[Volume]] = []
    for volume in volumes:
        for run in runs:
            if _same_protocol(run[0], volume):
                run.append(volume)
                break
        else:
            runs.append([volume])
    return tuple(tuple(run) for run in sorted(runs, key=len, reverse=True))


def choose_portal_venous(
    run: tuple[Volume, ...], settings: RecognitionSettings, measured: InjectionTime | Fault | None = None
) -> Phases:
    """The run in order of time with its portal-venous phase, or the named fault; `measured` is the last resort."""
    phases = _choose(run, settings, measured)
    if phases.chosen is None:
        return phases
    return replace(phases, named=_named_otherwise(phases.volumes[phases.chosen], settings))


def _choose(run: tuple[Volume, ...], settings: RecognitionSettings, measured: InjectionTime | Fault | None) -> Phases:
    clocks = accepted_clocks(run, settings)
    if not clocks:
        return Phases(run, fault=Fault(Code.DCE_TIME, _no_clock(run)))
    conflict = order_conflict(run, clocks)
    if conflict is not None:
        return Phases(run, fault=conflict)
    rejected: list[str] = []
    for clock in clocks:
        zero = _zero(run, clock, settings, rejected)
        if zero is not None:
            return _chosen(_ordered(run, clock, clocks), clock, zero, settings)
    phases = _ordered(run, clocks[0], clocks)
    if isinstance(measured, InjectionTime):
        zero = replace(measured, evidence="measured in the images")
        return _chosen(phases, clocks[0], zero, settings)
    if isinstance(measured, Fault):
        rejected.append(f"in the images: {measured.reason}")
    return replace(phases, fault=_without_zero(run, clocks[0], rejected))


def _ordered(run: tuple[Volume, ...], clock: Clock, clocks: tuple[Clock, ...]) -> Phases:
    order = np.argsort(clock.starts_s, kind="stable")
    half = 0.0 if clock.centred else clock.duration_s / 2
    return Phases(
        volumes=tuple(run[index] for index in order),
        clocks=(clock.source, *(other.source for other in clocks if other is not clock)),
        centres_s=tuple(float(clock.starts_s[index]) + half for index in order),
    )


def _chosen(phases: Phases, clock: Clock, zero: InjectionTime, settings: RecognitionSettings) -> Phases:
    times = tuple(round(centre - zero.time_s, 2) for centre in phases.centres_s)
    phases = replace(phases, times_s=times, zero=zero)
    stated = _stated_phase(phases)
    if stated is not None:
        return stated
    low, high = settings.portal_venous_window_s
    margin = clock.duration_s / 2 + zero.uncertainty_s
    inside = [i for i, time_s in enumerate(times) if low - margin - _TIE_S <= time_s <= high + margin + _TIE_S]
    usable = [index for index in inside if _fault(phases, index) is None]
    if not usable:
        return replace(phases, fault=_no_phase(phases, inside, settings))
    return _nearest(phases, usable, settings)


def _nearest(phases: Phases, usable: list[int], settings: RecognitionSettings) -> Phases:
    header = phases.volumes[0].first.header
    site_choice = site.preferred_phase_s(header, settings)
    wanted = settings.preferred_phase_s if site_choice is None else site_choice
    if len(usable) == 1:
        return replace(phases, chosen=usable[0])
    several = f"{len(usable)} phases lie in the portal-venous window"
    distances = {index: abs(phases.times_s[index] - wanted) for index in usable}
    nearest = [index for index in usable if distances[index] < min(distances.values()) + _TIE_S]
    if len(nearest) == 1 or site_choice is not None:
        return replace(phases, chosen=nearest[0], warnings=(f"{several}; the one nearest to {wanted:g} s is used",))
    vocabulary = words(settings.words_of_site)
    named = [index for index in nearest if vocabulary.say("portal_venous", names(phases.volumes[index].first))]
    if len(named) == 1:
        return replace(phases, chosen=named[0], warnings=(f"{several}; of the two nearest the one named so is used",))
    times = " and ".join(f"{phases.times_s[index]:.1f} s" for index in nearest)
    reason = f"phases at {times} are equally near to {wanted:g} s; a site rule with preferred_phase_s decides"
    return replace(phases, fault=Fault(Code.DCE_PVP_AMBIGUOUS, reason))


def _named_otherwise(volume: Volume, settings: RecognitionSettings) -> str:
    """The phase that the name of a volume tells, unless it is the portal-venous one or none."""
    told = words(settings.words_of_site).told(names(volume.first), ("portal_venous", "arterial", "delayed"))
    return told[0] if told and told[0] != "portal_venous" else ""


def _stated_phase(phases: Phases) -> Phases | None:
    """Contrast Agent Phase (0018,9344) PORTAL_VENOUS of Enhanced MR."""
    stated = [i for i, volume in enumerate(phases.volumes) if volume.first.contrast_phase == "PORTAL_VENOUS"]
    if len(stated) != 1 or _fault(phases, stated[0]) is not None:
        return None
    return replace(phases, chosen=stated[0], warnings=("the portal-venous phase is named by (0018,9344)",))


def _zero(
    run: tuple[Volume, ...], clock: Clock, settings: RecognitionSettings, rejected: list[str]
) -> InjectionTime | None:
    """The time of injection on a clock and where it was found."""
    header = run[0].first.header
    first, last = min(clock.starts_s), max(clock.starts_s)
    stated = _contrast_start_s(run)
    if stated is not None and clock.absolute:
        # Contrast/Bolus Start Time has no date: the day that brings it nearest to the run.
        start = stated + round((first - stated) / 86400) * 86400
        if first - _EARLIEST_INJECTION_S <= start <= last:
            return InjectionTime(start, 0.0, "Contrast/Bolus Start Time (0018,1042)")
        rejected.append(f"Contrast/Bolus Start Time lies {first - start:.0f} s before the first of the phases")
    if stated is None and any(volume.first.header.contrast_start_to_the_minute for volume in run):
        rejected.append("Contrast/Bolus Start Time tells no seconds")
    injected = site.injection_s(header, settings)
    if injected is None:
        return None
    return InjectionTime(injected if clock.from_site else first + injected, 0.0, "site rule")


def _contrast_start_s(run: tuple[Volume, ...]) -> float | None:
    """The start time that most phases state; a mask before the injection may state none."""
    stated = [volume.first.header.contrast_start_s for volume in run]
    known = Counter(start for start in stated if start is not None)
    return known.most_common(1)[0][0] if known else None


def _without_zero(run: tuple[Volume, ...], clock: Clock, rejected: list[str]) -> Fault:
    first = float(min(clock.starts_s))
    rejected = list(dict.fromkeys(rejected))
    offsets = ", ".join(f"{start - first:.1f}" for start in sorted(clock.starts_s))
    reason = f"no time of injection in header or site rules; {len(run)} phase(s) start at {offsets} s ({clock.source})"
    return Fault(Code.DCE_T0, "; ".join((reason, *rejected)))


def _no_phase(phases: Phases, inside: list[int], settings: RecognitionSettings) -> Fault:
    low, high = settings.portal_venous_window_s
    if inside:
        fault = _fault(phases, inside[0])
        assert fault is not None
        return Fault(fault.code, f"the phase at {phases.times_s[inside[0]]:.1f} s: {fault.reason}")
    nearest = min(phases.times_s, key=lambda time: abs(time - (low + high) / 2))
    return Fault(
        Code.DCE_NO_PVP, f"no phase between {low:g} and {high:g} s after injection; the nearest is at {nearest:.1f} s"
    )


def _fault(phases: Phases, index: int) -> Fault | None:
    """The fault of a phase; one that ends before others lost slices there."""
    volume = phases.volumes[index]
    return volume.fault or lost_ends(volume, phases.volumes, "other phases of the run")


def _no_clock(run: tuple[Volume, ...]) -> str:
    told = "; times without seconds are none" if any(volume.first.timing.to_the_minute for volume in run) else ""
    return f"no element gives distinct, plausible times to the {len(run)} phases{told}"


def _same_protocol(one: Volume, other: Volume) -> bool:
    a, b = one.first.sequence, other.first.sequence
    return (
        one.first.kind is other.first.kind
        and _close(a.te_ms, b.te_ms, 0.1)
        and _close(a.tr_ms, b.tr_ms, 0.02 * (a.tr_ms or 0))
        and _close(a.flip_deg, b.flip_deg, 0.5)
        and _same_lattice(one, other)
    )


def _same_lattice(one: Volume, other: Volume) -> bool:
    """Same matrix, orientation and slice positions; a volume that lost slices still belongs to its run."""
    a, b = one.first.placement, other.first.placement
    if a is None or b is None:
        return False
    matrix = (a.rows, a.columns, a.frame_of_reference_uid) == (b.rows, b.columns, b.frame_of_reference_uid)
    directions = (*a.row_direction, *a.column_direction), (*b.row_direction, *b.column_direction)
    return (
        matrix
        and np.allclose(directions[0], directions[1], atol=1e-3)
        and np.allclose(a.spacing, b.spacing, rtol=1e-3)
        and _overlapping(one, other)
    )


def _overlapping(one: Volume, other: Volume) -> bool:
    """Whether the smaller volume's slices lie on slices of the larger one along the normal."""
    placements = [frame.placement for frame in (*one.frames, *other.frames) if frame.placement]
    along = along_normal(tuple(placements))
    first, second = along[: len(one.frames)], along[len(one.frames) :]
    small, large = (first, second) if len(first) <= len(second) else (second, first)
    distance = np.abs(small[:, None] - large[None, :]).min(axis=1)
    return bool((distance <= _POSITION_MM).mean() >= 0.9)


def _close(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance
