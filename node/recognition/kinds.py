"""How an image came about, from ImageType or Frame Type (PS3.3 C.7.6.1.1.2, C.8.13.3.1) and vendor habits.

Tokens are compared whole: EADC holds ADC, and a trace-weighted series may be called `…_ADC` by hand. Text is
asked only where a vendor marks the image as derived and names the map nowhere else.
"""

from __future__ import annotations

import re

from node.recognition.facts import ImageKind, Vendor

OWN_MANUFACTURER = "rectal-node"

# First match wins; longer tokens stand before those that they contain.
_TOKENS: tuple[tuple[ImageKind, frozenset[str]], ...] = (
    (ImageKind.SCREEN, frozenset({"POSDISP", "SCREEN SAVE", "SCREENSAVE", "CSA REPORT", "CSAPARALLEL"})),
    (ImageKind.EXPONENTIAL, frozenset({"EADC", "EXP"})),
    (ImageKind.ADC, frozenset({"ADC"})),
    (ImageKind.DIFFUSION_MAP, frozenset({"FA", "FAC", "TENSOR", "TENSOR_B0", "ISODWI", "COLFA", "DIFFUSION MAP"})),
    (ImageKind.CALCULATED, frozenset({"CALC_BVALUE"})),
    (
        ImageKind.SUBTRACTION,
        frozenset({"SUB", "SUBTRACT", "SUBTRACTION", "MODULUS SUBTRACT", "PHASE SUBTRACT"}),
    ),
    (ImageKind.PROJECTION, frozenset({"PROJECTION IMAGE", "MIP", "MINIP", "CSA MIP", "MIP_SUB", "COLLAPSE"})),
    (ImageKind.REFORMAT, frozenset({"MPR", "CSA MPR", "CPR", "REFORMATTED", "MPR_THICK", "CURVED_MPR"})),
    (ImageKind.WATER, frozenset({"WATER", "W"})),
    (ImageKind.FAT, frozenset({"FAT", "F"})),
    (ImageKind.IN_PHASE, frozenset({"IN_PHASE", "IP"})),
    (ImageKind.OPPOSED_PHASE, frozenset({"OPP_PHASE", "OUT_PHASE", "OP"})),
    (ImageKind.FAT_FRACTION, frozenset({"FAT_FRACTION", "FF"})),
    (ImageKind.TRACE, frozenset({"TRACEW"})),
)
# What GE and others write into Series Description of a derived series and nowhere else.
_TEXTS: tuple[tuple[ImageKind, str], ...] = (
    (ImageKind.EXPONENTIAL, r"exponential|\beadc\b"),
    (ImageKind.ADC, r"apparent diffusion coefficient|\bd?adc\b|average dc|表观扩散"),
    (ImageKind.DIFFUSION_MAP, r"fractional aniso|\bfa\b"),
    (ImageKind.CALCULATED, r"calc[_ ]?b|dw_synthetic|\bcdwi\b|synthetic b"),
    (ImageKind.SUBTRACTION, r"\bsub\b|subtract|减影"),
    (ImageKind.PROJECTION, r"^col:|\bmip\b|最大密度"),
    (ImageKind.REFORMAT, r"\bmpr\b|reformat"),
)
_GE_PREFIXES = {
    "WATER:": ImageKind.WATER,
    "FAT:": ImageKind.FAT,
    "INPHASE:": ImageKind.IN_PHASE,
    "OUTPHASE:": ImageKind.OPPOSED_PHASE,
    "FATFRAC:": ImageKind.FAT_FRACTION,
    "COL:": ImageKind.PROJECTION,
}
# Maps that Philips names by a prefix: ADC_UNSPECIFIED, EADC_UNSPECIFIE (truncated), FA_…
_PREFIXES = ("EADC", "ADC", "FA")
_NOT_MAGNITUDE = frozenset({"P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP"})


def image_kind(vendor: Vendor, image_type: tuple[str, ...], description: str, sequence_name: str) -> ImageKind:
    """The kind of an image; `image_type` as in the header, `sequence_name` as the vendor writes it."""
    tokens = _tokens(vendor, image_type)
    derived = "DERIVED" in tokens or vendor is Vendor.UIH
    kind = (
        next((found for found, wanted in _TOKENS if tokens & wanted), None)
        or _GE_PREFIXES.get(description.split(":", 1)[0].upper() + ":")
        or (_by_text(description) if derived else None)
    )
    if kind in (None, ImageKind.TRACE) and _calculated(derived, description, sequence_name):
        return ImageKind.CALCULATED
    if kind is None and tokens & _NOT_MAGNITUDE:
        return ImageKind.NOT_MAGNITUDE
    return kind or ImageKind.ACQUIRED


def own_result(manufacturer: str, model: str, software: str) -> bool:
    """Whether equipment names this node: its results come back from archives and are never analysed."""
    return any(OWN_MANUFACTURER in name.lower() for name in (manufacturer, model, software))


def _tokens(vendor: Vendor, image_type: tuple[str, ...]) -> set[str]:
    tokens = {token.upper().strip() for token in image_type}
    if vendor is Vendor.PHILIPS:
        tokens |= {prefix for token in tokens for prefix in _PREFIXES if token.startswith(prefix + "_")}
    else:
        # Single letters mean Dixon parts on Philips only.
        tokens -= {"W", "F"}
    return tokens


def _by_text(description: str) -> ImageKind | None:
    words = description.replace("_", " ")
    return next(
        (kind for kind, pattern in _TEXTS if re.search(pattern, words, re.IGNORECASE)),
        None,
    )


def _calculated(derived: bool, description: str, sequence_name: str) -> bool:
    """Siemens names the range of source b-values (`ep_b0_800`) on images computed from them."""
    if re.match(r"\*?ep\w*_b\d+_\d+", sequence_name):
        return True
    return derived and re.search(r"calc_?bval|\bcdwi|dw_synthetic", description, re.IGNORECASE) is not None
