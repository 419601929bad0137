"""The record of a recognition: what every series is and why, which stacks are analysed, what is missing.

Plain values only: it is kept with the study as JSON, and every screen, report and command reads the same record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from models.enhancement.injection_time import InjectionTime
from models.plausibility.records import Location, SetAside
from models.sequence import Sequence
from node.errors import PermanentError
from node.recognition.header.facts import Fault, Tile
from node.recognition.rules.findings import ConditionResult, Confidence, NearMiss
from storage.identity import InstanceKey

#: Raise when a record of today cannot be read by the code of yesterday; new fields have defaults instead.
RECORD_VERSION = 2

STUDY = "STUDY"


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """The verdict on a series: its kind, and why it is used or not; b-values in s/mm², times in s after injection.

    `role` is T2WI, DWI, ADC, DCE or empty. `rule` names the row of the rule table that decided and `evidence` its
    conditions, for the volume that is used, else for the one that tells most. `doubts` is what lowers the confidence.
    `volumes` describes the volumes that the series was split into where there are several; `geometry` and `scaling`
    are those of the volume that speaks for the series.
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
    evidence: tuple[ConditionResult, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    confidence: Confidence = Confidence.LOW
    doubts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    geometry: str = ""
    scaling: str = ""


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame of a file; `frame` is 0-based, 0 for classic instances; `tile` is the slice's part of a sheet."""

    path: Path
    frame: int
    sop_instance_uid: str
    sop_class_uid: str
    tile: Tile | None = None


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The parameters of a stack that a model's training has a range of; None where the header does not say.

    `pixel_spacing_mm` is the finer of the two that were acquired, whatever the image was interpolated to.
    """

    tr_ms: float | None = None
    te_ms: float | None = None
    flip_deg: float | None = None
    field_strength_t: float | None = None
    slice_thickness_mm: float | None = None
    pixel_spacing_mm: float | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of a chosen volume, sorted along `normal`; LPS, mm.

    `pixel_spacing` is (between rows, between columns) as in Pixel Spacing (0028,0030); `normal` is row direction
    × column direction; `origin` is the centre of the first pixel of the first slice; `rows` and `columns` are those
    of a slice, also where a sheet holds it; `phase_time_s` counts from the injection. `frame_of_reference_uid` is
    empty where the series states none.
    """

    role: Sequence
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
    acquisition: Acquisition = Acquisition()
    series_number: int | None = None

    @property
    def series(self) -> str:
        """The series as people know it, by its number where it has one."""
        return f"series {self.series_instance_uid if self.series_number is None else self.series_number}"

    @property
    def key(self) -> str:
        """A name that no other stack of the study has: that of its first frame, which belongs to no other."""
        return f"{self.instance(self.frames[0])}#{self.frames[0].frame}"

    @property
    def instances(self) -> frozenset[InstanceKey]:
        """The objects that its frames belong to."""
        return frozenset(map(self.instance, self.frames))

    def instance(self, frame: FrameRef) -> InstanceKey:
        """The object that one of its frames belongs to."""
        return InstanceKey(self.series_instance_uid, frame.sop_instance_uid)

    @property
    def space(self) -> str:
        """Only stacks of one space can be laid over each other; without a frame of reference a series has its own."""
        return self.frame_of_reference_uid or f"series {self.series_instance_uid}"


@dataclass(frozen=True, slots=True)
class DynamicPhase:
    """One phase of the dynamic run, by the centre of its acquisition.

    `time_s` counts from the first phase, `after_injection_s` from the injection where that is known, `clock_s` is the
    value of the run's clock. `stack` is there while the time of injection is not known, so that it can be measured;
    `key` is that of a stack of the phase.
    """

    series_instance_uid: str
    series_number: int | None
    slices: int
    time_s: float
    after_injection_s: float | None
    chosen: bool
    clock_s: float = 0.0
    stack: Stack | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class DynamicRun:
    """The run that the portal-venous phase was looked for in: its clock, where its zero comes from, its phases.

    `clocks` are all sources that give plausible times, the most believed first; `uncertainty_s` is one standard
    deviation of the time of injection where that was measured, else 0.
    """

    clocks: tuple[str, ...]
    zero: str
    uncertainty_s: float
    phases: tuple[DynamicPhase, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """Facts beside the headers: stacks that cannot be used, by `Stack.key`, and the time of injection measured in the
    images, or why it cannot be measured."""

    unusable: tuple[tuple[str, Fault], ...] = ()
    injection: InjectionTime | Fault | None = None


@dataclass(frozen=True, slots=True)
class RoleRefusal:
    """Why a role, or the whole study (role STUDY), cannot be analysed."""

    role: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The whole of recognition, and which findings of the segmentation are not reported; round-trips through JSON.

    `reference` is the object that states the patient most fully; results take the patient from it where their own
    images state no ID. `set_aside` are findings that are not reported; `locations` says of those that are whether
    their place was established, one a patient space.
    """

    study_instance_uid: str
    verdicts: tuple[SeriesVerdict, ...]
    stacks: tuple[Stack, ...]
    refusals: tuple[RoleRefusal, ...]
    warnings: tuple[str, ...]
    body_part: str
    dynamic: DynamicRun | None = None
    revealed: Revealed = Revealed()
    set_aside: tuple[SetAside, ...] = ()
    locations: tuple[Location, ...] = ()
    version: int = RECORD_VERSION
    reference: InstanceKey | None = None

    def stack(self, role: Sequence) -> Stack | None:
        """The chosen stack of a role."""
        return next((stack for stack in self.stacks if stack.role is role), None)

    def refusal(self, role: str) -> RoleRefusal | None:
        """The refusal of a role, where there is one."""
        return next((refusal for refusal in self.refusals if refusal.role == role), None)

    def location(self, sequence: str) -> Location | None:
        """The place of the finding that a sequence reports, where it reports one."""
        return next((location for location in self.locations if sequence in location.sequences), None)

    def study_refusal(self) -> RoleRefusal | None:
        """The refusal of the whole study, where there is one."""
        return self.refusal(STUDY)


@cache
def _plans() -> TypeAdapter[StudyPlan]:
    """Made where a whole record is written or read: making it takes longer than reading one."""
    return TypeAdapter(StudyPlan)


def to_json(plan: StudyPlan, indent: int | None = None) -> str:
    """The record as it is kept."""
    return _plans().dump_json(plan, indent=indent).decode()


def from_json(document: str | bytes) -> StudyPlan:
    """The record that was kept.

    Raises:
        PermanentError: it was written by a later version of the node.
    """
    version = json.loads(document).get("version", 1)
    if version > RECORD_VERSION:
        raise PermanentError(
            f"a study's record has version {version}, this node reads up to {RECORD_VERSION}: update the node or "
            f"`rectal-node rerun` the study"
        )
    return _plans().validate_json(document)
