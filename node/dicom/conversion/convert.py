"""From a file in any transfer syntax to one in Explicit or Implicit VR Little Endian."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.conversion.elements import PIECE, Forward
from node.dicom.conversion.errors import ConversionError
from node.dicom.conversion.meta import as_it_is, write_file_meta
from node.dicom.conversion.pixels import native_pixels
from node.dicom.conversion.reencoding import Reencoding
from node.dicom.conversion.representations import DECISIVE, PIXEL_REPRESENTATION
from storage.elements import EXPLICIT, EXPLICIT_BIG, IMPLICIT, Encoding
from storage.filebytes import FileBytes
from storage.header import file_meta
from storage.inflation import MAXIMUM_INFLATED, inflated
from storage.records import InstanceHeader

TARGETS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""Transfer syntaxes that an object can be converted to, the preferred first."""

_NATIVE = {
    ImplicitVRLittleEndian: IMPLICIT,
    ExplicitVRLittleEndian: EXPLICIT,
    DeflatedExplicitVRLittleEndian: EXPLICIT,
    ExplicitVRBigEndian: EXPLICIT_BIG,
}


def convert(source: Path, header: InstanceHeader, target: str, out: IO[bytes]) -> None:
    """Write a DICOM file (PS3.10) with the data set of another one in another transfer syntax.

    Every value stays what it was; of the encoding go sequence lengths, group lengths and zero bytes after the end.
    Encapsulated pixels are decoded: their values stay, and Photometric Interpretation and Planar Configuration tell
    what they are now. Attributes of lossy compression stay as they are. No more than a frame, or a piece of a value,
    is held at a time.

    Args:
        source: the file.
        header: what `read_header` says of it.
        target: one of `TARGETS`.
        out: where to write.

    Raises:
        ConversionError: there is no lossless way; the message says why.
        HeaderError: the file is cut short or broken.
        OSError: the file cannot be read, or the other one not written.
    """
    if target not in TARGETS:
        raise ConversionError(f"objects are converted to {' or '.join(TARGETS)}, not to {target}")
    syntax = as_it_is(header.transfer_syntax_uid)
    encoding = _NATIVE.get(syntax, EXPLICIT)
    pixels = nullcontext() if syntax in _NATIVE else native_pixels(source, syntax)
    write_file_meta(out, header, target)
    with pixels as decoded, _data_set(source, syntax) as stream:
        Reencoding(stream, out, decoded).run(encoding, _NATIVE[UID(target)], _decisive(source, encoding))


@contextmanager
def _data_set(source: Path, syntax: str) -> Iterator[Forward]:
    """The bytes of the data set, inflated where it is deflated."""
    with source.open("rb") as file:
        content = FileBytes(file)
        _, start = file_meta(content)
        if syntax == DeflatedExplicitVRLittleEndian:
            yield Forward(inflated(content, start, MAXIMUM_INFLATED))
        else:
            yield Forward(content[begin : begin + PIECE] for begin in range(start, len(content), PIECE))


def _decisive(source: Path, encoding: Encoding) -> dict[int, int]:
    """Pixel Representation, which decides on elements before it, where representations are not written."""
    if encoding.explicit:
        return {}
    found = dcmread(source, stop_before_pixels=True, specific_tags=list(DECISIVE))
    value = found.get("PixelRepresentation")
    return {PIXEL_REPRESENTATION: value} if isinstance(value, int) else {}
