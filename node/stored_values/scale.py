"""From stored to real values: one linear scale a frame, such that the slices of a stack can be compared.

Rescale Slope and Intercept (0028,1053), (0028,1052) are what scanners and viewers go by, and Philips changes them from
slice to slice. A Real World Value Mapping (0040,9096) maps stored values to a quantity: it decides for ADC maps, and
for other images where it alone tells how slices compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from node.codes import Code
from node.errors import Refusal
from node.recognition.header.converted import holding, unassigned
from node.recognition.header.elements import datasets, item, number, numbers, stated, text

#: What a unit of a Real World Value Mapping (UCUM) is in 10⁻⁶ mm²/s.
DIFFUSIVITY = {"mm2/s": 1e6, "um2/s": 1.0, "10-6.mm2/s": 1.0, "10*-6.mm2/s": 1.0, "10-3.mm2/s": 1e3}
#: Relative difference of two scales that are the same but for the digits that they were written with.
_SAME = 1e-3


@dataclass(frozen=True, slots=True)
class Linear:
    """Real value = stored value × `slope` + `intercept`."""

    slope: float
    intercept: float


IDENTITY = Linear(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Mapping:
    """One item of a Real World Value Mapping; `first` to `last` are the stored values that it holds for, None: all.

    `linear` is None where the item has a table of values, or no usable slope.
    """

    linear: Linear | None
    unit: str
    first: float | None
    last: float | None
    table: tuple[float, ...] = ()

    def covers(self, values: tuple[int, int] | None) -> bool:
        """Whether the mapping holds from the least to the greatest of `values`."""
        if values is None:
            return True
        return (self.first is None or self.first <= values[0]) and (self.last is None or values[1] <= self.last)


@dataclass(frozen=True, slots=True)
class ScaleFacts:
    """The scale that one frame states: `values` are its least and greatest stored value outside the padding."""

    uid: str
    rescale: Linear | None
    mappings: tuple[Mapping, ...]
    values: tuple[int, int] | None


def scale_facts(dataset: Dataset, frame: int, uid: str, values: tuple[int, int] | None) -> ScaleFacts:
    """The scale that a 0-based frame of instance `uid` states.

    Raises:
        Refusal: E-RESCALE where Rescale Slope is no positive number or one of slope and intercept is unreadable.
    """
    groups = _functional_groups(dataset, frame)
    transformation = item(_holding(groups, "PixelValueTransformationSequence"), "PixelValueTransformationSequence")
    keyword = "RealWorldValueMappingSequence"
    mappings = datasets(_holding((*groups, *unassigned(dataset, frame), dataset), keyword), keyword)
    return ScaleFacts(
        uid=uid,
        rescale=_rescale(transformation if transformation else holding(dataset, frame, "RescaleSlope"), uid),
        mappings=tuple(_mapping(each) for each in mappings),
        values=values,
    )


def common_scale(frames: Sequence[ScaleFacts], diffusivity: bool = False) -> list[Linear]:
    """The scale of each frame of a stack.

    Args:
        frames: what every frame says.
        diffusivity: a map of diffusion coefficients is wanted, in 10⁻⁶ mm²/s where a unit is stated.

    Raises:
        Refusal: E-RESCALE (only some frames have a rescale) or E-RWVM (real-world mappings that decide and are not
            one linear mapping over all stored values, or that contradict the rescale).
    """
    maps = [_in_diffusivity(frame) for frame in frames] if diffusivity else []
    if any(maps):
        return [_only(frame, own) for frame, own in zip(frames, maps, strict=True)]
    rescales = [frame.rescale or IDENTITY for frame in frames]
    silent = next((frame for frame in frames if frame.rescale is None), None)
    if silent is not None and any(rescale != IDENTITY for rescale in rescales):
        raise Refusal(Code.RESCALE, f"{silent.uid}: no Rescale Slope, which other images of the stack have")
    if _same_scale(frames, rescales):
        return rescales
    if any(rescale != IDENTITY for rescale in rescales):
        raise Refusal(Code.RWVM, f"{frames[0].uid}: Rescale and Real World Value Mapping scale the slices differently")
    mapped = [_only(frame, frame.mappings) for frame in frames]
    if len({frame.mappings[0].unit for frame in frames}) > 1:
        raise Refusal(Code.RWVM, f"{frames[0].uid}: the unit of the Real World Value Mapping changes between slices")
    return mapped


def _functional_groups(dataset: Dataset, frame: int) -> tuple[Dataset, Dataset]:
    """The per-frame and the shared functional groups of a frame; empty for a classic instance."""
    per_frame = datasets(dataset, "PerFrameFunctionalGroupsSequence")
    own = per_frame[frame] if frame < len(per_frame) else Dataset()
    return own, item(dataset, "SharedFunctionalGroupsSequence")


def _holding(groups: Sequence[Dataset], keyword: str) -> Dataset:
    return next((group for group in groups if keyword in group), Dataset())


def _rescale(dataset: Dataset, uid: str) -> Linear | None:
    """None where neither is stated; an absent intercept is 0, an absent slope 1."""
    found = {"RescaleSlope": 1.0, "RescaleIntercept": 0.0}
    names = [name for name in found if stated(dataset, name)]
    for name in names:
        value = number(dataset, name)
        if value is None or (name == "RescaleSlope" and value <= 0):
            raise Refusal(Code.RESCALE, f"{uid}: {name} is {'unreadable' if value is None else f'{value:g}'}")
        found[name] = value
    return Linear(found["RescaleSlope"], found["RescaleIntercept"]) if names else None


def _mapping(mapping: Dataset) -> Mapping:
    slope, intercept = number(mapping, "RealWorldValueSlope"), number(mapping, "RealWorldValueIntercept")
    if intercept is None and not stated(mapping, "RealWorldValueIntercept"):
        intercept = 0.0
    first, last = (
        number(mapping, f"RealWorldValue{end}ValueMapped")
        if stated(mapping, f"RealWorldValue{end}ValueMapped")
        else number(mapping, f"DoubleFloatRealWorldValue{end}ValueMapped")
        for end in ("First", "Last")
    )
    return Mapping(
        linear=None if slope is None or slope <= 0 or intercept is None else Linear(slope, intercept),
        unit=text(item(mapping, "MeasurementUnitsCodeSequence"), "CodeValue"),
        first=first,
        last=last,
        table=numbers(mapping, "RealWorldValueLUTData"),
    )


def _in_diffusivity(frame: ScaleFacts) -> list[Mapping]:
    """The mappings of a frame to 10⁻⁶ mm²/s."""
    return [
        replace(mapping, linear=_times(mapping.linear, DIFFUSIVITY[mapping.unit]))
        for mapping in frame.mappings
        if mapping.unit in DIFFUSIVITY
    ]


def _times(linear: Linear | None, factor: float) -> Linear | None:
    return None if linear is None else Linear(linear.slope * factor, linear.intercept * factor)


def _only(frame: ScaleFacts, mappings: Sequence[Mapping]) -> Linear:
    """The one linear mapping over all stored values of a frame; several that say the same are one."""
    covering = [mapping for mapping in mappings if mapping.covers(frame.values)]
    if not mappings:
        reason = "no Real World Value Mapping, which other images of the stack have"
    elif not covering:
        reason = f"its Real World Value Mapping does not hold for all stored values, {frame.values}"
    elif any(not _close(mapping.linear, covering[0].linear) for mapping in covering):
        reason = f"{len(covering)} Real World Value Mappings that contradict each other"
    elif covering[0].linear is None:
        reason = "its Real World Value Mapping is not linear with a slope above 0"
    else:
        return covering[0].linear
    raise Refusal(Code.RWVM, f"{frame.uid}: {reason}")


def _same_scale(frames: Sequence[ScaleFacts], rescales: Sequence[Linear]) -> bool:
    """Whether real-world mappings, where frames have any, put the slices into the same proportions as the rescale."""
    seen: dict[int, tuple[Linear | None, tuple[float, ...]]] = {}
    for frame, rescale in zip(frames, rescales, strict=True):
        for index, mapping in enumerate(frame.mappings):
            relative = _relative(mapping.linear, rescale), mapping.table
            first = seen.setdefault(index, relative)
            if first[1] != relative[1] or not _close(first[0], relative[0]):
                return False
    return len({tuple(mapping.unit for mapping in frame.mappings) for frame in frames if frame.mappings}) < 2


def _relative(linear: Linear | None, rescale: Linear) -> Linear | None:
    """A mapping of rescaled instead of stored values."""
    if linear is None:
        return None
    slope = linear.slope / rescale.slope
    return Linear(slope, linear.intercept - slope * rescale.intercept)


def _close(one: Linear | None, other: Linear | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one.slope, other.slope, rel_tol=_SAME) and math.isclose(
        one.intercept, other.intercept, rel_tol=_SAME, abs_tol=_SAME * one.slope
    )
