"""Lossy Image Compression (0028,2110) of sources (PS3.3 C.7.6.1.1.5): once lost, what is made from them says so too.

Routers and archives compress images and leave the header as it was. What the codestream shows comes before what the
header says.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path

from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError

from node.dicom.codestream import read_codestream
from node.dicom.compression import COMPRESSIONS, Loss, lossy_method
from node.dicom.conversion.pixels import at_encapsulated
from node.recognition.header.elements import integer, text
from node.results import attributes
from storage.dicom_files import ELEMENT_ERRORS
from storage.errors import HeaderError

_UNREADABLE = (*ELEMENT_ERRORS, RuntimeError, InvalidDicomError, HeaderError, struct.error)
LOST = "01"


def tell_loss(header: Dataset, path: Path, dataset: Dataset) -> None:
    """Write into a header that its image lost something, how and at what ratio, where only its pixels tell.

    Args:
        header: gets the attributes; what it states of method and ratio stays.
        path: the file.
        dataset: as it was read from there, with its file meta information.

    Raises:
        OSError: the file cannot be read.
    """
    syntax = text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID")
    known = COMPRESSIONS.get(syntax)
    if known is None or known.loss is Loss.NEVER:
        return
    method, ratio = _as_it_lies(path, syntax)
    if not method:
        return
    header.add_new("LossyImageCompression", "CS", LOST)
    if not header.get("LossyImageCompressionMethod"):
        header.add_new("LossyImageCompressionMethod", "CS", method)
    if not header.get("LossyImageCompressionRatio") and ratio:
        header.add_new("LossyImageCompressionRatio", "DS", f"{ratio:.2f}")


def as_a_whole(headers: Sequence[Dataset]) -> None:
    """Let all images of a volume say what the first one says that lost something: the volume did."""
    lost = next((header for header in headers if header.get("LossyImageCompression") == LOST), Dataset())
    stated = [lost[keyword] for keyword in attributes.LOSSY if keyword in lost]
    for header in headers:
        if header.get("LossyImageCompression") != LOST:
            for element in stated:
                header.add(element)


def _as_it_lies(path: Path, syntax: str) -> tuple[str, float]:
    """Method and ratio of the compression of a file; empty and 0 where nothing was lost, or nothing can be read."""
    try:
        with path.open("rb") as file:
            image = at_encapsulated(file)
            if image is None:
                return "", 0.0
            start, frames = file.tell(), integer(image, "NumberOfFrames") or 1
            method = lossy_method(syntax, read_codestream(get_frame(file, 0, number_of_frames=frames)))
            cells = prod(integer(image, name) or 0 for name in ("Rows", "Columns", "BitsAllocated"))
            compressed = path.stat().st_size - start
            return method, cells // 8 * (integer(image, "SamplesPerPixel") or 1) * frames / compressed
    except _UNREADABLE:
        return lossy_method(syntax, None), 0.0
