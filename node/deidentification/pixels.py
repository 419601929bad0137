"""Native pixel data without what is no pixel: bytes behind the last one, and bits that no value is stored in.

Both are where text, and overlays of old systems, can stand. Compressed pixels are left as they are.
"""

from __future__ import annotations

import numpy as np
from pydicom import Dataset

from node.deidentification.kinds import NotExportedError

_AT_ONCE = 2**20  # pixels
_WIDTHS = {"PixelData": None, "FloatPixelData": 32, "DoubleFloatPixelData": 64}


def without_hidden_bits(dataset: Dataset, little_endian: bool) -> None:
    """Cut and mask the pixels of a data set in place, where they have more than its pixels.

    Raises:
        NotExportedError: it does not say how large its pixels are.
    """
    for keyword, width in _WIDTHS.items():
        if keyword not in dataset:
            continue
        element = dataset[keyword]
        if not isinstance(element.value, bytes) or element.is_undefined_length:
            continue
        length = _length(dataset, width)
        if len(element.value) > length + length % 2 or any(element.value[length:]):
            element.value = element.value[:length] + bytes(length % 2)
        if width is None and dataset.BitsStored < dataset.BitsAllocated and dataset.BitsAllocated in (8, 16, 32):
            _mask(dataset, little_endian)


def _length(dataset: Dataset, width: int | None) -> int:
    try:
        samples = dataset.get("SamplesPerPixel") or 1
        if str(dataset.get("PhotometricInterpretation", "")).endswith("_422"):
            samples = 2
        frames = int(dataset.get("NumberOfFrames") or 1)
        bits = int(width or dataset.BitsAllocated)
        if width is None:
            int(dataset.BitsStored)
        return (int(dataset.Rows) * int(dataset.Columns) * int(samples) * frames * bits + 7) // 8
    except (AttributeError, TypeError, ValueError):
        raise NotExportedError(
            "it does not say how large its pixels are, so that other things may stand there"
        ) from None


def _mask(dataset: Dataset, little_endian: bool) -> None:
    """Bits outside of the stored ones are zero; above the sign of a signed value they are the sign."""
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = int(dataset.get("HighBit", stored - 1))
    kind = np.dtype(f"{'<' if little_endian else '>'}u{allocated // 8}")
    used = ((1 << stored) - 1) << max(high + 1 - stored, 0) & ((1 << allocated) - 1)
    above = (1 << allocated) - (1 << (high + 1)) if dataset.get("PixelRepresentation") == 1 else 0
    content = dataset.PixelData
    values = np.frombuffer(content, kind, len(content) // kind.itemsize)
    made: np.ndarray | None = None
    for begin in range(0, len(values), _AT_ONCE):
        part = values[begin : begin + _AT_ONCE]
        clean = part & kind.type(used)
        if above:
            clean = np.where(clean & kind.type(1 << high), clean | kind.type(above), clean)
        if made is None and not np.array_equal(clean, part):
            made = values.copy()
        if made is not None:
            made[begin : begin + _AT_ONCE] = clean
    if made is not None:
        dataset["PixelData"].value = made.tobytes() + content[made.nbytes :]
