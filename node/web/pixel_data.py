"""The pixel data of a stored object, a frame at a time; of a file no more is read than what stands before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import get_frame
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from node.dicom.conversion.convert import convert
from node.dicom.conversion.meta import as_it_is
from node.dicom.conversion.pixels import IMAGE_PIXEL, native_frame
from node.web.objects import EXPLICIT, WebObject, damage_told
from node.web.problems import NotHereError
from storage.errors import HeaderError

PIXEL_TAGS = {0x7FE00008: "OF", 0x7FE00009: "OD", 0x7FE00010: "OW"}
"""Float, double and integer pixel data, with the VR that they have where none is written."""

_INTEGERS = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_REREAD = frozenset({DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian})


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data of a file are: `start` and `length` of the value in bytes, None of encapsulated ones."""

    tag: int
    vr: str
    start: int
    length: int | None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What stands before the pixel data of a file, and where they are; None where there are none."""

    dataset: Dataset
    pixels: PixelElement | None


@contextmanager
def opened_little_endian(found: WebObject) -> Iterator[BinaryIO]:
    """The file of an object; of one that is deflated, or big endian, a passing copy that is neither.

    Raises:
        ConversionError: there is no such copy.
        HeaderError: the file is damaged.
        OSError: it cannot be read.
    """
    if found.syntax not in _REREAD:
        with found.path.open("rb") as file:
            yield file
        return
    with TemporaryFile() as copy:
        convert(found.path, found.file.header, EXPLICIT, copy)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def read_beginning(file: BinaryIO, keywords: Sequence[str] | None = None) -> Beginning:
    """Read up to the pixel data: everything, or these elements.

    Raises:
        HeaderError: it is damaged; the message repeats nothing of it.
        OSError: it cannot be read.
    """
    found: list[tuple[int, str | None, int]] = []

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_TAGS:
            found.append((int(tag), vr, length))
        return int(tag) in PIXEL_TAGS

    tags: list[BaseTag | int] | None = None
    if keywords is not None:
        tags = [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]
    with damage_told():
        dataset = read_partial(file, stop_when=stop, specific_tags=tags)
    if not found:
        return Beginning(dataset, None)
    tag, vr, length = found[-1]
    start = file.tell() + (8 if vr is None else 12)
    return Beginning(dataset, PixelElement(tag, vr or PIXEL_TAGS[tag], start, None if length == _UNDEFINED else length))


class Frames:
    """The frames of an image in an open file."""

    def __init__(self, file: BinaryIO, syntax: str, beginning: Beginning) -> None:
        """Look at what the image attributes say.

        Raises:
            NotHereError: the object has no pixel data.
            HeaderError: the attributes do not say how large a frame is.
        """
        if beginning.pixels is None:
            raise NotHereError("pixel data: the object has none, and it")
        self._file, self._syntax = file, syntax
        self._pixels, self._attributes = beginning.pixels, beginning.dataset
        with damage_told():
            self.count = self._number("NumberOfFrames", 1)
            if self._pixels.length is not None:
                self._bits = self._frame_bits()

    @property
    def encapsulated(self) -> bool:
        """Whether the pixels are compressed."""
        return self._pixels.length is None

    def stored(self, number: int) -> bytes:
        """A frame, from 1 on, as it is stored.

        Raises:
            HeaderError: it is not there.
            OSError: the file cannot be read.
        """
        if not self.encapsulated:
            return self._native(number)
        self._file.seek(self._pixels.start)
        tables = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
        offsets = cast("tuple[bytes, bytes]", tuple(self._attributes.get(name) for name in tables))
        with damage_told():
            return get_frame(
                self._file, number - 1, number_of_frames=self.count, extended_offsets=offsets if all(offsets) else None
            )

    def decoded(self, number: int) -> bytes:
        """A frame, from 1 on, as a native little endian transfer syntax holds it.

        Raises:
            ConversionError: it cannot be decoded.
            HeaderError: it is not there.
            OSError: the file cannot be read.
        """
        if not self.encapsulated:
            return self._native(number)
        self._file.seek(self._pixels.start)
        with damage_told():
            return native_frame(self._file, as_it_is(self._syntax), self._attributes, number)

    def grey(self, number: int) -> NDArray[np.generic]:
        """The values of a frame of one sample a pixel, rows by columns, without the bits that are not Bits Stored.

        Raises:
            ConversionError, HeaderError, OSError: as `decoded`.
        """
        data, bits = self.decoded(number), self._number("BitsAllocated", 0)
        rows, columns = self._number("Rows", 0), self._number("Columns", 0)
        if bits == 1:
            flat: NDArray[np.generic] = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        elif self._pixels.tag != _INTEGERS:
            flat = np.frombuffer(data, f"<f{bits // 8}")
        else:
            kind, unused = "ui"[self._number("PixelRepresentation", 0) & 1], bits - self._number("BitsStored", bits)
            flat = np.frombuffer(data, f"<{kind}{bits // 8}") << unused >> unused
        return flat[: rows * columns].reshape(rows, columns)

    def _native(self, number: int) -> bytes:
        """Bits of one-bit pixels begin with a byte, although in the file they may not (PS3.5 8.1.1)."""
        first, last = (number - 1) * self._bits, number * self._bits
        begin, end = first // 8, -(-last // 8)
        self._file.seek(self._pixels.start + begin)
        found = self._file.read(end - begin)
        if len(found) < end - begin or end > (self._pixels.length or 0):
            raise HeaderError(f"frame {number} is not there: the pixel data are too short")
        if not first % 8 and not last % 8:
            return found
        bits = np.unpackbits(np.frombuffer(found, np.uint8), bitorder="little")
        return np.packbits(bits[first % 8 : first % 8 + self._bits], bitorder="little").tobytes()

    def _frame_bits(self) -> int:
        pixels = self._number("Rows", 0) * self._number("Columns", 0)
        bits = pixels * self._number("SamplesPerPixel", 1) * self._number("BitsAllocated", 0)
        if not bits:
            raise HeaderError("the image attributes do not say how large a frame is")
        return bits * 2 // 3 if self._attributes.get("PhotometricInterpretation") == "YBR_FULL_422" else bits

    def _number(self, keyword: str, default: int) -> int:
        return int(self._attributes.get(keyword) or default)


@contextmanager
def frames_of(found: WebObject) -> Iterator[Frames]:
    """The frames of an object, while the block lasts; raises as `opened_little_endian`, `read_beginning`, `Frames`."""
    with opened_little_endian(found) as file:
        syntax = EXPLICIT if found.syntax in _REREAD else found.syntax
        yield Frames(file, syntax, read_beginning(file, IMAGE_PIXEL))
