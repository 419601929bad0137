"""How an image came about, from ImageType or Frame Type (PS3.3 C.7.6.1.1.2, C.8.13.3.1) and vendor habits.

Tokens are compared whole: EADC holds ADC, and a trace-weighted series may be called `…_ADC` by hand. Text is
asked only where a vendor marks the image as derived and names the map nowhere else.
"""

from __future__ import annotations

import re

from node.recognition.header.facts import Diffusion, ImageKind, Vendor
from node.recognition.header.words import Words

DESCRIPTION = "Series Description"

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
# What GE and others write into Series Description of a derived series and nowhere else, by its meaning in words.toml.
_TOLD: tuple[tuple[ImageKind, str], ...] = (
    (ImageKind.EXPONENTIAL, "exponential"),
    (ImageKind.ADC, "adc"),
    (ImageKind.DIFFUSION_MAP, "diffusion_map"),
    (ImageKind.CALCULATED, "calculated_b"),
    (ImageKind.SUBTRACTION, "subtraction"),
    (ImageKind.PROJECTION, "projection"),
    (ImageKind.REFORMAT, "reformat"),
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


def image_kind(
    vendor: Vendor, image_type: tuple[str, ...], description: str, sequence_name: str, vocabulary: Words
) -> tuple[ImageKind, str]:
    """The kind of an image, and where it was read: the value of Image Type, or the name of another element.

    `image_type` as in the header, `sequence_name` as the vendor writes it.
    """
    tokens = _tokens(vendor, image_type)
    derived = "DERIVED" in tokens or vendor is Vendor.UIH
    kind = next((found for found, wanted in _TOKENS if tokens & wanted), None)
    if kind in (None, ImageKind.TRACE) and re.match(r"\*?ep\w*_b\d+_\d+", sequence_name):
        # Siemens names the range of source b-values (`ep_b0_800`) on images computed from them.
        return ImageKind.CALCULATED, f"sequence name {sequence_name}"
    if kind in (None, ImageKind.TRACE):
        told = _GE_PREFIXES.get(description.split(":", 1)[0].upper() + ":")
        told = told or next((it for it, meaning in _TOLD if derived and vocabulary.say(meaning, description)), None)
        if told is not None and (kind is None or told is ImageKind.CALCULATED):
            return told, DESCRIPTION
    if kind is None and tokens & _NOT_MAGNITUDE:
        kind = ImageKind.NOT_MAGNITUDE
    return kind or ImageKind.ACQUIRED, "\\".join(image_type)


def told_by_diffusion(kind: ImageKind, source: str, diffusion: Diffusion) -> tuple[ImageKind, str]:
    """The kind of an image and where it was read, which for combined images may be the directionality."""
    if kind is ImageKind.ACQUIRED and diffusion.combined:
        return ImageKind.TRACE, "diffusion directionality"
    return kind, source


def _tokens(vendor: Vendor, image_type: tuple[str, ...]) -> set[str]:
    tokens = {token.upper().strip() for token in image_type}
    if vendor is Vendor.PHILIPS:
        tokens |= {prefix for token in tokens for prefix in _PREFIXES if token.startswith(prefix + "_")}
    else:
        # Single letters mean Dixon parts on Philips only.
        tokens -= {"W", "F"}
    return tokens
