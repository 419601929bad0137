"""Images in every transfer syntax that MR comes in: by pydicom's encoders and, where it has none, by imagecodecs."""

from __future__ import annotations

from dataclasses import dataclass, field

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from .copies import copied

Frame = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Encoding:
    """How test images get into a transfer syntax.

    Attributes:
        uid: the transfer syntax.
        options: of pydicom's encoder.
        largest_error: of a stored value, by what was asked of the encoder.
        method: Lossy Image Compression Method (0028,2114) of what loses.
        bits: Bits Stored.
    """

    uid: UID
    options: dict[str, object] = field(default_factory=dict, hash=False)
    largest_error: int = 0
    method: str = ""
    bits: int = 12

    def __str__(self) -> str:
        return str(self.uid)


ENCODINGS = (
    Encoding(ImplicitVRLittleEndian),
    Encoding(ExplicitVRLittleEndian),
    Encoding(DeflatedExplicitVRLittleEndian),
    Encoding(ExplicitVRBigEndian),
    Encoding(JPEGBaseline8Bit, largest_error=4, method="ISO_10918_1", bits=8),
    Encoding(JPEGExtended12Bit, largest_error=16, method="ISO_10918_1"),
    Encoding(JPEGLossless),
    Encoding(JPEGLosslessSV1),
    Encoding(JPEGLSLossless),
    Encoding(JPEGLSNearLossless, {"jls_error": 2}, largest_error=2, method="ISO_14495_1"),
    Encoding(JPEG2000Lossless),
    Encoding(JPEG2000, {"j2k_psnr": [70]}, largest_error=16, method="ISO_15444_1"),
    # OpenJPH is told the width of the cells, not of the values.
    Encoding(HTJ2KLossless, bits=16),
    Encoding(HTJ2KLosslessRPCL, bits=16),
    Encoding(HTJ2K, largest_error=16, method="ISO_15444_15", bits=16),
    Encoding(RLELossless),
)
NATIVE = frozenset(
    {ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}
)
_BY_IMAGECODECS = {
    JPEGBaseline8Bit: lambda frame: imagecodecs.jpeg8_encode(frame, level=95),
    JPEGExtended12Bit: lambda frame: imagecodecs.jpeg8_encode(frame, level=95, bitspersample=12),
    JPEGLossless: lambda frame: _jpeg_lossless(frame, predictor=6),
    JPEGLosslessSV1: lambda frame: _jpeg_lossless(frame, predictor=1),
    HTJ2KLossless: lambda frame: imagecodecs.htj2k_encode(frame, reversible=True),
    # RPCL is OpenJPH's order of progression; with it goes the table of tile lengths (PS3.5 A.4.8).
    HTJ2KLosslessRPCL: lambda frame: imagecodecs.htj2k_encode(frame, reversible=True, tlm=True),
    HTJ2K: lambda frame: imagecodecs.htj2k_encode(frame, level=1e-4, reversible=False),
}


def _jpeg_lossless(frame: Frame, predictor: int) -> bytes:
    """JPEG knows no sign: the twelve bits of a value go as they are."""
    bits = (frame & 0xFFF).astype("<u2")
    return imagecodecs.jpeg8_encode(bits, lossless=True, predictor=predictor, bitspersample=12)


def encode(image: Dataset, encoding: Encoding) -> Dataset:
    """An image of 12 bits, of one frame or of many, in a transfer syntax; with 8 bits the lowest four are cut off."""
    made = copied(image)
    kind = "i" if image.PixelRepresentation else "u"
    frames = image.pixel_array.reshape(-1, image.Rows, image.Columns).astype(f"<{kind}2")
    made.BitsStored, made.HighBit = encoding.bits, encoding.bits - 1
    if encoding.bits == 8:
        made.BitsAllocated, frames = 8, (frames >> 4).astype("u1")
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.PixelData = frames.tobytes()
    made["PixelData"].VR = "OB" if encoding.bits == 8 else "OW"
    if encoding.uid in _BY_IMAGECODECS:
        made.PixelData = encapsulate([bytes(_BY_IMAGECODECS[encoding.uid](frame)) for frame in frames])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    elif encoding.uid == ExplicitVRBigEndian:
        made.PixelData = frames.astype(f">{kind}2").tobytes()
    elif encoding.uid not in NATIVE:
        compress(made, encoding.uid, generate_instance_uid=False, **encoding.options)
    made.file_meta.TransferSyntaxUID = encoding.uid
    return made


def plain(image: Dataset, encoding: Encoding) -> Dataset:
    """The same image as it was before it was encoded."""
    return encode(image, Encoding(ExplicitVRLittleEndian, bits=encoding.bits))
