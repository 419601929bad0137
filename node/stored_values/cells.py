"""The values in the pixel cells of one frame (PS3.5 8.1.1): which bits, which sign, which end is dark, what is padding.

pydicom's `pixel_array` does not read High Bit and leaves unused bits of JPEG 2000 as they are, so it only decodes.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from node.codes import Code
from node.dicom.codestream import Coded, read_codestream
from node.dicom.compression import lossy_method, why_undecodable
from node.errors import Refusal, told
from node.failure import pass_on
from node.recognition.header.converted import holding
from node.recognition.header.elements import MALFORMED, integer, stated, text

UNDECODABLE = (*MALFORMED, RuntimeError, InvalidDicomError, zlib.error, MemoryError)
#: More bits than a float32 volume can tell apart; no MR scanner writes them.
_MOST_BITS = 32
LARGEST_FRAME = 2**27
"""Pixels, 0.5 GB as decoded here, as many as the largest volume has; Rows and Columns can claim 32 times as many."""

Integers = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True)
class Layout:
    """How a value lies in its pixel cell: (0028,0100) to (0028,0103)."""

    allocated: int
    stored: int
    high_bit: int
    signed: bool

    @property
    def shift(self) -> int:
        """Unused bits below the value."""
        return self.high_bit + 1 - self.stored

    @cached_property
    def lowest(self) -> int:
        """The least value that the stored bits can hold."""
        return -(1 << (self.stored - 1)) if self.signed else 0

    @cached_property
    def highest(self) -> int:
        """The greatest value that the stored bits can hold."""
        return (1 << self.stored - self.signed) - 1

    def values(self, cells: Integers) -> Integers:
        """The values of cells; bits of a cell outside its value are of something else and left out."""
        bits = (cells >> self.shift) & ((1 << self.stored) - 1)
        return bits - ((bits > self.highest) * (1 << self.stored)) if self.signed else bits

    def foreign(self, cells: Integers, values: Integers) -> bool:
        """Whether bits outside the value are set other than by its sign, as by the overlay planes of old images."""
        own = values << self.shift
        everything = (1 << self.allocated) - 1
        unused = everything & ~(((1 << self.stored) - 1) << self.shift)
        return bool((((cells & unused) != 0) & ((cells & everything) != (own & everything))).any())


@dataclass(frozen=True, slots=True)
class Cells:
    """The stored values of one frame as the scanner means them.

    Attributes:
        values: rows × columns; turned back where the image is stored inverted.
        padding: rows × columns; True where there is no image.
        as_stored: least and greatest stored value outside the padding, before turning back; None without any.
        inverted: whether low values are bright in the file (MONOCHROME1, Presentation LUT Shape INVERSE).
        foreign_bits: whether bits outside the value were set, and left out.
        lossy: by what method lossy compression changed the values; empty where nothing says that it did.
    """

    values: Integers
    padding: npt.NDArray[np.bool_]
    as_stored: tuple[int, int] | None
    inverted: bool
    foreign_bits: bool
    lossy: str = ""


def read_cells(dataset: Dataset, frame: int, uid: str) -> Cells:
    """The values of a 0-based frame of instance `uid`.

    An image is inverted over the full range of its stored bits: (2ⁿ - 1) - stored, for signed values -1 - stored.

    Raises:
        Refusal: E-PHOTOMETRIC (not monochrome), E-MODALITY-LUT, E-DECODE, E-PIXEL-BITS (no or impossible bits) or
            E-PADDING (an unreadable padding value).
    """
    inverted = _inverted(dataset, frame, uid)
    if stated(holding(dataset, frame, "ModalityLUTSequence"), "ModalityLUTSequence"):
        raise Refusal(Code.MODALITY_LUT, f"{uid}: stored values pass through a Modality LUT, which no MR image has")
    decoded, coded = _decoded(dataset, frame, uid)
    layout = _layout(dataset, uid)
    if decoded.dtype.kind not in "iu" or decoded.ndim != 2:
        raise Refusal(Code.PIXEL_BITS, f"{uid}: pixels are {decoded.dtype} of shape {decoded.shape}, not one integer")
    cells: Integers = decoded.astype(np.int32 if layout.allocated <= 16 else np.int64)
    values = layout.values(cells)
    padding = _padding(holding(dataset, frame, "PixelPaddingValue"), layout, values, cells, uid)
    image = values[~padding]
    return Cells(
        values=layout.lowest + layout.highest - values if inverted else values,
        padding=padding,
        as_stored=(int(image.min()), int(image.max())) if image.size else None,
        inverted=inverted,
        foreign_bits=layout.foreign(cells, values),
        lossy=_lossy(dataset, coded),
    )


def _inverted(dataset: Dataset, frame: int, uid: str) -> bool:
    interpretation = text(dataset, "PhotometricInterpretation").upper()
    samples = integer(dataset, "SamplesPerPixel")
    if interpretation not in ("MONOCHROME1", "MONOCHROME2") or samples not in (None, 1):
        raise Refusal(
            Code.PHOTOMETRIC,
            f"{uid}: Photometric Interpretation is {interpretation or 'missing'}, {samples or 1} sample(s) a pixel; "
            f"one sample, MONOCHROME1 or MONOCHROME2, is wanted",
        )
    shape = text(holding(dataset, frame, "PresentationLUTShape"), "PresentationLUTShape").upper()
    return interpretation == "MONOCHROME1" or shape == "INVERSE"


def _decoded(dataset: Dataset, frame: int, uid: str) -> tuple[npt.NDArray[np.generic], Coded | None]:
    """The cells of a frame, and what a codestream says that holds them."""
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    if rows * columns > LARGEST_FRAME:  # memory would be short of it each time it is tried
        raise Refusal(Code.DECODE, f"{uid}: a frame of {rows} × {columns} pixels is not decoded")
    try:
        with warnings.catch_warnings(action="ignore"):
            coded = _coded(dataset, frame, uid)
            return pixel_array(dataset, index=frame, raw=True, correct_unused_bits=False), coded
    except UNDECODABLE as error:
        pass_on(error)
        syntax = _syntax(dataset)
        reason = f"{uid}: pixels in transfer syntax {syntax} cannot be decoded: {told(error)}"
        raise Refusal(Code.DECODE, reason) from error


def _coded(dataset: Dataset, frame: int, uid: str) -> Coded | None:
    """What a compressed frame says of itself; None where it says nothing, or is not compressed.

    Raises:
        Refusal: E-DECODE where nothing here decodes it, or where it says that it is larger than the image: it is then
            never decoded.
    """
    syntax = _syntax(dataset)
    if not UID(syntax).is_encapsulated:
        return None
    reason = why_undecodable(syntax)
    if reason:
        raise Refusal(Code.DECODE, f"{uid}: transfer syntax {syntax} {reason}")
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    coded = read_codestream(
        get_frame(dataset.PixelData, frame, number_of_frames=integer(dataset, "NumberOfFrames") or 1)
    )
    if coded is None and syntax != RLELossless:
        raise Refusal(Code.DECODE, f"{uid}: no codestream of transfer syntax {syntax}")
    if coded is not None and not 0 < coded.samples <= rows * columns:
        of = f" of {coded.components} values" if coded.components != 1 else ""
        what = f"{coded.rows} × {coded.columns} pixels{of} are coded for an image of {rows} × {columns}"
        raise Refusal(Code.DECODE, f"{uid}: {what}")
    return coded


def _lossy(dataset: Dataset, coded: Coded | None) -> str:
    """By what Lossy Image Compression Method (0028,2114): as the header says, else as it lies."""
    method = lossy_method(_syntax(dataset), coded)
    if method or text(dataset, "LossyImageCompression") == "01":
        return text(dataset, "LossyImageCompressionMethod") or method or "by a method that is not stated"
    return ""


def _syntax(dataset: Dataset) -> str:
    return text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID") or "missing"


def _layout(dataset: Dataset, uid: str) -> Layout:
    """Raises Refusal E-PIXEL-BITS where the bits of a value cannot lie as the header says."""
    allocated, stored, high_bit = (integer(dataset, name) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated is None or stored is None:
        raise Refusal(Code.PIXEL_BITS, f"{uid}: Bits Allocated or Bits Stored is missing")
    high_bit = stored - 1 if high_bit is None else high_bit
    if not stored - 1 <= high_bit < allocated <= _MOST_BITS:
        raise Refusal(
            Code.PIXEL_BITS,
            f"{uid}: {stored} bits up to bit {high_bit} of {allocated} cannot hold a value of the image",
        )
    syntax = UID(_syntax(dataset))
    if high_bit != stored - 1 and syntax != RLELossless and syntax.is_compressed:
        # A codec works on values, not on cells: where it has put unused low bits nobody says.
        raise Refusal(Code.PIXEL_BITS, f"{uid}: High Bit is {high_bit} for {stored} bits in compressed pixels")
    return Layout(allocated, stored, high_bit, integer(dataset, "PixelRepresentation") == 1)


def _padding(dataset: Dataset, layout: Layout, values: Integers, cells: Integers, uid: str) -> npt.NDArray[np.bool_]:
    """Where Pixel Padding Value (0028,0120), or a value from there to its Range Limit (0028,0121), is stored.

    Writers take either sign for the padding value, and some a value that only the whole cell can hold.
    """
    if not stated(dataset, "PixelPaddingValue"):
        return np.zeros(values.shape, np.bool_)
    names = [name for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") if stated(dataset, name)]
    limits = [integer(dataset, name) for name in names]
    if None in limits:
        raise Refusal(Code.PADDING, f"{uid}: {' or '.join(names)} cannot be read: padding cannot be told from image")
    whole = Layout(layout.allocated, layout.allocated, layout.allocated - 1, layout.signed)
    ends = whole.values(np.asarray(limits, np.int64))
    within: npt.NDArray[np.bool_] = (values >= ends.min()) & (values <= ends.max())
    held = layout.lowest <= ends.min() and ends.max() <= layout.highest
    return within if held else within | ((whole.values(cells) >= ends.min()) & (whole.values(cells) <= ends.max()))
