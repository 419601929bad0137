"""Encapsulated pixel data, decoded frame by frame to what a native transfer syntax holds."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID, RLELossless

from node.dicom.codestream import read_codestream
from node.dicom.compression import why_undecodable
from node.dicom.conversion.elements import Forward, read_head
from node.dicom.conversion.errors import ConversionError
from node.dicom.conversion.representations import PIXEL_DATA
from storage.elements import EXPLICIT, UNDEFINED

IMAGE_PIXEL = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Pixel data as a native transfer syntax holds it: little endian, colour by pixel (Planar Configuration 0).

    `length` is the size of all frames in bytes, without padding; `frames` can be gone through once.
    """

    photometric_interpretation: str
    bits_allocated: int
    length: int
    frames: Iterator[bytes]


def decoder_of(syntax: UID) -> Decoder:
    """The decoder of an encapsulated transfer syntax.

    Raises:
        ConversionError: nothing here does.
    """
    reason = why_undecodable(syntax)
    if reason:
        raise ConversionError(f"transfer syntax {syntax} {reason}")
    return get_decoder(syntax)


def at_encapsulated(file: BinaryIO) -> Dataset | None:
    """The image attributes of a file, which is left where the value of its encapsulated pixels begins.

    None where it holds no such pixels; the file then stands anywhere.

    Raises:
        OSError: the file cannot be read.
    """
    attributes = dcmread(file, stop_before_pixels=True, specific_tags=list(IMAGE_PIXEL))
    # Piece by piece, so that the file is left where the value begins.
    head = read_head(Forward(iter(lambda: file.read(4), b"")), EXPLICIT)
    return attributes if head is not None and (head.tag, head.length) == (PIXEL_DATA, UNDEFINED) else None


@contextmanager
def native_pixels(path: Path, syntax: UID) -> Iterator[NativePixels | None]:
    """The decoded pixels of a file in an encapsulated transfer syntax; None where it holds no encapsulated ones.

    Colours are not converted: YCbCr stays YCbCr, without its subsampling, and JPEG 2000's own transformation
    (YBR_RCT, YBR_ICT) is undone to RGB.

    Raises:
        ConversionError: the pixels cannot be decoded, or not to what the image attributes say.
        OSError: the file cannot be read.
    """
    decoder = decoder_of(syntax)
    with path.open("rb") as file:
        attributes = at_encapsulated(file)
        yield None if attributes is None else _decoded(decoder, syntax, attributes, file)


def native_frame(file: BinaryIO, syntax: UID, attributes: Dataset, number: int) -> bytes:
    """One frame of encapsulated pixels, as a native transfer syntax holds it.

    Args:
        file: where the value of the pixel data begins.
        syntax: that of the pixels.
        attributes: of the image; those in `IMAGE_PIXEL`.
        number: of the frame, from 1 on.

    Raises:
        ConversionError: it cannot be decoded.
    """
    decoder = decoder_of(syntax)
    try:
        options = as_pixel_options(attributes)
        dtype = np.dtype(f"<{'ui'[options['pixel_representation']]}{options['bits_allocated'] // 8}")
        frame, _ = next(_frames(decoder, syntax, file, options, dtype, [number - 1]))
    except (KeyError, TypeError, IndexError, StopIteration) as error:
        raise ConversionError(f"frame {number} cannot be decoded: {error or 'it is not there'}") from error
    return frame


def _decoded(decoder: Decoder, syntax: str, attributes: Dataset, file: BinaryIO) -> NativePixels:
    try:
        options = as_pixel_options(attributes)
        dtype = np.dtype(f"<{'ui'[options['pixel_representation']]}{options['bits_allocated'] // 8}")
        frames = _frames(decoder, syntax, file, options, dtype)
        first, photometric_interpretation = next(frames)
    except (KeyError, TypeError, IndexError, StopIteration) as error:
        raise ConversionError(f"the pixels cannot be decoded: {error or 'there are none'}") from error
    return NativePixels(
        photometric_interpretation=photometric_interpretation,
        bits_allocated=options["bits_allocated"],
        length=len(first) * options["number_of_frames"],
        frames=chain([first], (frame for frame, _ in frames)),
    )


def _frames(
    decoder: Decoder,
    syntax: str,
    file: BinaryIO,
    options: dict[str, Any],
    dtype: np.dtype[Any],
    indices: Sequence[int] | None = None,
) -> Iterator[tuple[bytes, str]]:
    """Each frame, or those of these indices, and its photometric interpretation."""
    # Sign bits above Bits Stored are no part of what JPEG holds. Where RLE holds other bits there, they stay.
    signs = options["pixel_representation"] == 1 and syntax != RLELossless
    count = 0
    try:
        _check_sizes(syntax, file, options)
        decoded = decoder.iter_array(
            file,
            indices=indices,
            raw=True,
            correct_unused_bits=signs,
            pixel_keyword="PixelData",
            pixel_vr="OB",
            **options,
        )
        for array, properties in decoded:
            count += 1
            if not np.can_cast(array.dtype, dtype, "same_kind") or array.dtype.itemsize > dtype.itemsize:
                raise ConversionError(f"the pixels are coded with {array.dtype.itemsize * 8} bits, not {dtype}")
            interpretation = str(properties["photometric_interpretation"])
            yield array.astype(dtype).tobytes(), "YBR_FULL" if interpretation in _SUBSAMPLED else interpretation
    except (AttributeError, ValueError, RuntimeError, NotImplementedError, struct.error) as error:
        raise ConversionError(f"the pixels cannot be decoded: {error}") from error
    if indices is None and count != options["number_of_frames"]:
        raise ConversionError(f"{count} frames are coded, and Number of Frames is {options['number_of_frames']}")


def _check_sizes(syntax: str, file: BinaryIO, options: dict[str, Any]) -> None:
    """Look at the beginning of every frame, and leave the file where it was.

    Raises:
        ConversionError: one says that it is larger than the image, and would be in memory.
        struct.error, ValueError: one cannot be read.
    """
    if syntax == RLELossless:  # tells no size, and is decoded no further than that of the image
        return
    wanted = options["rows"] * options["columns"] * options["samples_per_pixel"]
    start = file.tell()
    offsets = options.get("extended_offsets")
    for frame in generate_frames(file, number_of_frames=options["number_of_frames"], extended_offsets=offsets):
        coded = read_codestream(frame)
        if coded is None or not 0 < coded.samples <= wanted:
            found = "no codestream" if coded is None else f"{coded.samples} values"
            raise ConversionError(f"the pixels cannot be decoded: {found} in a frame of {wanted}")
    file.seek(start)
