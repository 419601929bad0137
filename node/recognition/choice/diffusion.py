"""The choice of the diffusion-weighted volume and of its ADC map."""

from __future__ import annotations

from collections import Counter

from node.codes import Code
from node.recognition.choice.candidates import (
    SAME_TIME_S,
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
from node.recognition.choice.candidates import volumes_of as of
from node.recognition.header.facts import Fault, ImageKind
from node.recognition.rules.findings import Finding
from node.recognition.volumes.lattices import SAME_B_VALUE
from node.recognition.volumes.stacks import Volume
from node.settings import RecognitionSettings, Role

_CONFLICT_B = 50.0
_CONFLICT_SHARE = 0.1
_SAME_GRID_MM = 0.1


def choose_dwi(series: tuple[Series, ...], settings: RecognitionSettings, ledger: Ledger) -> None:
    """The highest measured b-value in the range of the site, trace-weighted or combined images preferred."""
    low, high = settings.b_value_range
    in_range = []
    for entry in usable_volumes(series, Finding.DWI, settings, ledger):
        b_value = entry.volume.first.diffusion.b_value or 0.0
        conflict = b_value_conflict(entry.volume)
        if conflict is not None:
            ledger.pass_over(entry, conflict.reason, conflict.code)
        elif low <= b_value <= high:
            in_range.append(entry)
        else:
            ledger.pass_over(entry, f"b = {b_value:g} lies outside {low:g} to {high:g} s/mm²")
    usable = _unambiguous(in_range, ledger)
    if not usable:
        ledger.refuse(Role.DWI, series, Finding.DWI, _no_dwi(series))
        return
    best = ledger.take_best(Role.DWI, usable, _dwi_rank)
    if best.volume.first.kind is not ImageKind.TRACE:
        ledger.warnings.append(f"DWI {series_name(best)}: no element says that directions are combined; taken as such")


def choose_adc(series: tuple[Series, ...], settings: RecognitionSettings, ledger: Ledger) -> None:
    """The map on the grid of the chosen diffusion-weighted volume and acquired nearest to it in time."""
    usable = usable_volumes(series, Finding.ADC, settings, ledger)
    source = next((entry for role, entry, _ in ledger.stacks if role is Role.DWI), None)
    if usable:
        ledger.take_best(Role.ADC, usable, lambda entry: _adc_rank(entry, source))
    elif of(series, Finding.EXPONENTIAL):
        missing = Fault(Code.EADC_AS_ADC, "only an exponential ADC map is present")
        ledger.refuse(Role.ADC, series, Finding.ADC, missing)
    else:
        ledger.refuse(Role.ADC, series, Finding.ADC, Fault(Code.MISSING, "no ADC map"))


def b_value_conflict(volume: Volume) -> Fault | None:
    """E-BVAL-CONFLICT when two sources differ by more than 50 s/mm² and more than 10 %."""
    for frame in volume.frames:
        believed, *others = frame.diffusion.b_values or (None,)
        for other in others:
            if (
                believed
                and other
                and abs(believed.value - other.value) > max(_CONFLICT_B, _CONFLICT_SHARE * believed.value)
            ):
                return Fault(
                    Code.BVAL_CONFLICT,
                    f"{believed.source} says {believed.value:g}, {other.source} says {other.value:g} s/mm²",
                )
    return None


def b_value_unknown(volume: Volume) -> Fault:
    """E-BVAL-UNKNOWN, with the number that stands where b-values do, if there is one."""
    unproven = volume.first.diffusion.unproven
    if unproven is None:
        reason = "diffusion-weighted images without a b-value in standard or private elements"
    else:
        reason = (
            f"{unproven.source} holds {unproven.value:g}, but no element says that the images are diffusion-weighted"
        )
    return Fault(Code.BVAL_UNKNOWN, reason)


def _unambiguous(entries: list[SeriesVolume], ledger: Ledger) -> list[SeriesVolume]:
    """Drops volumes of one series and b-value that nothing tells apart: one of them may be a single direction.

    Combined images at one b-value are acquisitions of the same, of which the later is the better.
    """
    single = [entry for entry in entries if entry.volume.first.kind is not ImageKind.TRACE]
    counts: Counter[tuple[object, ...]] = Counter(_weighting(entry) for entry in single)
    doubtful = {id(entry) for entry in single if counts[_weighting(entry)] > 1}
    for entry in entries:
        if id(entry) in doubtful:
            reason = f"{counts[_weighting(entry)]} volumes at one b-value, and nothing says which is the combined one"
            ledger.pass_over(entry, reason, Code.MULTIPLE_CANDIDATES)
    return [entry for entry in entries if id(entry) not in doubtful]


def _weighting(entry: SeriesVolume) -> tuple[object, ...]:
    frame = entry.volume.first
    return frame.header.series_instance_uid, frame.diffusion.b_value


def _dwi_rank(entry: SeriesVolume) -> Ranking:
    frame = entry.volume.first
    return (
        Preference("higher b-value", frame.diffusion.b_value or 0.0, SAME_B_VALUE),
        Preference("trace-weighted", float(frame.kind is ImageKind.TRACE)),
        *common_rank(entry),
        *later_rank(entry),
    )


def _no_dwi(series: tuple[Series, ...]) -> Fault:
    """What kept the study from having a usable diffusion-weighted volume, the nearest miss first."""
    measured = sorted({entry.volume.first.diffusion.b_value or 0.0 for entry in of(series, Finding.DWI)})
    if any(b_value > 0 for b_value in measured):
        named = ", ".join(f"{b_value:g}" for b_value in measured)
        return Fault(Code.BVAL_RANGE, f"no usable measured b-value; found are {named} s/mm²")
    if of(series, Finding.DWI_DIRECTIONAL):
        return Fault(Code.DWI_DIRECTIONAL, "single diffusion directions only; the trace-weighted images are missing")
    if of(series, Finding.DWI_NO_B):
        undecoded = (fault for entry in of(series, Finding.DWI_NO_B) for fault in entry.volume.first.faults)
        return next(undecoded, b_value_unknown(of(series, Finding.DWI_NO_B)[0].volume))
    if of(series, Finding.DWI, Finding.DWI_B0_ONLY, Finding.DWI_CALCULATED):
        return Fault(Code.BVAL_RANGE, "no measured b-value above 0")
    return Fault(Code.MISSING, "no diffusion-weighted series")


def _adc_rank(entry: SeriesVolume, source: SeriesVolume | None) -> Ranking:
    if source is None:
        return (*common_rank(entry), *later_rank(entry))
    one, two = entry.volume.first.timing.acquisition_s, source.volume.first.timing.acquisition_s
    distance = abs(one - two) if one is not None and two is not None else float("inf")
    return (
        Preference("on the grid of the chosen DWI", float(_same_grid(entry.volume, source.volume))),
        Preference("nearest in time to the chosen DWI", -distance, SAME_TIME_S),
        *common_rank(entry),
        *later_rank(entry),
    )


def _same_grid(one: Volume, other: Volume) -> bool:
    a, b = one.grid, other.grid
    if a is None or b is None or len(one.frames) != len(other.frames):
        return False
    pairs = zip((*a.origin, *a.pixel_spacing, *a.normal), (*b.origin, *b.pixel_spacing, *b.normal), strict=True)
    return all(abs(x - y) < _SAME_GRID_MM for x, y in pairs)
