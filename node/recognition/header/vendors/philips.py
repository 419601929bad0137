"""Philips: technique (2001,xx20), diffusion flag (2005,xx14), gradient direction (2005,xxB0) to (2005,xxB2) and its
number (2005,xx13), dynamic scan begin time (2005,xxA0).

b = 0 and a zero gradient stand on ordinary T2 and T1 images too, so `declared` says whether the series is
diffusion-weighted by its flag or technique; without either only a b-value above zero proves it.
"""

from __future__ import annotations

from dataclasses import replace

from pydicom import Dataset

from node.recognition.header.elements import text
from node.recognition.header.facts import BValue, Diffusion, Directionality, PulseSequence, Timing, VendorFacts
from node.recognition.header.private import PrivateElements

_IMAGING = "Philips Imaging DD 001"
_MR = "Philips MR Imaging DD 001"
_MR_5 = "Philips MR Imaging DD 005"
_CODES = {"I": Directionality.ISOTROPIC, "O": Directionality.DIRECTIONAL} | dict.fromkeys(
    ("P", "M", "S"), Directionality.DIRECTIONAL
)


def read(dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """b-value order of belief: standard (0018,9087), (2001,xx03)."""
    technique = private.text(0x2001, _IMAGING, 0x20)
    stacks = private.number(0x2001, _IMAGING, 0x60, "SL")
    return VendorFacts(
        diffusion=_diffusion(private, standard, technique),
        sequence=PulseSequence(
            name=technique or text(dataset, "PulseSequenceName"),
            echo_planar="EPI" in technique.upper() or technique.upper().startswith("DWI"),
            single_shot=technique.upper() in {"SSHTSE", "TSESSH", "HASTE"},
        ),
        timing=Timing(dynamic_s=private.number(0x2005, _MR, 0xA0, "FL")),
        stack=private.text(0x2001, _IMAGING, 0x0B) if (stacks or 1) > 1 else "",
        scale_slope=private.number(0x2005, _MR, 0x0E, "FL"),
    )


def _diffusion(private: PrivateElements, standard: Diffusion, technique: str) -> Diffusion:
    b_values = list(standard.b_values)
    own = private.number(0x2001, _IMAGING, 0x03, "FL")
    if own is not None:
        b_values.append(BValue(own, f"(2001,xx03) {_IMAGING}"))
    # RL, AP and FH: the axes of the patient, as in (0018,9089).
    direction = standard.direction or private.vector(0x2005, _MR, (0xB0, 0xB1, 0xB2), "FL")
    coded = _CODES.get(private.text(0x2001, _IMAGING, 0x04).upper(), Directionality.UNKNOWN)
    return replace(
        standard,
        b_values=tuple(b_values),
        direction=direction,
        declared=_declared(private, technique),
        directionality=standard.directionality.or_else(coded).or_by(direction),
        direction_number=private.integer(0x2005, _MR_5, 0x13, "IS"),
    )


def _declared(private: PrivateElements, technique: str) -> bool:
    return (
        private.text(0x2005, _MR, 0x14).upper() == "Y"
        or technique.upper().startswith("DWI")
        or (private.number(0x2005, _MR_5, 0x14, "SL") or 0) > 1
    )
