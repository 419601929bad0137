"""One verdict a series: its role, whether it is used, and the reason, in words for a person."""

from __future__ import annotations

from dataclasses import dataclass

from node.recognition.choice import Chosen, Series, SeriesVolume
from node.recognition.facts import Fault
from node.recognition.rules import ROLES, Evidence, Finding


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """What a series is and why it is used or not; b-values in s/mm², phase times in s after injection.

    `role` is T2WI, DWI, ADC, DCE or empty. `rule` names the row of the rule table that decided and `evidence` its
    conditions, for the volume that is used, else for the first one.
    """

    series_instance_uid: str
    series_number: int | None
    description: str
    modality: str
    instance_count: int
    role: str
    used: bool
    plane: str
    b_values: tuple[float, ...]
    phase_times_s: tuple[float, ...]
    reason: str
    manufacturer: str
    rule: str = ""
    evidence: tuple[Evidence, ...] = ()


def verdict(series: Series, chosen: Chosen, refusal: Fault | None) -> SeriesVerdict:
    """The verdict on a series; `refusal` is that of the whole study."""
    header = series.header
    used = {id(entry): (role, time_s) for role, entry, time_s in chosen.stacks}
    speaker = next((entry for entry in series.volumes if id(entry) in used), None) or _speaker(series)
    role = ROLES.get(speaker.finding, "")
    return SeriesVerdict(
        series_instance_uid=series.uid,
        series_number=header.series_number,
        description=header.description,
        modality=header.modality,
        instance_count=len({frame.header.sop_instance_uid for frame in series.frames}),
        role=role,
        used=id(speaker) in used,
        plane=speaker.volume.plane if role else "",
        b_values=_b_values(series) if role == "DWI" else (),
        phase_times_s=_phase_times(series, chosen),
        reason=_reason(series, speaker, chosen, refusal),
        manufacturer=header.manufacturer,
        rule=speaker.rule,
        evidence=speaker.evidence,
    )


def _speaker(series: Series) -> SeriesVolume:
    """The volume of the most useful finding, and of those the one with most slices."""
    order = list(Finding)
    return min(series.volumes, key=lambda entry: (order.index(entry.finding), -len(entry.volume.frames)))


def _b_values(series: Series) -> tuple[float, ...]:
    return tuple(sorted({frame.diffusion.b_value for frame in series.frames if frame.diffusion.b_value is not None}))


def _phase_times(series: Series, chosen: Chosen) -> tuple[float, ...]:
    return tuple(sorted(chosen.times_s[id(entry)] for entry in series.volumes if id(entry) in chosen.times_s))


def _reason(series: Series, speaker: SeriesVolume, chosen: Chosen, refusal: Fault | None) -> str:
    words = _description(series, speaker)
    taken = next(((role, time_s) for role, entry, time_s in chosen.stacks if entry is speaker), None)
    if taken is not None:
        role, time_s = taken
        phase = "" if time_s is None else f", {time_s:.1f} s after injection"
        return f"{words}: used as {role.value}{phase}"
    if speaker.finding is Finding.NOT_MR:
        return words
    if refusal is not None:
        return f"{words}; not used, {refusal.code}: the study's body part is not accepted"
    passed_over = chosen.reasons.get(id(speaker))
    return f"{words}; not used" + (f", {passed_over}" if passed_over else "")


def _description(series: Series, speaker: SeriesVolume) -> str:
    header, volume = series.header, speaker.volume
    if speaker.finding is Finding.NOT_MR:
        return f"no MR image ({header.modality or 'modality not named'}, SOP class {header.sop_class_uid or 'missing'})"
    if speaker.finding is Finding.UNKNOWN:
        sequence = volume.first.sequence
        facts = {"TR": sequence.tr_ms, "TE": sequence.te_ms, "flip angle": sequence.flip_deg}
        known = ", ".join(f"{name} {value:g}" for name, value in facts.items() if value is not None)
        kind = sequence.acquisition_type or "acquisition type missing"
        return f"no rule names this series ({kind}, {known or 'no TR or TE'})"
    plane = f"{volume.plane} " if volume.plane and speaker.finding in ROLES else ""
    count = len(series.volumes)
    volumes = f", {count} volumes" if count > 1 else ""
    return f"{plane}{speaker.finding.value}, {len(volume.frames)} slices{volumes}"
