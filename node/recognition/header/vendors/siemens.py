"""Siemens: V series (SIEMENS MR HEADER, CSA) and classic files of the XA series (SIEMENS MR SDI 02)."""

from __future__ import annotations

import re
from dataclasses import replace

from pydicom import Dataset

from node.recognition.header.elements import text, three
from node.recognition.header.facts import BValue, Diffusion, Directionality, PulseSequence, Timing, VendorFacts
from node.recognition.header.private import PrivateElements
from node.recognition.header.vendors import csa, mosaic

_HEADER = "SIEMENS MR HEADER"
_XA_IMAGE = "SIEMENS MR SDI 02"
_SINGLE_SHOT = re.compile(r"^\*?(h2d|hase|haste|tfi2d1)", re.IGNORECASE)


def read(dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """b-value order of belief: (0019,xx0C), CSA B_value, standard (0018,9087), sequence name."""
    name = text(dataset, "SequenceName") or text(dataset, "PulseSequenceName")
    own_name = private.text(0x0021, _XA_IMAGE, 0x77)
    return VendorFacts(
        diffusion=_diffusion(private, standard, own_name or name),
        sequence=PulseSequence(name=name or own_name, single_shot=bool(_SINGLE_SHOT.match(name or own_name))),
        timing=Timing(elapsed_s=private.number(0x0021, _XA_IMAGE, 0x04, "FD"), duration_s=_stated_duration(private)),
        sheet=mosaic.slices(dataset, private),
        image_type=tuple(part for part in private.text(0x0021, _XA_IMAGE, 0x75).split("\\") if part),
    )


def _diffusion(private: PrivateElements, standard: Diffusion, name: str) -> Diffusion:
    b_values = list(standard.b_values)
    own = private.number(0x0019, _HEADER, 0x0C, "IS")
    if own is not None:
        b_values.insert(0, BValue(own, f"(0019,xx0C) {_HEADER}"))
    else:
        coded = csa.number(private, "B_value")
        if coded is not None:
            b_values.append(BValue(coded, "CSA B_value"))
        # `ep_b1000#3`, `ep_b800t`; a range such as `ep_b0_800` names the source images of a map, not a b-value.
        b_values.extend(BValue.named(r"ep\w*?_b(\d+)(?![\d_])", name))
    return replace(
        standard,
        b_values=tuple(b_values),
        directionality=Directionality.of(private.text(0x0019, _HEADER, 0x0D)).or_else(standard.directionality),
        direction=three(private.numbers(0x0019, _HEADER, 0x0E, "FD")) or standard.direction,
    )


def _stated_duration(private: PrivateElements) -> float | None:
    """`TA 01:37` or `TA 12.5`, of the series or of the whole run."""
    found = re.search(r"TA\s+(?:(\d+):)?(\d+(?:\.\d+)?)", private.text(0x0051, _HEADER, 0x0A))
    return int(found.group(1) or 0) * 60 + float(found.group(2)) if found else None
