"""Compressed transfer syntaxes of images: what decodes them, and whether they lose anything of the values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from node.dicom.codestream import Coded


class Loss(Enum):
    """Whether compression in a transfer syntax loses something of the values."""

    NEVER = "none"
    POSSIBLE = "possible"
    ALWAYS = "yes"


@dataclass(frozen=True, slots=True)
class Compression:
    """How the images of a transfer syntax are compressed.

    Attributes:
        packages: what decodes them here beside pydicom, by the names on PyPI.
        method: Lossy Image Compression Method (0028,2114; PS3.3 C.7.6.1.1.5.1) where something is lost.
    """

    packages: tuple[str, ...]
    loss: Loss = Loss.NEVER
    method: str = ""


_LIBJPEG = ("pylibjpeg", "pylibjpeg-libjpeg")
_OPENJPEG = ("pylibjpeg", "pylibjpeg-openjpeg")

COMPRESSIONS: dict[str, Compression] = {
    JPEGBaseline8Bit: Compression(_LIBJPEG, Loss.ALWAYS, "ISO_10918_1"),
    JPEGExtended12Bit: Compression(_LIBJPEG, Loss.ALWAYS, "ISO_10918_1"),
    JPEGLossless: Compression(_LIBJPEG),
    JPEGLosslessSV1: Compression(_LIBJPEG),
    JPEGLSLossless: Compression(_LIBJPEG),
    JPEGLSNearLossless: Compression(_LIBJPEG, Loss.ALWAYS, "ISO_14495_1"),
    JPEG2000Lossless: Compression(_OPENJPEG),
    JPEG2000: Compression(_OPENJPEG, Loss.POSSIBLE, "ISO_15444_1"),
    HTJ2KLossless: Compression(_OPENJPEG),
    HTJ2KLosslessRPCL: Compression(_OPENJPEG),
    HTJ2K: Compression(_OPENJPEG, Loss.POSSIBLE, "ISO_15444_15"),
    RLELossless: Compression(()),
}
"""Encapsulated transfer syntaxes whose images are decoded, by UID."""


def why_undecodable(syntax: str) -> str:
    """Why an encapsulated transfer syntax cannot be decoded here, as words to follow its name; empty where it can."""
    known = COMPRESSIONS.get(syntax)
    if known is None:
        return "cannot be decoded here"
    if get_decoder(syntax).is_available:
        return ""
    return f"needs {' and '.join(known.packages)}, not installed here: pip install {' '.join(known.packages)}"


def lossy_method(syntax: str, coded: Coded | None) -> str:
    """By what method (0028,2114) pixels lost something in a transfer syntax; empty where nothing says that they did.

    `coded` is what the codestream says; without it a transfer syntax that allows both counts as one that loses nothing.
    """
    known = COMPRESSIONS.get(syntax)
    if known is None:
        return ""
    lost = known.loss is Loss.ALWAYS or (known.loss is Loss.POSSIBLE and coded is not None and coded.irreversible)
    return known.method if lost else ""
