"""What the choice of every role shares: volumes with their findings, what makes one unusable, how they are ranked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from node.codes import Code
from node.recognition.choice.phases import Phases
from node.recognition.header.facts import Fault, FrameFacts, HeaderFacts, Vendor
from node.recognition.rules import site
from node.recognition.rules.confidence import Doubt
from node.recognition.rules.findings import Finding
from node.recognition.rules.table import Judgement
from node.recognition.volumes.stacks import Volume
from node.settings import RecognitionSettings, Role

SAME_TIME_S = 0.5
# A stack that is shorter by one slice covers as much.
_SLICES_NOT_MISSED = 1.01
_SAME_RESOLUTION_MM = 0.01


@dataclass(frozen=True, slots=True)
class SeriesVolume:
    """A volume with what it is and why; `doubts` is what lowers the confidence in that."""

    volume: Volume
    judgement: Judgement
    doubts: tuple[Doubt, ...] = ()

    @property
    def finding(self) -> Finding:
        """What the volume is."""
        return self.judgement.finding


@dataclass(frozen=True, slots=True)
class Series:
    """All frames of a series and the volumes that they make."""

    uid: str
    frames: tuple[FrameFacts, ...]
    volumes: tuple[SeriesVolume, ...]

    @property
    def header(self) -> HeaderFacts:
        """The header of its first frame."""
        return self.frames[0].header


@dataclass(frozen=True, slots=True)
class Preference:
    """A value of which the larger is better; values that differ by no more than `tolerance` are equal."""

    name: str
    value: float
    tolerance: float = 0.0


# The stated preference, the most important first.
Ranking = tuple[Preference, ...]
Rank = Callable[[SeriesVolume], Ranking]


@dataclass(slots=True)
class Ledger:
    """What the choice of one role after the other collects; volumes are known by their identity."""

    stacks: list[tuple[Role, SeriesVolume, float | None]] = field(default_factory=list)
    refusals: list[tuple[Role, Fault]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    passed_over: dict[int, Fault] = field(default_factory=dict)
    decided_by: dict[int, str] = field(default_factory=dict)
    times_s: dict[int, float] = field(default_factory=dict)
    run: tuple[Phases, tuple[SeriesVolume, ...]] | None = None

    def pass_over(self, entry: SeriesVolume, reason: str, code: str = "") -> None:
        """Keep why a volume is not used."""
        self.passed_over[id(entry)] = Fault(code, reason)

    def take(self, role: Role, entry: SeriesVolume, time_s: float | None = None) -> None:
        """Use a volume for a role."""
        self.passed_over.pop(id(entry), None)
        self.stacks.append((role, entry, time_s))

    def take_best(self, role: Role, usable: list[SeriesVolume], rank: Rank) -> SeriesVolume:
        """Use the volume that ranks highest; the others keep the first preference that decided against them."""
        best, self.decided_by = _ranked(usable, rank)
        self.take(role, best)
        for entry in usable:
            if entry is not best:
                name = "another volume of the series" if one_series(best, entry) else series_name(best)
                self.pass_over(entry, f"{name} is preferred: {self.decided_by[id(entry)]}")
        return best

    def refuse(self, role: Role, series: tuple[Series, ...], finding: Finding, missing: Fault) -> None:
        """Refuse a role with the named fault of the best volume of a finding, else with `missing`.

        That is the one of the highest b-value, of several the largest.
        """
        near = sorted(volumes_of(series, finding), key=_nearness, reverse=True)
        faults = [self.passed_over[id(entry)] for entry in near if id(entry) in self.passed_over]
        named = next((fault for fault in faults if fault.code), None)
        reasons = "; ".join(dict.fromkeys(fault.reason for fault in faults))
        plain = Fault(missing.code, f"{missing.reason} ({reasons})") if reasons else missing
        self.refusals.append((role, named or plain))


def _nearness(entry: SeriesVolume) -> tuple[float, int]:
    return entry.volume.first.diffusion.b_value or 0.0, entry.volume.slices


def volumes_of(series: tuple[Series, ...], *findings: Finding) -> list[SeriesVolume]:
    """All volumes of some findings."""
    return [volume for one in series for volume in one.volumes if volume.finding in findings]


def usable_volumes(
    series: tuple[Series, ...], finding: Finding, settings: RecognitionSettings, ledger: Ledger
) -> list[SeriesVolume]:
    """Volumes of one finding that could fill its role; the others get their reason."""
    usable = []
    for entry in volumes_of(series, finding):
        fault = unusable(entry.volume, settings)
        if fault is None:
            usable.append(entry)
        else:
            ledger.pass_over(entry, fault.reason, fault.code)
    return usable


def unusable(volume: Volume, settings: RecognitionSettings) -> Fault | None:
    """Why a volume cannot fill any role, whatever it is."""
    header, grid = volume.first.header, volume.grid
    if not site.accepts_body_part(header, settings):
        return Fault(Code.BODY_PART, f"Body Part Examined is {header.body_part}")
    if header.vendor is Vendor.OTHER:
        return Fault(Code.VENDOR_UNKNOWN, f"no profile for manufacturer {header.manufacturer or '(not named)'!r}")
    if volume.fault is not None:
        return volume.fault
    if len(volume.frames) < settings.minimum_slices:
        return Fault(Code.FEW_SLICES, f"{len(volume.frames)} slices; at least {settings.minimum_slices} are needed")
    if volume.plane != "axial":
        return Fault("", f"{volume.plane} ({volume.angle_deg:.0f}° off axis); the axial series is wanted")
    if grid and grid.overlaps and volume.first.sequence.acquisition_type == "2D":
        return Fault(Code.STACK_OVERLAP, f"2D slices overlap: step {grid.slice_step_mm:.2f} mm below thickness")
    return None


def common_rank(entry: SeriesVolume) -> Ranking:
    """Corrected before uncorrected, then extent, of which one slice is not missed, and in-plane resolution."""
    volume, frame, grid = entry.volume, entry.volume.first, entry.volume.grid
    assert grid is not None
    assert frame.placement is not None
    extent_mm = grid.slice_step_mm * volume.slices
    return (
        Preference("corrected for distortion", float(bool({"DIS2D", "DIS3D"} & set(frame.image_type)))),
        Preference("larger extent", extent_mm, _SLICES_NOT_MISSED * grid.slice_step_mm),
        Preference("finer in plane", -frame.placement.resolution_mm, _SAME_RESOLUTION_MM),
    )


def later_rank(entry: SeriesVolume) -> Ranking:
    """A series is repeated after motion, so of two equal ones the later is the better.

    One acquisition that was stored twice, with and without prescan normalisation, is taken with it.
    """
    volume, frame = entry.volume, entry.volume.first
    return (
        Preference("acquired later", frame.timing.acquisition_s or frame.timing.series_s or 0.0, SAME_TIME_S),
        Preference("normalised", float("NORM" in frame.image_type)),
        Preference("higher number", float(frame.header.series_number or 0)),
        Preference("written later", frame.timing.content_s or 0.0, SAME_TIME_S),
        Preference("higher acquisition number", float(frame.timing.acquisition_number or 0)),
        Preference("higher instance numbers", float(max(each.timing.instance_number or 0 for each in volume.frames))),
    )


def series_name(entry: SeriesVolume) -> str:
    """The number that people know a series by."""
    number = entry.volume.first.header.series_number
    return "a series without number" if number is None else f"series {number}"


def one_series(one: SeriesVolume, other: SeriesVolume) -> bool:
    """Whether two volumes stand in the same series."""
    return one.volume.first.header.series_instance_uid == other.volume.first.header.series_instance_uid


def _ranked(usable: list[SeriesVolume], rank: Rank) -> tuple[SeriesVolume, dict[int, str]]:
    """The volume that is left when each preference in turn keeps the best, and by identity what decided against others.

    Rankings are not compared as a whole: what is equal within a tolerance is not ordered.
    """
    left, decided_by = list(usable), {}
    rankings = {id(entry): rank(entry) for entry in usable}
    for place in range(len(rankings[id(left[0])])):
        best = max((rankings[id(entry)][place] for entry in left), key=lambda preference: preference.value)
        beaten = [entry for entry in left if rankings[id(entry)][place].value < best.value - best.tolerance]
        decided_by.update({id(entry): best.name for entry in beaten})
        left = [entry for entry in left if id(entry) not in decided_by]
    decided_by.update({id(entry): "the first of equals" for entry in left[1:]})
    return left[0], decided_by
