"""One verdict a series: its role, whether it is used, and the reason, in words for a person."""

from __future__ import annotations

from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.clocks import WEAK_CLOCKS
from node.recognition.choice.diffusion import b_value_unknown
from node.recognition.choice.study import StudyChoice
from node.recognition.header.facts import Fault, PulseSequence
from node.recognition.header.naming import listed
from node.recognition.record import SeriesVerdict
from node.recognition.rules.confidence import Doubt, confidence
from node.recognition.rules.findings import ROLES, Finding
from node.recognition.rules.series import Series, SeriesVolume
from node.recognition.volumes.description import geometry, scaling
from node.recognition.volumes.stacks import Volume, orientation_sizes


def verdict(series: Series, chosen: StudyChoice, refusal: Fault | None) -> SeriesVerdict:
    """The verdict on a series; `refusal` says why none of the study, or of its patient, is used."""
    header = series.header
    speaker = next((entry for entry in series.volumes if chosen.role_of(entry.key)), None) or _speaker(series)
    role = _role(series, speaker, chosen)
    doubts = (*speaker.doubts, *_doubts_of_phase(speaker, chosen))
    return SeriesVerdict(
        series_instance_uid=series.uid,
        series_number=header.series_number,
        description=header.description,
        modality=header.modality,
        instance_count=len({frame.header.path for frame in series.frames}),
        role=role,
        used=chosen.role_of(speaker.key) is not None,
        plane=speaker.volume.plane if role else "",
        b_values=_b_values(series) if role == "DWI" else (),
        phase_times_s=_phase_times(series, chosen),
        reason=_reason(series, speaker, chosen, refusal),
        manufacturer=header.manufacturer,
        rule=speaker.classification.rule,
        evidence=speaker.classification.evidence,
        near_misses=speaker.classification.near_misses,
        confidence=confidence(doubts),
        doubts=tuple(doubt.reason for doubt in doubts),
        volumes=_volumes(series, chosen),
        geometry=geometry(speaker.volume) if role else "",
        scaling=scaling(speaker.volume) if role else "",
    )


def _doubts_of_phase(entry: SeriesVolume, chosen: StudyChoice) -> list[Doubt]:
    """Doubts about a portal-venous phase: a measured injection, a weak clock, a name that says otherwise."""
    used, phases = chosen.role_of(entry.key), chosen.run
    if used is None or used.role is not Sequence.PVP or phases is None:
        return []
    found = []
    if phases.zero is not None and phases.zero.uncertainty_s:
        found.append(Doubt(f"the time of injection was measured in the images, ±{phases.zero.uncertainty_s:.0f} s"))
    if phases.clocks and phases.clocks[0] in WEAK_CLOCKS:
        found.append(Doubt(f"the phases are told apart by {phases.clocks[0]} only"))
    if phases.named:
        found.append(Doubt(f"its name says {phases.named}", contradiction=True))
    return found


def _volumes(series: Series, chosen: StudyChoice) -> tuple[str, ...]:
    """The volumes of a series of several, each in a few words."""
    if len(series.volumes) < 2:
        return ()
    return tuple(_volume(entry, chosen) for entry in series.volumes)


def _volume(entry: SeriesVolume, chosen: StudyChoice) -> str:
    volume = entry.volume
    b_value = volume.first.diffusion.b_value
    weighting = f", b = {b_value:g} s/mm²" if b_value is not None and ROLES.get(entry.finding) == "DWI" else ""
    time_s = chosen.times_s.get(entry.key)
    time = "" if time_s is None else f", {time_s:.1f} s after injection"
    split = f", split by {' and '.join(volume.split_by)}" if volume.split_by else ""
    fault = f"; {volume.fault.sentence}" if volume.fault else ""
    passed_over = chosen.passed_over(entry.key)
    if passed_over is not None and volume.fault is None:
        fault = f"; not used, {passed_over.sentence}"
    choice = chosen.role_of(entry.key)
    used = f"; used as {choice.role}" if choice else ""
    return f"{entry.finding.value}, {_count(volume)}{weighting}{time}{split}{fault}{used}"


def _count(volume: Volume) -> str:
    """Slices, or images where positions repeat."""
    count, slices = len(volume.frames), volume.slices
    if volume.first.header.sheet_fault is not None:
        return f"{count} sheet{'' if count == 1 else 's'}"
    if count > slices:
        return f"{count} images at {slices} position{'' if slices == 1 else 's'}"
    return f"{slices} slice{'' if slices == 1 else 's'}"


def _role(series: Series, speaker: SeriesVolume, chosen: StudyChoice) -> str:
    """A T1-weighted volume is DCE only as part of a run."""
    if speaker.finding is Finding.T1_DYNAMIC and not any(entry.key in chosen.dynamic for entry in series.volumes):
        return ""
    return ROLES.get(speaker.finding, "")


def _speaker(series: Series) -> SeriesVolume:
    """The volume that tells most: of a role before of none, the highest b-value, the most slices."""
    order = list(Finding)
    return min(
        series.volumes,
        key=lambda entry: (
            ROLES.get(entry.finding, "~"),
            -(entry.volume.first.diffusion.b_value or 0.0),
            order.index(entry.finding),
            -entry.volume.slices,
        ),
    )


def _b_values(series: Series) -> tuple[float, ...]:
    return tuple(sorted({frame.diffusion.b_value for frame in series.frames if frame.diffusion.b_value is not None}))


def _phase_times(series: Series, chosen: StudyChoice) -> tuple[float, ...]:
    times_s = chosen.times_s
    return tuple(sorted(times_s[entry.key] for entry in series.volumes if entry.key in times_s))


def _reason(series: Series, speaker: SeriesVolume, chosen: StudyChoice, refusal: Fault | None) -> str:
    words = _description(series, speaker)
    used = chosen.role_of(speaker.key)
    if used is not None:
        b_value = f" at b = {speaker.volume.first.diffusion.b_value:g}" if used.role is Sequence.DWI else ""
        phase = "" if used.time_s is None else f", {used.time_s:.1f} s after injection"
        return f"{words}: used as {used.role.value}{b_value}{phase}"
    of_no_use = speaker.finding in (Finding.NOT_MR, Finding.DAMAGED)
    if refusal is not None and (refusal.code == Code.PATIENT_MIX or not of_no_use):
        return f"{words}; not used, {refusal.sentence}"
    fault = chosen.passed_over(speaker.key)
    return f"{words}; not used, {_unused(series, speaker) if fault is None else fault.sentence}"


def _unused(series: Series, entry: SeriesVolume) -> str:
    """Why a finding that fills no role fills none."""
    if entry.finding is Finding.LOCALIZER and series.header.three_planes:
        return "planned as a three-plane localizer"
    if entry.finding is Finding.LOCALIZER:
        return _localizer(series)
    if entry.finding is Finding.DWI_NO_B:
        return b_value_unknown(entry.volume).sentence
    if entry.finding is Finding.UNWANTED:
        return f"rule {entry.classification.rule!r} of the site says so"
    return _UNUSED.get(entry.finding, "no role needs it")


def _localizer(series: Series) -> str:
    """The reason why a series is a localizer: several orientations, or a name and too few slices to be read."""
    sizes, images = orientation_sizes(series.frames), len(series.frames)
    if len(sizes) > 1:
        return f"{len(sizes)} orientations in {images} images"
    slices = max(sizes, default=images)
    return f"named as a localizer, with {slices} slice{'' if slices == 1 else 's'} only"


_UNUSED: dict[Finding, str] = {
    Finding.DWI_B0_ONLY: "a b-value above 0 is wanted",
    Finding.DWI_CALCULATED: "a measured b-value is wanted",
    Finding.DWI_DIRECTIONAL: f"{Code.DWI_DIRECTIONAL}: trace-weighted or combined images are wanted",
    Finding.EXPONENTIAL: "an ADC map is wanted",
    Finding.T2_SINGLE_SHOT: "a multi-shot turbo spin echo is wanted",
    Finding.T2_3D: "a 2D turbo spin echo is wanted",
    Finding.OWN_RESULT: "results of this node are never analysed again",
    Finding.SUBTRACTION: "acquired phases are wanted",
    Finding.PROJECTION: "acquired slices are wanted",
    Finding.REFORMAT: "acquired slices are wanted",
    Finding.NOT_MR: "MR images are wanted",
    Finding.DAMAGED: "what cannot be said is never guessed",
    Finding.DIXON_PART: "the water image is wanted",
    Finding.UNKNOWN: "an unknown series is never guessed",
}


def _description(series: Series, speaker: SeriesVolume) -> str:
    header, volume = series.header, speaker.volume
    if speaker.finding is Finding.DAMAGED:
        return f"damaged header without {listed(volume.first.header.missing)} ({header.modality or 'modality missing'})"
    if speaker.finding is Finding.NOT_MR:
        return f"no MR image ({header.modality or 'modality missing'}, SOP class {header.sop_class_uid or 'missing'})"
    if speaker.finding is Finding.UNKNOWN:
        return f"no rule names this series ({_physics(volume.first.sequence)})"
    plane = f"{volume.plane} " if volume.plane and speaker.finding in ROLES else ""
    total = len(series.volumes)
    return f"{plane}{speaker.finding.value}, {_count(volume)}" + (f", {total} volumes" if total > 1 else "")


def _physics(sequence: PulseSequence) -> str:
    facts = {"TR": sequence.tr_ms, "TE": sequence.te_ms, "flip angle": sequence.flip_deg}
    known = ", ".join(f"{name} {value:g}" for name, value in facts.items() if value is not None)
    return f"{sequence.acquisition_type or 'acquisition type missing'}, {known or 'no TR or TE'}"
