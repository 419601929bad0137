"""GE: (0043,xx39) b-values with the 1e9 offset, combined images by a zero vector outside tensor scans.

(0043,xx39) stands on every image. It is a b-value where GE's own elements or the offset say that the image is
diffusion-weighted, whatever reads it out (EPI or the fast spin echo of PROPELLER), and on spin-echo EPI, which GE
makes for diffusion; elsewhere a number in it means something else.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pydicom import Dataset

from node.recognition.header.elements import texts
from node.recognition.header.facts import BValue, Diffusion, Directionality, PulseSequence, Timing, Vector, VendorFacts
from node.recognition.header.private import PrivateElements

_ACQUISITION = "GEMS_ACQU_01"
_PARAMETERS = "GEMS_PARM_01"
_RELATION = "GEMS_RELA_01"
_OFFSET = 1_000_000_000
_LARGEST_B = 10_000
_TENSOR = 16
_THREE_PLANES = 256
# (0021,xx5A) of the series: SI 1, AP 2, RL 4 and their sums, slice 8, tensor 16, three in one 64, tetrahedral 128;
# 0 on what is not diffusion-weighted. (0043,xx30) of the image: 14 for b = 0, 16 for tensor (told by GE, dcm2niix 690).
_DIRECTIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 128})
_DIFFUSION_IMAGES = frozenset({14, 16})


def read(dataset: Dataset, private: PrivateElements, standard: Diffusion) -> VendorFacts:
    """b-value order of belief: standard (0018,9087), (0043,xx39) without its offset."""
    name = private.text(0x0019, _ACQUISITION, 0x9C) or private.text(0x0019, _ACQUISITION, 0x9E)
    sequence = {token.upper() for token in texts(dataset, "ScanningSequence")}
    options = {token.upper() for token in texts(dataset, "ScanOptions")}
    echo_planar = "EP" in sequence or name.lower().startswith("epi")
    spin_echo_epi = echo_planar and "GR" not in sequence and "IR" not in sequence
    return VendorFacts(
        diffusion=_diffusion(private, standard, options, spin_echo_epi),
        sequence=PulseSequence(
            name=name,
            echo_planar=echo_planar,
            single_shot=bool(re.match("ssfse", name, re.IGNORECASE)) or "SS_GEMS" in options,
        ),
        three_planes=private.number(0x0019, _ACQUISITION, 0x17, "SS") == _THREE_PLANES,
        not_magnitude=f"(0043,xx2F) {_PARAMETERS}" if private.number(0x0043, _PARAMETERS, 0x2F, "SS") else "",
        timing=Timing(
            elapsed_s=private.number(0x0021, _RELATION, 0x5E, "DS") or None,  # RTIA timer; 0 where it is not used
            duration_s=_duration(private),
            run_number=private.integer(0x0019, _ACQUISITION, 0xA2, "SL"),
        ),
    )


def decode_b_value(raw: float) -> float | None:
    """A private b-value without its offset of 1e9; older software keeps only the low five digits.

    Constants met on images without diffusion weighting (268435456, 1073741824) decode to None.
    """
    for modulus in (_OFFSET, 100_000):
        candidate = raw if raw <= 1_000_000 else raw % modulus
        if 0 <= candidate <= _LARGEST_B:
            return float(candidate)
        if modulus == _OFFSET and raw >= _OFFSET:
            return None
    return None


def _diffusion(private: PrivateElements, standard: Diffusion, options: set[str], spin_echo_epi: bool) -> Diffusion:
    raw = private.number(0x0043, _PARAMETERS, 0x39, "IS")
    decoded = None if raw is None else decode_b_value(raw)
    own = None if decoded is None else BValue(decoded, f"(0043,xx39) {_PARAMETERS}")
    declared = _declared(private, raw, own) or "DIFF_GEMS" in options
    if not (declared or spin_echo_epi or standard.b_value):
        return replace(standard, unproven=own if own and own.value else None)
    b_values = [*standard.b_values, own] if own else standard.b_values
    tensor = private.number(0x0021, _RELATION, 0x5A, "SL") == _TENSOR
    # In the frame of the image, so only its being zero is used.
    direction = standard.direction or private.vector(0x0019, _ACQUISITION, (0xBB, 0xBC, 0xBD), "DS")
    return replace(
        standard,
        b_values=tuple(b_values),
        direction=direction,
        directionality=standard.directionality.or_else(_directionality(direction, tensor, private)),
        declared=declared or None,
        tensor=tensor,
    )


def _declared(private: PrivateElements, raw: float | None, own: BValue | None) -> bool:
    """Whether GE's elements say that the image belongs to a diffusion run."""
    return (
        private.number(0x0021, _RELATION, 0x5A, "SL") in _DIRECTIONS
        or private.number(0x0043, _PARAMETERS, 0x30, "SS") in _DIFFUSION_IMAGES
        or (raw is not None and own is not None and raw >= _OFFSET)
    )


def _directionality(direction: Vector | None, tensor: bool, private: PrivateElements) -> Directionality:
    """What the gradient says where no standard element does."""
    if direction is not None and any(direction):
        return Directionality.DIRECTIONAL
    if direction is None and not private.has(_ACQUISITION):
        return Directionality.UNKNOWN
    combined = direction is not None or not private.number(0x0019, _ACQUISITION, 0xE0, "DS")
    return Directionality.ISOTROPIC if combined and not tensor else Directionality.UNKNOWN


def _duration(private: PrivateElements) -> float | None:
    """Acquisition duration, stored in µs; of the series or of the whole run."""
    found = private.number(0x0019, _ACQUISITION, 0x5A, "FL")
    return None if found is None else found / 1e6
