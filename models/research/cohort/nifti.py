"""Faults of the voxels of a NIfTI file. ITK reads NaN as 0 and the missing end of a file as 0, without a word."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

_GZIP = b"\x1f\x8b"
# Header size -> offset and format of dim, datatype, vox_offset (nifti1.h, nifti2.h).
_LAYOUTS = {348: ((40, "8h"), (70, "h"), (108, "f")), 540: ((16, "8q"), (12, "h"), (168, "q"))}
_INTEGERS = {2: 1, 256: 1, 4: 2, 512: 2, 8: 4, 768: 4, 1024: 8, 1280: 8}
_FLOATS = {16: "f4", 64: "f8"}


def stored_fault(path: Path) -> str:
    """The fault of the stored voxels of a NIfTI file; empty when they are all there and finite."""
    data = _content(path)
    order = next((mark for mark in "<>" if len(data) >= 4 and struct.unpack(f"{mark}i", data[:4])[0] in _LAYOUTS), "")
    if not order:
        return "cannot be read: damaged or cut off"
    layout = _LAYOUTS[struct.unpack(f"{order}i", data[:4])[0]]
    try:
        shape, (kind,), (start,) = (struct.unpack_from(order + form, data, offset) for offset, form in layout)
    except struct.error:
        return "cannot be read: damaged or cut off"
    if kind not in _INTEGERS and kind not in _FLOATS:
        return f"has values of NIfTI data type {kind}; whole numbers or real numbers are needed"
    size = _INTEGERS.get(kind) or np.dtype(_FLOATS[kind]).itemsize
    voxels = math.prod(shape[1 : shape[0] + 1])
    if len(data) < int(start) + voxels * size:
        return "cannot be read: damaged or cut off"
    if kind in _INTEGERS:
        return ""
    values = np.frombuffer(data, order + _FLOATS[kind], voxels, int(start))
    bad = voxels - int(np.count_nonzero(np.isfinite(values)))
    return f"holds {bad} voxels that are NaN or infinite" if bad else ""


def _content(path: Path) -> bytes:
    """The uncompressed file; empty where it cannot be uncompressed."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error):
        return b""
