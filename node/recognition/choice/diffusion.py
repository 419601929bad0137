"""The choice of the diffusion-weighted volume and of its ADC map."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from models.sequence import Sequence
from node.codes import Code
from node.recognition.choice.candidates import candidates
from node.recognition.choice.ranking import SAME_TIME_S, Preference, Ranking, common_rank, later_rank
from node.recognition.choice.role import RoleChoice, best_of, refused
from node.recognition.header.facts import Fault, ImageKind
from node.recognition.rules.findings import Finding
from node.recognition.rules.series import Series, SeriesVolume, series_name
from node.recognition.rules.series import volumes_of as of
from node.recognition.volumes.lattices import SAME_B_VALUE
from node.recognition.volumes.stacks import Volume, VolumeKey
from node.settings import RecognitionSettings

_CONFLICT_B = 50.0
_CONFLICT_SHARE = 0.1
_SAME_GRID_MM = 0.1


def choose_dwi(series: tuple[Series, ...], settings: RecognitionSettings) -> RoleChoice:
    """The highest measured b-value in the range of the site, trace-weighted or combined images preferred."""
    found = candidates(series, Finding.DWI, settings)
    found = found.without({entry.key: _b_value_fault(entry.volume, settings) for entry in found.usable})
    found = found.without(_ambiguous(found.usable))
    if not found.usable:
        return refused(Sequence.DWI, series, Finding.DWI, found.passed_over, _no_dwi(series))
    choice = best_of(Sequence.DWI, found, _dwi_rank)
    assert choice.chosen is not None
    if choice.chosen.volume.first.kind is ImageKind.TRACE:
        return choice
    name = series_name(choice.chosen)
    return replace(choice, warnings=(f"DWI {name}: no element says that directions are combined; taken as such",))


def choose_adc(series: tuple[Series, ...], settings: RecognitionSettings, dwi: RoleChoice) -> RoleChoice:
    """The map on the grid of the chosen diffusion-weighted volume and acquired nearest to it in time."""
    found = candidates(series, Finding.ADC, settings)
    if found.usable:
        return best_of(Sequence.ADC, found, lambda entry: _adc_rank(entry, dwi.chosen))
    if of(series, Finding.EXPONENTIAL):
        missing = Fault(Code.EADC_AS_ADC, "only an exponential ADC map is present")
    else:
        missing = Fault(Code.MISSING, "no ADC map")
    return refused(Sequence.ADC, series, Finding.ADC, found.passed_over, missing)


def _b_value_fault(volume: Volume, settings: RecognitionSettings) -> Fault | None:
    """Why the b-value of a volume keeps it from being used."""
    low, high = settings.b_value_range
    b_value = volume.first.diffusion.b_value or 0.0
    if low <= b_value <= high:
        return b_value_conflict(volume)
    return b_value_conflict(volume) or Fault("", f"b = {b_value:g} lies outside {low:g} to {high:g} s/mm²")


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


def _ambiguous(entries: tuple[SeriesVolume, ...]) -> dict[VolumeKey, Fault]:
    """Volumes of one series and b-value that nothing tells apart: one of them may be a single direction.

    Combined images at one b-value are acquisitions of the same, of which the later is the better.
    """
    single = [entry for entry in entries if entry.volume.first.kind is not ImageKind.TRACE]
    counts = Counter(map(_weighting, single))
    told = "volumes at one b-value, and nothing says which is the combined one"
    return {
        entry.key: Fault(Code.MULTIPLE_CANDIDATES, f"{counts[_weighting(entry)]} {told}")
        for entry in single
        if counts[_weighting(entry)] > 1
    }


def _weighting(entry: SeriesVolume) -> tuple[str, float | None]:
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
    """The reason why a study has no usable diffusion-weighted volume, the nearest miss first."""
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
    a, b = one.geometry, other.geometry
    if a is None or b is None or len(one.frames) != len(other.frames):
        return False
    pairs = zip((*a.origin, *a.pixel_spacing, *a.normal), (*b.origin, *b.pixel_spacing, *b.normal), strict=True)
    return all(abs(x - y) < _SAME_GRID_MM for x, y in pairs)
