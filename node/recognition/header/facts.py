"""Frozen facts of one frame: what a header says, in the same words for every vendor.

A classic MR instance has one frame. Lengths are mm, directions are LPS unit vectors, b-values s/mm².
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from storage.identity import InstanceKey
from storage.records import NOBODY, PatientIdentity

Vector = tuple[float, float, float]

SOP_CLASS = "SOP Class UID"
#: How far the length of a unit vector of a header may be from 1, a product of two orthogonal ones from 0.
UNIT_TOLERANCE = 1e-3


class Vendor(StrEnum):
    """Whose private elements a header holds."""

    SIEMENS = "Siemens"
    GE = "GE"
    PHILIPS = "Philips"
    UIH = "UIH"
    OTHER = "other"


class ImageKind(StrEnum):
    """How the pixels came about."""

    ACQUIRED = "acquired"
    TRACE = "trace-weighted"
    CALCULATED = "calculated b-value"
    ADC = "ADC map"
    EXPONENTIAL = "exponential ADC map"
    DIFFUSION_MAP = "diffusion map other than ADC"
    SUBTRACTION = "subtraction"
    PROJECTION = "projection"
    REFORMAT = "reformat"
    SCREEN = "screen"
    WATER = "Dixon water"
    FAT = "Dixon fat"
    IN_PHASE = "Dixon in phase"
    OPPOSED_PHASE = "Dixon opposed phase"
    FAT_FRACTION = "Dixon fat fraction"
    NOT_MAGNITUDE = "phase, real or imaginary part"
    OWN_RESULT = "result of this node"


class Directionality(StrEnum):
    """Diffusion Directionality (0018,9075) in the standard's terms; UNKNOWN where no element says."""

    NONE = "NONE"
    ISOTROPIC = "ISOTROPIC"
    DIRECTIONAL = "DIRECTIONAL"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def of(cls, token: str) -> Directionality:
        """The value of a header; BMATRIX is a direction, anything else unheard of is UNKNOWN."""
        name = token.strip().upper()
        if name == "BMATRIX":
            return cls.DIRECTIONAL
        return cls.__members__.get(name, cls.UNKNOWN)

    def or_else(self, other: Directionality) -> Directionality:
        """Itself where it is known, else the other."""
        return other if self is Directionality.UNKNOWN else self

    def or_by(self, direction: Vector | None) -> Directionality:
        """Itself where it is known, else what a gradient direction tells: combined images have a zero vector."""
        if self is not Directionality.UNKNOWN or direction is None:
            return self
        return Directionality.DIRECTIONAL if any(direction) else Directionality.ISOTROPIC


@dataclass(frozen=True, slots=True)
class Fault:
    """A named reason why something cannot be used."""

    code: str
    reason: str

    @property
    def sentence(self) -> str:
        """Code, where there is one, and reason."""
        return f"{self.code}: {self.reason}" if self.code else self.reason


@dataclass(frozen=True, slots=True)
class BValue:
    """A b-value in s/mm² and the element that it was read from."""

    value: float
    source: str

    @classmethod
    def named(cls, pattern: str, sequence_name: str) -> tuple[BValue, ...]:
        """The b-value in the name of a sequence, the group of a pattern; none where it does not name one."""
        found = re.search(pattern, sequence_name)
        return (cls(float(found.group(1)), "sequence name"),) if found else ()


@dataclass(frozen=True, slots=True)
class Diffusion:
    """Diffusion weighting of a frame; `b_values` in order of belief.

    `direction_number` counts the gradient directions where a vendor does. `unproven` stands where b-values do, but
    nothing says that the image is diffusion-weighted.
    """

    b_values: tuple[BValue, ...] = ()
    directionality: Directionality = Directionality.UNKNOWN
    direction: Vector | None = None
    direction_number: int | None = None
    declared: bool | None = None
    tensor: bool = False
    unproven: BValue | None = None

    @property
    def b_value(self) -> float | None:
        """The b-value believed most."""
        return self.b_values[0].value if self.b_values else None

    @property
    def combined(self) -> bool:
        """Whether a weighted image holds all directions."""
        return self.directionality is Directionality.ISOTROPIC and (self.b_value or 0) > 0


@dataclass(frozen=True, slots=True)
class Tile:
    """The part of an image that is one slice: first row and column, 0-based, and size; all in pixels."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class TiledSlice:
    """A slice of a sheet: where it stands in the image and in the patient (LPS, mm); `acquired_s` as in `Timing`."""

    tile: Tile
    position: Vector
    acquired_s: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When a frame was acquired.

    `acquisition_s`, `content_s`, `creation_s` and `series_s` count seconds from one common midnight, so that
    differences hold over midnight where the header has dates; `dynamic_s` and `elapsed_s` count from the start
    of the run; `trigger_ms` is Trigger Time (0018,1060); `duration_s` is a stated duration, of the volume or of
    more; `partition_s` is TR times phase encoding lines, what one slice of a 3D volume takes without acceleration.
    `to_the_minute`: times are told without their seconds, and count as absent.
    """

    acquisition_s: float | None = None
    content_s: float | None = None
    creation_s: float | None = None
    series_s: float | None = None
    to_the_minute: bool = False
    trigger_ms: float | None = None
    dynamic_s: float | None = None
    elapsed_s: float | None = None
    duration_s: float | None = None
    partition_s: float | None = None
    temporal_index: int | None = None
    acquisition_number: int | None = None
    run_number: int | None = None
    instance_number: int | None = None


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """The physics of a frame; times in ms, flip angle in degrees."""

    acquisition_type: str = ""
    spin_echo: bool = False
    gradient_echo: bool = False
    inversion_recovery: bool = False
    echo_planar: bool = False
    single_shot: bool = False
    balanced: bool = False
    fat_suppressed: bool = False
    echo_train: float | None = None
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_deg: float | None = None


@dataclass(frozen=True, slots=True)
class PulseSequence(SequenceParameters):
    """The pulse sequence of a frame, as its vendor calls it."""

    name: str = ""


@dataclass(frozen=True, slots=True)
class VendorFacts:
    """Facts that only private elements, or a vendor's own use of standard ones, can tell; of `timing` and `sequence`
    they tell a part.

    `not_magnitude` is the element that says that the image is a phase, real or imaginary part. `sheet` holds the slices
    that are tiled in one image, or why they cannot be told apart; None for an ordinary image.
    """

    diffusion: Diffusion = Diffusion()
    timing: Timing = Timing()
    sequence: PulseSequence = PulseSequence()
    three_planes: bool = False
    not_magnitude: str = ""
    stack: str = ""
    sheet: tuple[TiledSlice, ...] | Fault | None = None
    image_type: tuple[str, ...] = ()
    scale_slope: float | None = None


@dataclass(frozen=True, slots=True)
class AcquiredMatrix:
    """The in-plane encoding as it was acquired: steps of read-out and phase encoding, and which follow the rows.

    `phase_share` is the field of view along phase encoding over that along read-out, as Percent Phase Field of View.
    """

    read_out: int
    phase: int
    phase_along_row: bool | None = None
    phase_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame lies: LPS, mm. `spacing` is (between rows, between columns), as in Pixel Spacing.

    `frame_of_reference_uid` is empty where the header states none: the image then lies in a frame of its series' own.
    `acquired` is what was measured before interpolation, where the header says.
    """

    rows: int
    columns: int
    spacing: tuple[float, float]
    position: Vector
    row_direction: Vector
    column_direction: Vector
    thickness_mm: float | None
    frame_of_reference_uid: str
    stack: str = ""
    acquired: AcquiredMatrix | None = None

    @property
    def normal(self) -> Vector:
        """Row direction × column direction, the side that slices are counted towards."""
        (a, b, c), (d, e, f) = self.row_direction, self.column_direction
        return b * f - c * e, c * d - a * f, a * e - b * d

    @property
    def interpolated(self) -> bool:
        """Whether the image has more pixels than were acquired: twice as many along an axis, or more."""
        return (
            self.acquired is not None and self.rows * self.columns >= 2 * self.acquired.read_out * self.acquired.phase
        )

    @property
    def acquired_spacing_mm(self) -> float | None:
        """The finer of the two acquired pixel spacings; None where the header does not say what was acquired.

        Field of view over acquired steps, along read-out and along phase encoding. The field of view of the phase is
        that of the image, or larger where a part was cut away. No image is finer than its own pixels.
        """
        if self.acquired is None:
            return None
        down_mm, across_mm = self.rows * self.spacing[0], self.columns * self.spacing[1]
        along_row = across_mm < down_mm if self.acquired.phase_along_row is None else self.acquired.phase_along_row
        read_mm, phase_mm = (down_mm, across_mm) if along_row else (across_mm, down_mm)
        phase_mm = max(phase_mm, read_mm * self.acquired.phase_share)
        finer_mm = min(read_mm / self.acquired.read_out, phase_mm / self.acquired.phase)
        return max(finer_mm, min(self.spacing))

    @property
    def resolution_mm(self) -> float:
        """The acquired pixel spacing, or that of the image where nothing else is known."""
        return self.acquired_spacing_mm or min(self.spacing)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How stored values become others: displayed = stored × `slope` + `intercept` (0028,1053), (0028,1052).

    `scale_slope` is Philips' (2005,xx0E): displayed / (`slope` × `scale_slope`) compares across series and visits.
    None where the header has no such element.
    """

    slope: float | None = None
    intercept: float | None = None
    scale_slope: float | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Keywords of text that was read in another character set than the declared one, and of text that fits none."""

    repaired: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def and_then(self, other: Settled) -> Settled:
        """What was found in this data set and in another part of it."""
        repaired, unreadable = (*self.repaired, *other.repaired), (*self.unreadable, *other.unreadable)
        return Settled(tuple(dict.fromkeys(repaired)), tuple(dict.fromkeys(unreadable)))


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """Facts that hold for a whole instance.

    `private_elements`: whether the vendor's own elements are there (some archives delete them). `private_orphans`:
    whether there are some whose creator is missing. `missing` names what no object can be without. `sheet_fault` says
    why a sheet of slices is left whole.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    series_number: int | None = None
    description: str = ""
    protocol: str = ""
    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    vendor: Vendor = Vendor.OTHER
    field_strength_t: float | None = None
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    private_elements: bool = True
    private_orphans: bool = False
    missing: tuple[str, ...] = ()
    text: Settled = Settled()
    samples_per_pixel: int = 1
    contrast_agent: bool | None = None
    contrast_start_s: float | None = None
    contrast_start_to_the_minute: bool = False
    patient: PatientIdentity = NOBODY
    three_planes: bool = False
    sheet_fault: Fault | None = None

    @property
    def key(self) -> InstanceKey:
        """Which object of its study it is."""
        return InstanceKey(self.series_instance_uid, self.sop_instance_uid)


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame: `frame` is its 0-based index in the instance, `tile` its part of a sheet.

    `kind_source` is where `kind` was read.
    """

    header: HeaderFacts
    frame: int = 0
    tile: Tile | None = None
    kind: ImageKind = ImageKind.ACQUIRED
    kind_source: str = ""
    image_type: tuple[str, ...] = ()
    diffusion: Diffusion = Diffusion()
    timing: Timing = Timing()
    sequence: PulseSequence = PulseSequence()
    scaling: Scaling = Scaling()
    placement: Placement | None = None
    contrast_phase: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def placed(self) -> Placement:
        """Where it lies, of a frame in a stack: of such it is known."""
        assert self.placement is not None
        return self.placement
