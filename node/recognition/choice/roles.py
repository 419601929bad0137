"""One stack for each role, by stated preference; what was passed over keeps its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.codes import Code
from node.recognition.choice.candidates import (
    Ledger,
    Preference,
    Ranking,
    Series,
    SeriesVolume,
    common_rank,
    later_rank,
    series_name,
    usable_volumes,
)
from node.recognition.choice.diffusion import choose_adc, choose_dwi
from node.recognition.choice.dynamic import choose_pvp, dynamic_volumes
from node.recognition.choice.injection import InjectionTime
from node.recognition.choice.phases import Phases
from node.recognition.header.facts import Fault
from node.recognition.header.words import Words, words
from node.recognition.rules.findings import Finding
from node.recognition.rules.volume_facts import names
from node.recognition.volumes.splitting import REPETITIONS
from node.settings import RecognitionSettings, Role


@dataclass(frozen=True, slots=True)
class Chosen:
    """The stacks by role with phase times, the refused roles, and why volumes were passed over (by identity)."""

    stacks: tuple[tuple[Role, SeriesVolume, float | None], ...] = ()
    refusals: tuple[tuple[Role, Fault], ...] = ()
    warnings: tuple[str, ...] = ()
    passed_over: dict[int, Fault] = field(default_factory=dict)
    times_s: dict[int, float] = field(default_factory=dict)
    dynamic: frozenset[int] = frozenset()
    run: tuple[Phases, tuple[SeriesVolume, ...]] | None = None


def choose(
    series: tuple[Series, ...], settings: RecognitionSettings, measured: InjectionTime | Fault | None = None
) -> Chosen:
    """One stack for each of T2WI, DWI, ADC and PVP, or a refusal for the role."""
    ledger = Ledger()
    _choose_t2(series, settings, ledger)
    choose_dwi(series, settings, ledger)
    choose_adc(series, settings, ledger)
    choose_pvp(series, settings, ledger, measured)
    return Chosen(
        stacks=tuple(ledger.stacks),
        refusals=tuple(ledger.refusals),
        warnings=(*ledger.warnings, *_repetitions(series, ledger), *_frames_of_reference(ledger)),
        passed_over=ledger.passed_over,
        times_s=ledger.times_s,
        dynamic=dynamic_volumes(series),
        run=ledger.run,
    )


def choose_nothing(series: tuple[Series, ...]) -> Chosen:
    """The choice for a study that is refused as a whole."""
    return Chosen(dynamic=dynamic_volumes(series))


def _choose_t2(series: tuple[Series, ...], settings: RecognitionSettings, ledger: Ledger) -> None:
    usable = usable_volumes(series, Finding.T2_TSE, settings, ledger)
    if usable:
        ledger.take_best(Role.T2WI, usable, lambda entry: _t2_rank(entry, words(settings.words_of_site)))
    else:
        missing = Fault(Code.MISSING, "no axial T2-weighted turbo spin echo series")
        ledger.refuse(Role.T2WI, series, Finding.T2_TSE, missing)


def _t2_rank(entry: SeriesVolume, vocabulary: Words) -> Ranking:
    frame = entry.volume.first
    return (
        Preference("not derived", float("DERIVED" not in frame.image_type)),
        Preference("without fat suppression", float(not frame.sequence.fat_suppressed)),
        *common_rank(entry),
        Preference("named T2", float(vocabulary.say("t2", names(frame)))),
        *later_rank(entry),
    )


def _repetitions(series: tuple[Series, ...], ledger: Ledger) -> list[str]:
    """One line for each used volume whose slices, or some of them, the same series holds once more."""
    found = []
    for role, entry, _ in ledger.stacks:
        others = [] if role is Role.PVP else _repeated(series, entry)
        if others:
            told = f"told apart by {entry.volume.split_by[-1]}"
            found.append(f"{role}: {series_name(entry)} holds {_repetition(entry, others, told, ledger)}")
    return found


def _repetition(entry: SeriesVolume, others: list[SeriesVolume], told: str, ledger: Ledger) -> str:
    whole = [other for other in others if other.volume.fault is None]
    if whole:
        reason = ledger.decided_by.get(id(whole[0]), "the first of equals")
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
        if one.uid == frame.header.series_instance_uid
        for other in one.volumes
        if other is not entry
        and other.volume.split_by == split_by
        and other.volume.first.kind is frame.kind
        and other.volume.first.diffusion.b_value == frame.diffusion.b_value
    ]


def _frames_of_reference(ledger: Ledger) -> tuple[str, ...]:
    placements = {role: entry.volume.first.placement for role, entry, _ in ledger.stacks}
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
