"""The plan of a study: what every series is, which stacks are analysed, and what is missing, each with its reason.

Headers are read once, never pixels; what else is known of stacks comes in as `Revealed` and the study is planned again
from the same facts. Nothing is raised for what files hold: an unreadable file, an unknown series or a missing role
ends as text in the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path

from models import interruption
from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.phases import Phases
from node.recognition.choice.study import choose, choose_nothing
from node.recognition.header import charsets, clashes, patient_mix, rejections
from node.recognition.header.facts import Fault, FrameFacts, HeaderFacts
from node.recognition.header.frames import read_frames, unreadable
from node.recognition.header.words import words
from node.recognition.record import (
    STUDY,
    Acquisition,
    DynamicPhase,
    DynamicRun,
    FrameRef,
    Revealed,
    RoleRefusal,
    SeriesVerdict,
    Stack,
    StudyPlan,
)
from node.recognition.rules import site
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, series_of
from node.recognition.verdicts import verdict
from node.recognition.volumes.stacks import Volume
from node.settings import RecognitionSettings
from storage.header import content_of
from storage.identity import InstanceKey
from storage.records import PatientIdentity

#: The facts of all frames of a file, or the reason why there are none.
HeaderFinding = tuple[FrameFacts, ...] | Fault
#: Reads the header of a file, with the shipped words and those that a site adds.
ReadHeader = Callable[[tuple[tuple[str, tuple[str, ...]], ...], Path], HeaderFinding]
#: Reads the headers of files, in their order.
ReadHeaders = Callable[[list[Path], RecognitionSettings], Iterable[HeaderFinding]]
#: Codes of refused studies that have no MR series of an accepted body part: they are none of the node's business.
FOREIGN = frozenset({Code.NO_MR, Code.BODY_PART})
#: What the refusal of a study says in the verdict on each of its series.
_FOR_EACH_SERIES: dict[str, str] = {
    Code.PATIENT_MIX: "the study names more than one patient",
    Code.NO_MR: "the study has no MR images",
    Code.BODY_PART: "the body part of the study is not accepted",
}


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The facts of all headers of a study, read once; `warnings` names the files that tell nothing.

    `meant` is the patient of the study where headers name two and a person has said which.
    """

    study_instance_uid: str
    frames: tuple[FrameFacts, ...]
    warnings: tuple[str, ...] = ()
    meant: PatientIdentity | None = None

    def without(self, rejected: Mapping[InstanceKey, str]) -> StudyFacts:
        """Without objects that are rejected, by the code of the title of the note; a warning says which."""
        left_out = rejections.left_out(self.frames, rejected)
        kept = tuple(frame for frame in self.frames if frame.header.key not in rejected)
        return replace(self, frames=kept, warnings=(*left_out, *self.warnings)) if left_out else self


def recognise(
    study_instance_uid: str,
    files: SequenceOf[Path],
    settings: RecognitionSettings,
    meant: PatientIdentity | None = None,
    rejected: Mapping[InstanceKey, str] | None = None,
    read: ReadHeaders | None = None,
) -> StudyPlan:
    """Name every series of a study and choose one stack for each role, from the headers alone.

    Args:
        study_instance_uid: the study; frames of another study are passed over with a warning.
        files: DICOM files in any order; each is opened once and read up to its pixels.
        settings: limits, accepted body parts, rules of the site.
        meant: the patient who is meant, where a person has said so.
        rejected: objects that rejection notes name, with the code of the title of the note.
        read: opens the files; `read_headers` where none is given.
    """
    return plan_study(read_study(study_instance_uid, files, settings, meant, rejected, read), settings)


def read_study(
    study_instance_uid: str,
    files: Iterable[Path],
    settings: RecognitionSettings,
    meant: PatientIdentity | None = None,
    rejected: Mapping[InstanceKey, str] | None = None,
    read: ReadHeaders | None = None,
) -> StudyFacts:
    """The facts of every frame of a study, without those of rejected objects; `read` opens the files."""
    paths = sorted(files)
    facts = gather(study_instance_uid, zip(paths, (read or read_headers)(paths, settings), strict=True))
    return replace(facts, meant=meant).without(rejected or {})


def read_header_of(words_of_site: tuple[tuple[str, tuple[str, ...]], ...], file: Path) -> HeaderFinding:
    """The facts of the header of a file that the node keeps, which is tried again where it cannot be read now.

    Raises:
        OSError, MemoryError: as `read_frames`.
    """
    return read_frames(file, words(words_of_site))


def given_header_of(words_of_site: tuple[tuple[str, tuple[str, ...]], ...], file: Path) -> HeaderFinding:
    """The same of a file that a person gives; one that the operating system does not give is named with the reason.

    Raises:
        MemoryError: as `read_frames`.
    """
    try:
        return read_header_of(words_of_site, file)
    except OSError as error:
        return unreadable(file, error)


def read_headers(
    files: Iterable[Path], settings: RecognitionSettings, read: ReadHeader = read_header_of
) -> Iterator[HeaderFinding]:
    """The facts of the header of each file, one after the other."""
    for file in files:
        interruption.check()
        yield read(settings.words_of_site, file)


def gather(study_instance_uid: str, found: Iterable[tuple[Path, HeaderFinding]]) -> StudyFacts:
    """The frames of files that belong to a study, each object once (`storage.identity`), in the order of the files."""
    objects: dict[InstanceKey | Path, tuple[Path, tuple[FrameFacts, ...]]] = {}
    warnings: list[str] = []
    for path, facts in found:
        if isinstance(facts, Fault):
            warnings.append(facts.sentence)
            continue
        header = facts[0].header
        if header.study_instance_uid != study_instance_uid:
            warnings.append(f"{path.name}: belongs to study {header.study_instance_uid or '(none)'}")
            continue
        key = header.key if header.sop_instance_uid else path
        if key in objects:
            warnings.append(_repeated(objects[key][0], path, header))
        objects[key] = (path, facts)
    frames = tuple(frame for _, facts in objects.values() for frame in facts)
    return StudyFacts(study_instance_uid, frames, (*warnings, *clashes.within(frames), *charsets.named(frames)))


def _repeated(former: Path, latter: Path, header: HeaderFacts) -> str:
    """A sentence on a second file of one object: a copy, or another content; the latter is taken."""
    if content_of(former) == content_of(latter):
        return f"{latter.name}: a second copy of instance {header.sop_instance_uid}"
    return (
        f"{latter.name}: another content of instance {header.sop_instance_uid}; it is taken and {former.name}, which "
        f"comes before it by name, is not"
    )


def plan_study(facts: StudyFacts, settings: RecognitionSettings, revealed: Revealed | None = None) -> StudyPlan:
    """Name every series and choose one stack for each role, knowing what was revealed beside the headers."""
    revealed = revealed or Revealed()
    selection = patient_mix.select(facts.study_instance_uid, facts.frames, facts.meant)
    series = series_of(selection.frames, settings, dict(revealed.unusable))
    body_parts, unaccepted = _body_part(series, settings, facts.warnings)
    refusal = selection.fault or unaccepted
    chosen = choose(series, settings, revealed.injection) if refusal is None else choose_nothing(series)
    refusals = tuple(RoleRefusal(it.role, it.refusal.code, it.refusal.reason) for it in chosen.roles if it.refusal)
    stacks = tuple(stack_of(it.role, it.chosen.volume, it.time_s) for it in chosen.roles if it.chosen)
    why_unused = None if refusal is None else Fault(refusal.code, _FOR_EACH_SERIES[refusal.code])
    verdicts = (*(verdict(entry, chosen, why_unused) for entry in series), *_of_another_patient(selection, settings))
    return StudyPlan(
        study_instance_uid=facts.study_instance_uid,
        verdicts=tuple(sorted(verdicts, key=lambda it: (it.series_number or 0, it.series_instance_uid))),
        stacks=stacks,
        refusals=refusals if refusal is None else (RoleRefusal(STUDY, refusal.code, refusal.reason),),
        warnings=(*selection.warnings, *facts.warnings, *_study_warnings(series, body_parts), *chosen.warnings),
        body_part=body_parts,
        dynamic=_run(chosen.run),
        revealed=revealed,
        reference=patient_mix.reference(
            selection.frames, (stack.instance(frame) for stack in stacks for frame in stack.frames)
        ),
    )


def _of_another_patient(selection: patient_mix.Selection, settings: RecognitionSettings) -> Iterator[SeriesVerdict]:
    """The verdicts on series of which no object is of the patient who is meant."""
    kept = {frame.header.series_instance_uid for frame in selection.frames}
    others = tuple(frame for frame in selection.others if frame.header.series_instance_uid not in kept)
    series = series_of(others, settings)
    chosen = choose_nothing(series)
    return (verdict(entry, chosen, patient_mix.OTHER_PATIENT) for entry in series)


def _body_part(
    series: tuple[Series, ...], settings: RecognitionSettings, warnings: SequenceOf[str]
) -> tuple[str, Fault | None]:
    images = [entry.header for entry in _mr_images(series)]
    if not images:
        rejected = any(warning.startswith(Code.REJECTED) for warning in warnings)
        return "", Fault(Code.NO_MR, "no MR images are left, others were rejected" if rejected else "no MR images")
    named = sorted({header.body_part for header in images if header.body_part})
    if any(site.accepts_body_part(header, settings) for header in images):
        return ", ".join(named), None
    accepted = ", ".join(settings.body_parts)
    reason = f"Body Part Examined is {', '.join(named)}; accepted are {accepted}"
    return ", ".join(named), Fault(Code.BODY_PART, reason)


def _mr_images(series: tuple[Series, ...]) -> list[Series]:
    """Series with MR images that are not results of this node."""
    others = (Finding.NOT_MR, Finding.DAMAGED, Finding.OWN_RESULT)
    return [entry for entry in series if any(volume.finding not in others for volume in entry.volumes)]


def _study_warnings(series: tuple[Series, ...], body_parts: str) -> list[str]:
    unnamed = not body_parts and _mr_images(series)
    return [] if not unnamed else ["no series names a Body Part Examined; the study is taken as accepted"]


def stack_of(role: Sequence, volume: Volume, time_s: float | None) -> Stack:
    """The record of a volume without a fault."""
    geometry, frame = volume.geometry, volume.first
    placement, sequence = frame.placed, frame.sequence
    assert geometry is not None
    return Stack(
        role=role,
        series_instance_uid=frame.header.series_instance_uid,
        frames=tuple(_reference(each) for each in volume.frames),
        b_value=frame.diffusion.b_value if role is Sequence.DWI else None,
        phase_time_s=time_s,
        origin=geometry.origin,
        row_direction=geometry.row_direction,
        column_direction=geometry.column_direction,
        normal=geometry.normal,
        pixel_spacing=geometry.pixel_spacing,
        slice_step_mm=geometry.slice_step_mm,
        frame_of_reference_uid=placement.frame_of_reference_uid,
        rows=placement.rows,
        columns=placement.columns,
        acquisition=Acquisition(
            tr_ms=_positive(sequence.tr_ms),
            te_ms=_positive(sequence.te_ms),
            flip_deg=_positive(sequence.flip_deg),
            field_strength_t=_positive(frame.header.field_strength_t),
            slice_thickness_mm=_positive(placement.thickness_mm),
            pixel_spacing_mm=_positive(placement.acquired_spacing_mm),
        ),
        series_number=frame.header.series_number,
    )


def _positive(number: float | None) -> float | None:
    """No parameter of an acquisition is 0 or less: a header that says so does not say it."""
    return number if number is not None and number > 0 else None


def _reference(frame: FrameFacts) -> FrameRef:
    header = frame.header
    return FrameRef(header.path, frame.frame, header.sop_instance_uid, header.sop_class_uid, frame.tile)


def _run(phases: Phases | None) -> DynamicRun | None:
    """The record of the dynamic run; its stacks are kept while the time of injection is not known."""
    if phases is None or not phases.clocks:
        return None
    times: tuple[float | None, ...] = phases.times_s or (None,) * len(phases.volumes)
    return DynamicRun(
        clocks=phases.clocks,
        zero=phases.zero.evidence if phases.zero else "",
        uncertainty_s=phases.zero.uncertainty_s if phases.zero else 0.0,
        phases=tuple(
            DynamicPhase(
                series_instance_uid=volume.first.header.series_instance_uid,
                series_number=volume.first.header.series_number,
                slices=len(volume.frames),
                time_s=round(centre - phases.centres_s[0], 2),
                after_injection_s=time_s,
                chosen=index == phases.chosen,
                clock_s=centre,
                stack=stack_of(Sequence.PVP, volume, None) if phases.zero is None and volume.geometry else None,
                key=volume.stack_key,
            )
            for index, (volume, centre, time_s) in enumerate(zip(phases.volumes, phases.centres_s, times, strict=True))
        ),
    )
