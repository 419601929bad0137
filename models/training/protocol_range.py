"""The range of acquisition parameters that a training has seen; the node compares studies with it."""

from __future__ import annotations

from collections.abc import Iterable

from models.phantom.scanners import Protocol, Scanner
from models.volume import Sequence

ProtocolRange = dict[Sequence, dict[str, tuple[float, float]]]


def protocol_range(scanners: Iterable[Scanner]) -> ProtocolRange:
    """Lowest and highest value of each parameter over some scanners, by sequence; ms, degrees, mm, T."""
    machines = tuple(scanners)
    protocols = {
        Sequence.T2WI: [scanner.t2wi for scanner in machines],
        Sequence.DWI: [scanner.dwi for scanner in machines],
        Sequence.PVP: [scanner.dce for scanner in machines],
    }
    field_strength = _span([scanner.field_strength_t for scanner in machines])
    return {
        sequence: _spans(found) | {"field_strength_t": field_strength} for sequence, found in protocols.items() if found
    }


def _spans(protocols: list[Protocol]) -> dict[str, tuple[float, float]]:
    names = ("tr_ms", "te_ms", "flip_deg", "slice_thickness_mm", "pixel_spacing_mm")
    return {name: _span([getattr(protocol, name) for protocol in protocols]) for name in names}


def _span(values: list[float]) -> tuple[float, float]:
    return min(values), max(values)
