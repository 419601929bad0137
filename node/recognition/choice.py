"""One stack for each role, by stated preference; what was passed over keeps its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from node.recognition import site
from node.recognition.facts import Fault, FrameFacts, HeaderFacts, ImageKind
from node.recognition.phases import Phases, assemble_runs, choose_portal_venous
from node.recognition.rules import Evidence, Finding, vendor_known
from node.recognition.stacks import Volume
from node.settings import RecognitionSettings, Role

# The stated preference, the most important first; larger is better.
Ranking = tuple[tuple[str, float], ...]
Rank = Callable[["SeriesVolume"], Ranking]


_OUTSIDE_RUN = "not of the dynamic run (other TR, TE, flip angle or geometry), and its contrast state is unknown"


@dataclass(frozen=True, slots=True)
class SeriesVolume:
    """A volume with what it is and why."""

    volume: Volume
    finding: Finding
    rule: str
    evidence: tuple[Evidence, ...]


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
class Chosen:
    """The stacks by role with phase times, the refused roles, and why volumes were passed over (by identity)."""

    stacks: tuple[tuple[Role, SeriesVolume, float | None], ...] = ()
    refusals: tuple[tuple[str, Fault], ...] = ()
    warnings: tuple[str, ...] = ()
    reasons: dict[int, str] = field(default_factory=dict)
    times_s: dict[int, float] = field(default_factory=dict)
    dynamic: frozenset[int] = frozenset()


@dataclass(slots=True)
class _Ledger:
    """What the choice of one role after the other collects."""

    stacks: list[tuple[Role, SeriesVolume, float | None]] = field(default_factory=list)
    refusals: list[tuple[str, Fault]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    times_s: dict[int, float] = field(default_factory=dict)

    def pass_over(self, entry: SeriesVolume, reason: str) -> None:
        self.reasons[id(entry)] = reason

    def take(self, role: Role, entry: SeriesVolume, time_s: float | None = None) -> None:
        self.stacks.append((role, entry, time_s))

    def refuse(self, role: Role, fault: Fault) -> None:
        self.refusals.append((role.value, fault))


def choose(series: tuple[Series, ...], settings: RecognitionSettings) -> Chosen:
    """One stack for each of T2WI, DWI, ADC and PVP, or a refusal for the role."""
    ledger = _Ledger()
    _choose_t2(series, settings, ledger)
    _choose_dwi(series, settings, ledger)
    _choose_adc(series, settings, ledger)
    _choose_pvp(series, settings, ledger)
    _compare_frames_of_reference(ledger)
    return Chosen(
        tuple(ledger.stacks),
        tuple(ledger.refusals),
        tuple(ledger.warnings),
        ledger.reasons,
        ledger.times_s,
        dynamic_volumes(series),
    )


def dynamic_volumes(series: tuple[Series, ...]) -> frozenset[int]:
    """Identities of the volumes that belong to a run of several phases, usable or not."""
    entries = [volume for one in series for volume in one.volumes if volume.finding is Finding.T1_DYNAMIC]
    by_volume = {id(entry.volume): entry for entry in entries}
    runs = assemble_runs(tuple(entry.volume for entry in entries))
    return frozenset(id(by_volume[id(volume)]) for run in runs if _dynamic(run) for volume in run)


def _candidates(
    series: tuple[Series, ...], finding: Finding, settings: RecognitionSettings, ledger: _Ledger, axial: bool = True
) -> list[SeriesVolume]:
    """Usable volumes of one finding; the others get their reason."""
    usable = []
    for entry in (volume for one in series for volume in one.volumes if volume.finding is finding):
        fault = _unusable(entry.volume, settings, axial)
        if fault is None:
            usable.append(entry)
        else:
            ledger.pass_over(entry, f"{fault.code}: {fault.reason}" if fault.code else fault.reason)
    return usable


def _unusable(volume: Volume, settings: RecognitionSettings, axial: bool) -> Fault | None:
    header = volume.first.header
    if not site.accepts_body_part(header, settings):
        return Fault("E-BODY-PART", f"Body Part Examined is {header.body_part}")
    if not vendor_known(volume.first):
        return Fault("E-VENDOR-UNKNOWN", f"no profile for manufacturer {header.manufacturer or '(not named)'!r}")
    if volume.fault is not None:
        return volume.fault
    if len(volume.frames) < settings.minimum_slices:
        return Fault("E-FEW-SLICES", f"{len(volume.frames)} slices; at least {settings.minimum_slices} are needed")
    if axial and volume.plane != "axial":
        return Fault("", f"{volume.plane} ({volume.angle_deg:.0f}° off axis); the axial series is wanted")
    if volume.grid and volume.grid.overlaps and volume.first.sequence.acquisition_type == "2D":
        return Fault("E-STACK-OVERLAP", f"2D slices overlap: step {volume.grid.slice_step_mm:.2f} mm below thickness")
    return None


def _refusal(series: tuple[Series, ...], findings: tuple[Finding, ...], ledger: _Ledger, missing: Fault) -> Fault:
    """The reason of the largest candidate that has a named fault, else `missing`."""
    near = [volume for one in series for volume in one.volumes if volume.finding in findings]
    near.sort(key=lambda volume: -len(volume.volume.frames))
    reasons = [ledger.reasons[id(volume)] for volume in near if id(volume) in ledger.reasons]
    for reason in reasons:
        code, _, text = reason.partition(": ")
        if code.startswith("E-"):
            return Fault(code, text)
    return Fault(missing.code, f"{missing.reason} ({'; '.join(dict.fromkeys(reasons))})") if reasons else missing


def _choose_t2(series: tuple[Series, ...], settings: RecognitionSettings, ledger: _Ledger) -> None:
    usable = _candidates(series, Finding.T2_TSE, settings, ledger)
    if not usable:
        missing = Fault("E-MISSING", "no axial T2-weighted turbo spin echo series")
        ledger.refuse(Role.T2WI, _refusal(series, (Finding.T2_TSE,), ledger, missing))
        return
    _take_best(Role.T2WI, usable, _t2_rank, ledger)


def _take_best(role: Role, usable: list[SeriesVolume], rank: Rank, ledger: _Ledger) -> SeriesVolume:
    best = max(usable, key=lambda entry: tuple(value for _, value in rank(entry)))
    ledger.take(role, best)
    for entry in usable:
        if entry is not best:
            ledger.pass_over(
                entry, f"series {series_number(best)} is preferred: {_difference(rank(best), rank(entry))}"
            )
    return best


def _difference(best: Ranking, other: Ranking) -> str:
    return next((name for (name, one), (_, two) in zip(best, other, strict=True) if one != two), "first by number")


def series_number(entry: SeriesVolume) -> str:
    """The number that people know a series by."""
    number = entry.volume.first.header.series_number
    return "without number" if number is None else str(number)


def _common_rank(entry: SeriesVolume) -> Ranking:
    """Original before derived, corrected before uncorrected, then extent, in-plane resolution, and the later one.

    A series is repeated after motion, so of two equal ones the later is the better.
    """
    volume, frame, grid = entry.volume, entry.volume.first, entry.volume.grid
    assert grid is not None
    tokens = set(frame.image_type)
    return (
        ("corrected for distortion", float(bool(tokens & {"DIS2D", "DIS3D"}))),
        ("larger extent", float(round(grid.slice_step_mm * len(volume.frames) / 20))),
        ("finer in plane", -round(grid.pixel_spacing[0], 2)),
        ("acquired later", frame.timing.acquisition_s or frame.timing.series_s or 0.0),
        ("higher number", float(frame.header.series_number or 0)),
    )


def _t2_rank(entry: SeriesVolume) -> Ranking:
    frame = entry.volume.first
    return (
        ("not derived", float("DERIVED" not in frame.image_type)),
        ("without fat suppression", float(not frame.sequence.fat_suppressed)),
        *_common_rank(entry),
    )


def _choose_dwi(series: tuple[Series, ...], settings: RecognitionSettings, ledger: _Ledger) -> None:
    low, high = settings.b_value_range
    in_range = []
    for entry in _candidates(series, Finding.DWI, settings, ledger):
        b_value = entry.volume.first.diffusion.b_value or 0.0
        conflict = b_value_conflict(entry.volume)
        if conflict is not None:
            ledger.pass_over(entry, f"{conflict.code}: {conflict.reason}")
        elif low <= b_value <= high:
            in_range.append(entry)
        else:
            ledger.pass_over(entry, f"b = {b_value:g} lies outside {low:g} to {high:g} s/mm²")
    usable = _unambiguous(in_range, ledger)
    if not usable:
        ledger.refuse(Role.DWI, _dwi_refusal(series, ledger))
        return
    _take_best(Role.DWI, usable, _dwi_rank, ledger)


def _dwi_rank(entry: SeriesVolume) -> Ranking:
    frame = entry.volume.first
    return (
        ("higher b-value", frame.diffusion.b_value or 0.0),
        ("trace-weighted", float(frame.kind is ImageKind.TRACE)),
        *_common_rank(entry),
    )


def b_value_conflict(volume: Volume) -> Fault | None:
    """E-BVAL-CONFLICT when two sources differ by more than 50 s/mm² and more than 10 %."""
    for frame in volume.frames:
        believed, *others = frame.diffusion.b_values or (None,)
        for other in others:
            if believed and other and abs(believed.value - other.value) > max(50.0, 0.1 * believed.value):
                return Fault(
                    "E-BVAL-CONFLICT",
                    f"{believed.source} says {believed.value:g}, {other.source} says {other.value:g} s/mm²",
                )
    return None


def _unambiguous(entries: list[SeriesVolume], ledger: _Ledger) -> list[SeriesVolume]:
    """Drops volumes of one series and b-value that nothing tells apart: one of them may be a single direction."""
    counts: Counter[tuple[object, ...]] = Counter(_weighting(entry) for entry in entries)
    for entry in entries:
        if counts[_weighting(entry)] > 1:
            reason = f"{counts[_weighting(entry)]} volumes at one b-value, none marked as combined"
            ledger.pass_over(entry, f"E-MULTIPLE-CANDIDATES: {reason}")
    return [entry for entry in entries if counts[_weighting(entry)] == 1]


def _weighting(entry: SeriesVolume) -> tuple[object, ...]:
    frame = entry.volume.first
    return frame.header.series_instance_uid, frame.diffusion.b_value, frame.kind


def _dwi_refusal(series: tuple[Series, ...], ledger: _Ledger) -> Fault:
    volumes = [volume for one in series for volume in one.volumes]
    found = {volume.finding for volume in volumes}
    measured = {v.volume.first.diffusion.b_value or 0.0 for v in volumes if v.finding is Finding.DWI}
    if any(b_value > 0 for b_value in measured):
        named = ", ".join(f"{b_value:g}" for b_value in sorted(measured))
        missing = Fault("E-BVAL-RANGE", f"no usable measured b-value; found are {named} s/mm²")
        return _refusal(series, (Finding.DWI,), ledger, missing)
    if Finding.DWI_DIRECTIONAL in found:
        return Fault("E-DWI-DIRECTIONAL", "single diffusion directions only; the trace-weighted images are missing")
    undecoded = _undecoded(series) if Finding.DWI_NO_B in found else None
    if undecoded is not None:
        return undecoded
    if Finding.DWI_NO_B in found:
        return Fault("E-BVAL-UNKNOWN", "diffusion-weighted images without any b-value in standard or private elements")
    if found & {Finding.DWI, Finding.DWI_B0_ONLY, Finding.DWI_CALCULATED}:
        return Fault("E-BVAL-RANGE", "no measured b-value above 0")
    return Fault("E-MISSING", "no diffusion-weighted series")


def _undecoded(series: tuple[Series, ...]) -> Fault | None:
    """A private element that could not be decoded, in a series that lacks its b-value."""
    frames = (v.volume.first for one in series for v in one.volumes if v.finding is Finding.DWI_NO_B)
    return next((fault for frame in frames for fault in frame.faults), None)


def _choose_adc(series: tuple[Series, ...], settings: RecognitionSettings, ledger: _Ledger) -> None:
    usable = _candidates(series, Finding.ADC, settings, ledger)
    source = next((entry for role, entry, _ in ledger.stacks if role is Role.DWI), None)
    if not usable:
        exponential = any(volume.finding is Finding.EXPONENTIAL for one in series for volume in one.volumes)
        missing = (
            Fault("E-EADC-AS-ADC", "only an exponential ADC map is present")
            if exponential
            else Fault("E-MISSING", "no ADC map")
        )
        ledger.refuse(Role.ADC, _refusal(series, (Finding.ADC,), ledger, missing))
        return
    _take_best(Role.ADC, usable, lambda entry: _adc_rank(entry, source), ledger)


def _adc_rank(entry: SeriesVolume, source: SeriesVolume | None) -> Ranking:
    """The map on the grid of the chosen DWI and acquired nearest to it in time is its own map."""
    if source is None:
        return _common_rank(entry)
    one, two = entry.volume.first.timing.acquisition_s, source.volume.first.timing.acquisition_s
    distance = abs(one - two) if one is not None and two is not None else float("inf")
    return (
        ("on the grid of the chosen DWI", float(_same_grid(entry.volume, source.volume))),
        ("nearest in time to the chosen DWI", -distance),
        *_common_rank(entry),
    )


def _same_grid(one: Volume, other: Volume) -> bool:
    a, b = one.grid, other.grid
    if a is None or b is None or len(one.frames) != len(other.frames):
        return False
    return all(
        abs(x - y) < 0.1
        for x, y in zip((*a.origin, *a.pixel_spacing, *a.normal), (*b.origin, *b.pixel_spacing, *b.normal), strict=True)
    )


def _choose_pvp(series: tuple[Series, ...], settings: RecognitionSettings, ledger: _Ledger) -> None:
    entries = [volume for one in series for volume in one.volumes if volume.finding is Finding.T1_DYNAMIC]
    usable = {id(entry) for entry in _candidates(series, Finding.T1_DYNAMIC, settings, ledger)}
    members = {id(entry.volume): entry for entry in entries if id(entry) in usable or entry.volume.fault is not None}
    runs = assemble_runs(tuple(entry.volume for entry in members.values()))
    results = [choose_portal_venous(run, settings) for run in runs if _dynamic(run)]
    for entry in members.values():
        ledger.reasons.setdefault(id(entry), _OUTSIDE_RUN)
    result = next((phases for phases in results if phases.chosen is not None), results[0] if results else None)
    if result is None:
        ledger.refuse(Role.PVP, _no_run(series, bool(members), ledger))
        return
    _record_phases(result, members, ledger)


def _dynamic(run: tuple[Volume, ...]) -> bool:
    """Several volumes, or one whose time after a stated injection can be known."""
    return len(run) > 1 or run[0].first.header.contrast_start_s is not None


def _no_run(series: tuple[Series, ...], single: bool, ledger: _Ledger) -> Fault:
    if single:
        return Fault("E-CONTRAST-UNKNOWN", "T1-weighted volumes, but no dynamic run and no contrast start time")
    if any(volume.finding is Finding.DIXON_PART for one in series for volume in one.volumes):
        return Fault("E-DIXON-NO-WATER", "Dixon parts without a water image")
    missing = Fault("E-MISSING", "no dynamic T1-weighted 3D gradient-echo series")
    return _refusal(series, (Finding.T1_DYNAMIC,), ledger, missing)


def _record_phases(phases: Phases, members: dict[int, SeriesVolume], ledger: _Ledger) -> None:
    entries = [members[id(volume)] for volume in phases.volumes]
    ledger.times_s.update({id(entry): time for entry, time in zip(entries, phases.times_s, strict=False)})
    if phases.chosen is None:
        assert phases.fault is not None
        ledger.refuse(Role.PVP, phases.fault)
        for entry in entries:
            if entry.volume.fault is None:
                ledger.pass_over(entry, f"{phases.fault.code}: no portal-venous phase could be named")
        return
    best = entries[phases.chosen]
    time_s = phases.times_s[phases.chosen] if phases.times_s else None
    ledger.take(Role.PVP, best, time_s)
    ledger.warnings.extend(phases.warnings)
    for entry in entries:
        if entry is not best and entry.volume.fault is None:
            ledger.pass_over(entry, f"another phase of the run; the portal-venous one is series {series_number(best)}")


def _compare_frames_of_reference(ledger: _Ledger) -> None:
    uids = {role: entry.volume.first.placement for role, entry, _ in ledger.stacks}
    names = {role: placement.frame_of_reference_uid for role, placement in uids.items() if placement}
    if len(set(names.values())) > 1:
        roles = ", ".join(role.value for role in names)
        ledger.warnings.append(f"E-FOR: {roles} do not share one frame of reference; they may be misaligned")
