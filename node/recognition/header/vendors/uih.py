"""UIH: nominal and effective b-value (0065,xx0A) and (0065,xx09), VFRAME sheets (0065,xx50) and (0065,xx51).

Public knowledge of UIH elements rests on one uMR 770; nothing is known of its contrast-time elements.
"""

from __future__ import annotations

from dataclasses import replace

from pydicom import Dataset

from node.recognition.header import sheets
from node.recognition.header.elements import datetime_s, number, text, texts, three, vector
from node.recognition.header.facts import BValue, Diffusion, Fault, PulseSequence, TiledSlice, Timing, VendorFacts
from node.recognition.header.private import PrivateElements

_IMAGE = "Image Private Header"


def read(dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """b-value order of belief: (0065,xx0A) nominal, (0065,xx09) effective, standard, sequence name.

    The effective value differs from the nominal one by design, so it is only used where no nominal one stands.
    """
    name = private.text(0x0065, _IMAGE, 0x2D) or text(dataset, "SequenceName")
    return VendorFacts(
        diffusion=_diffusion(private, standard, name),
        sequence=PulseSequence(
            name=name, echo_planar=name.lower().startswith("epi"), single_shot="ssfse" in name.lower()
        ),
        timing=Timing(duration_s=_duration(dataset), run_number=private.integer(0x0065, _IMAGE, 0x2C, "IS")),
        stack=private.text(0x0065, _IMAGE, 0x06),
        sheet=_sheet(dataset, private),
    )


def _diffusion(private: PrivateElements, standard: Diffusion, name: str) -> Diffusion:
    nominal = private.number(0x0065, _IMAGE, 0x0A, "FD")
    effective = private.number(0x0065, _IMAGE, 0x09, "FD")
    b_values = standard.b_values
    if nominal is not None:
        b_values = (BValue(nominal, f"(0065,xx0A) {_IMAGE}"),)
    elif effective is not None:
        b_values = (BValue(effective, f"(0065,xx09) {_IMAGE}"), *b_values)
    direction = three(private.numbers(0x0065, _IMAGE, 0x37, "FD")) or standard.direction
    return replace(
        standard,
        b_values=b_values or BValue.named(r"epi\w*_b(\d+)", name),
        direction=direction,
        directionality=standard.directionality.or_by(direction),
    )


def _duration(dataset: Dataset) -> float | None:
    """Acquisition Duration (0018,9073), in ms where the standard has seconds."""
    found = number(dataset, "AcquisitionDuration")
    return None if found is None else found / 1000


def _sheet(dataset: Dataset, private: PrivateElements) -> tuple[TiledSlice, ...] | Fault | None:
    """The slices of a VFRAME sheet: as many columns as give a square, and as many rows as are needed.

    Number of slices in (0065,xx50); position and time of each in an item of (0065,xx51), in the order of the tiles.
    Image Position (Patient) is missing at top level.
    """
    if "VFRAME" not in (token.upper() for token in texts(dataset, "ImageType")):
        return None
    count = int(private.number(0x0065, _IMAGE, 0x50, "DS") or 0)
    if count < 1:
        return sheets.fault("(0065,xx50) does not say how many slices are tiled in the sheet")
    across = sheets.side(count)
    tiles = sheets.tiles(dataset, count, across, -(-count // across))
    if isinstance(tiles, Fault):
        return tiles
    places = [(vector(item, "ImagePositionPatient"), item) for item in private.sequence(0x0065, _IMAGE, 0x51)]
    known = [(position, datetime_s(item, "AcquisitionDateTime")) for position, item in places if position]
    if not count == len(known) == len(places):
        return sheets.fault(f"(0065,xx51) holds the positions of {len(known)} of the {count} slices of the sheet")
    return tuple(TiledSlice(tile, *place) for tile, place in zip(tiles, known, strict=True))
