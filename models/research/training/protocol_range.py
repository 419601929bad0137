"""The range of acquisition parameters that a training has seen; the node compares studies with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from models.research.cohort.records import Cohort
from models.research.phantom.scanners import Protocol, Scanner
from models.sequence import ANALYSED, Sequence

ProtocolRange = dict[Sequence, dict[str, tuple[float, float]]]


def protocol_range(scanners: Iterable[Scanner]) -> ProtocolRange:
    """Lowest and highest value of each parameter over some scanners, by sequence; ms, degrees, mm, T."""
    return _ranges(
        (sequence, acquisition(protocol, scanner.field_strength_t))
        for scanner in scanners
        for sequence, protocol in zip(ANALYSED, (scanner.t2wi, scanner.dwi, scanner.dce), strict=True)
    )


def protocol_range_of(cohort: Cohort) -> ProtocolRange:
    """The same over the cases of a cohort, of the parameters that are known there."""
    return _ranges(
        (sequence, {"field_strength_t": case.facts.equipment.field_strength_t} | dict(volume.acquisition))
        for case in cohort.cases
        for sequence, volume in case.volumes.items()
    )


def acquisition(protocol: Protocol, field_strength_t: float) -> dict[str, float]:
    """A protocol in the words of a manifest."""
    names = ("tr_ms", "te_ms", "flip_deg", "slice_thickness_mm", "pixel_spacing_mm")
    return {name: getattr(protocol, name) for name in names} | {"field_strength_t": field_strength_t}


def _ranges(acquisitions: Iterable[tuple[Sequence, Mapping[str, float]]]) -> ProtocolRange:
    values: defaultdict[Sequence, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sequence, found in acquisitions:
        for name, value in found.items():
            values[sequence][name].append(value)
    return {
        sequence: {name: (min(found), max(found)) for name, found in parameters.items()}
        for sequence, parameters in values.items()
    }
