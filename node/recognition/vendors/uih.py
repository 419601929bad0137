"""UIH: nominal and effective b-value (0065,xx0A) and (0065,xx09), VFRAME sheets (0065,xx50).

Public knowledge of UIH elements rests on one uMR 770; nothing is known of its contrast-time elements.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pydicom import Dataset

from node.recognition.elements import number, text, texts
from node.recognition.facts import BValue, Diffusion, Directionality, Vector, VendorFacts
from node.recognition.private import PrivateElements

_IMAGE = "Image Private Header"


def read(dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """b-value order of belief: (0065,xx0A) nominal, (0065,xx09) effective, standard, sequence name.

    The effective value differs from the nominal one by design, so it is only used where no nominal one stands.
    """
    name = private.text(0x0065, _IMAGE, 0x2D) or text(dataset, "SequenceName")
    return VendorFacts(
        diffusion=_diffusion(private, standard, name),
        sequence_name=name,
        echo_planar=name.lower().startswith("epi"),
        single_shot="ssfse" in name.lower(),
        duration_s=_duration(dataset),
        run_number=_repetition(private),
        stack=private.text(0x0065, _IMAGE, 0x06),
        grid_slices=_sheet_slices(dataset, private),
    )


def _diffusion(private: PrivateElements, standard: Diffusion, name: str) -> Diffusion:
    nominal = private.number(0x0065, _IMAGE, 0x0A, "FD")
    effective = private.number(0x0065, _IMAGE, 0x09, "FD")
    b_values = list(standard.b_values)
    if nominal is not None:
        b_values = [BValue(nominal, f"(0065,xx0A) {_IMAGE}")]
    elif effective is not None:
        b_values = [BValue(effective, f"(0065,xx09) {_IMAGE}"), *b_values]
    if not b_values:
        b_values = _named(name)
    direction = _direction(private) or standard.direction
    return replace(
        standard,
        b_values=tuple(b_values),
        direction=direction,
        directionality=_directionality(standard, direction),
    )


def _named(name: str) -> list[BValue]:
    found = re.search(r"epi\w*_b(\d+)", name)
    return [BValue(float(found.group(1)), "sequence name")] if found else []


def _direction(private: PrivateElements) -> Vector | None:
    own = private.numbers(0x0065, _IMAGE, 0x37, "FD")
    return (own[0], own[1], own[2]) if len(own) == 3 else None


def _directionality(standard: Diffusion, direction: Vector | None) -> Directionality:
    if standard.directionality is not Directionality.UNKNOWN or direction is None:
        return standard.directionality
    return Directionality.DIRECTIONAL if any(direction) else Directionality.ISOTROPIC


def _duration(dataset: Dataset) -> float | None:
    """Acquisition Duration (0018,9073), in ms where the standard has seconds."""
    found = number(dataset, "AcquisitionDuration")
    return None if found is None else found / 1000


def _repetition(private: PrivateElements) -> int | None:
    found = private.number(0x0065, _IMAGE, 0x2C, "IS")
    return None if found is None else int(found)


def _sheet_slices(dataset: Dataset, private: PrivateElements) -> int | None:
    """Number of tiles of a VFRAME sheet, 0 when the header does not say; None for an ordinary image."""
    if "VFRAME" not in (token.upper() for token in texts(dataset, "ImageType")):
        return None
    return int(private.number(0x0065, _IMAGE, 0x50, "IS") or 0)
