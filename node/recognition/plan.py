"""The plan of a study: what every series is, which stacks are analysed, and what is missing, each with its reason.

`recognise` reads each header once, never pixels. It raises nothing for what files hold: an unreadable file, an
unknown series or a missing role ends as text in the plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.recognition import choice, site
from node.recognition.candidates import Series, SeriesVolume
from node.recognition.facts import Fault, FrameFacts, Tile
from node.recognition.headers import read_frames
from node.recognition.rules import ROLES, Evidence, Finding, classify
from node.recognition.stacks import split_series
from node.recognition.verdicts import SeriesVerdict, verdict
from node.settings import RecognitionSettings, Role

STUDY = "STUDY"


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame of a file; `frame` is 0-based, 0 for classic instances; `tile` is the slice's part of a sheet."""

    path: Path
    frame: int
    sop_instance_uid: str
    sop_class_uid: str
    tile: Tile | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of a chosen volume, sorted along `normal`; LPS, mm.

    `pixel_spacing` is (between rows, between columns) as in Pixel Spacing (0028,0030); `normal` is row direction
    × column direction; `origin` is the centre of the first pixel of the first slice; `rows` and `columns` are those
    of a slice, also where a sheet holds it; `phase_time_s` counts from the injection.
    """

    role: Role
    series_instance_uid: str
    frames: tuple[FrameRef, ...]
    b_value: float | None
    phase_time_s: float | None
    origin: tuple[float, float, float]
    row_direction: tuple[float, float, float]
    column_direction: tuple[float, float, float]
    normal: tuple[float, float, float]
    pixel_spacing: tuple[float, float]
    slice_step_mm: float
    frame_of_reference_uid: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class RoleRefusal:
    """Why a role, or the whole study (role STUDY), cannot be analysed."""

    role: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The whole of recognition; plain values only, so that it round-trips through JSON."""

    study_instance_uid: str
    verdicts: tuple[SeriesVerdict, ...]
    stacks: tuple[Stack, ...]
    refusals: tuple[RoleRefusal, ...]
    warnings: tuple[str, ...]
    body_part: str

    def stack(self, role: Role) -> Stack | None:
        """The chosen stack of a role."""
        return next((stack for stack in self.stacks if stack.role is role), None)

    def study_refusal(self) -> RoleRefusal | None:
        """The refusal of the whole study, where there is one."""
        return next((refusal for refusal in self.refusals if refusal.role == STUDY), None)


def recognise(study_instance_uid: str, files: Sequence[Path], settings: RecognitionSettings) -> StudyPlan:
    """Name every series of a study and choose one stack for each role.

    Args:
        study_instance_uid: the study; frames of another study are passed over with a warning.
        files: DICOM files in any order; each is opened once and read up to its pixels.
        settings: limits, accepted body parts and site rules.
    """
    frames, warnings = _read(study_instance_uid, files)
    series = tuple(_series(uid, group) for uid, group in _by_series(frames))
    body_parts, refusal = _body_part(series, settings)
    chosen = choice.choose(series, settings) if refusal is None else choice.choose_nothing(series)
    refusals = tuple(RoleRefusal(role, fault.code, fault.reason) for role, fault in chosen.refusals)
    return StudyPlan(
        study_instance_uid=study_instance_uid,
        verdicts=tuple(verdict(entry, chosen, refusal) for entry in series),
        stacks=tuple(_stack(role, volume, time_s) for role, volume, time_s in chosen.stacks),
        refusals=refusals if refusal is None else (RoleRefusal(STUDY, refusal.code, refusal.reason),),
        warnings=(*warnings, *_study_warnings(series, body_parts), *chosen.warnings),
        body_part=body_parts,
    )


def _read(study_instance_uid: str, files: Sequence[Path]) -> tuple[list[FrameFacts], list[str]]:
    frames: list[FrameFacts] = []
    warnings: list[str] = []
    seen: set[str] = set()
    for path in sorted(files):
        found = read_frames(path)
        if isinstance(found, Fault):
            warnings.append(found.sentence)
            continue
        header = found[0].header
        if header.study_instance_uid != study_instance_uid:
            warnings.append(f"{path.name}: belongs to study {header.study_instance_uid or '(none)'}")
        elif header.sop_instance_uid in seen:
            warnings.append(f"{path.name}: a second copy of instance {header.sop_instance_uid}")
        else:
            frames.extend(found)
            seen |= {header.sop_instance_uid} - {""}
    return frames, warnings


def _by_series(frames: Iterable[FrameFacts]) -> list[tuple[str, tuple[FrameFacts, ...]]]:
    groups: dict[str, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        groups[frame.header.series_instance_uid].append(frame)
    return sorted(
        ((uid, tuple(group)) for uid, group in groups.items()),
        key=lambda entry: (entry[1][0].header.series_number or 0, entry[0]),
    )


def _series(uid: str, frames: tuple[FrameFacts, ...]) -> Series:
    volumes = []
    for volume in split_series(frames):
        finding, rule, evidence = classify(volume, frames)
        volumes.append(SeriesVolume(volume, finding, rule, evidence))
    return Series(uid, frames, tuple(volumes))


def _body_part(series: tuple[Series, ...], settings: RecognitionSettings) -> tuple[str, Fault | None]:
    images = [entry.header for entry in _mr_images(series)]
    named = sorted({header.body_part for header in images if header.body_part})
    if not images or any(site.accepts_body_part(header, settings) for header in images):
        return ", ".join(named), None
    accepted = ", ".join(settings.body_parts)
    reason = f"Body Part Examined is {', '.join(named)}; accepted are {accepted}"
    return ", ".join(named), Fault("E-BODY-PART", reason)


def _mr_images(series: tuple[Series, ...]) -> list[Series]:
    """Series with MR images that are not results of this node."""
    others = (Finding.NOT_MR, Finding.OWN_RESULT)
    return [entry for entry in series if any(volume.finding not in others for volume in entry.volumes)]


def _study_warnings(series: tuple[Series, ...], body_parts: str) -> list[str]:
    unnamed = not body_parts and _mr_images(series)
    warnings = [] if not unnamed else ["no series names a Body Part Examined; the study is taken as accepted"]
    patients = {
        frame.header.patient_digest for entry in series for frame in entry.frames if frame.header.patient_digest
    }
    if len(patients) > 1:
        warnings.append(f"E-PATIENT-MIX: {len(patients)} different patients under one Study Instance UID")
    return warnings


def _stack(role: Role, entry: SeriesVolume, time_s: float | None) -> Stack:
    volume = entry.volume
    grid, placement = volume.grid, volume.first.placement
    assert grid is not None
    assert placement is not None
    return Stack(
        role=role,
        series_instance_uid=volume.first.header.series_instance_uid,
        frames=tuple(_reference(frame) for frame in volume.frames),
        b_value=volume.first.diffusion.b_value if role is Role.DWI else None,
        phase_time_s=time_s,
        origin=grid.origin,
        row_direction=grid.row_direction,
        column_direction=grid.column_direction,
        normal=grid.normal,
        pixel_spacing=grid.pixel_spacing,
        slice_step_mm=grid.slice_step_mm,
        frame_of_reference_uid=placement.frame_of_reference_uid,
        rows=placement.rows,
        columns=placement.columns,
    )


def _reference(frame: FrameFacts) -> FrameRef:
    header = frame.header
    return FrameRef(header.path, frame.frame, header.sop_instance_uid, header.sop_class_uid, frame.tile)


__all__ = [
    "ROLES",
    "STUDY",
    "Evidence",
    "FrameRef",
    "RoleRefusal",
    "SeriesVerdict",
    "Stack",
    "StudyPlan",
    "Tile",
    "recognise",
]
