"""The files of a folder, and why one cannot be read."""

from __future__ import annotations

import zlib
from pathlib import Path

from pydicom.errors import InvalidDicomError

from node.errors import Meanings


def files_in(path: Path) -> list[Path]:
    """Every file of a folder and of those within it, in the order of their paths; of a file itself."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


#: Why a file cannot be read, without what pydicom tells programmers, and without anything of its content.
DAMAGE: Meanings = (
    (OSError, "cannot be read: {reason}"),
    (InvalidDicomError, "no DICOM file: it does not begin with a preamble, the letters DICM and file meta information"),
    (EOFError, "cut short: it ends within an element"),
    (zlib.error, "damaged: the deflated data set cannot be inflated"),
    (MemoryError, "cannot be read: memory is short"),
    (RecursionError, "damaged: sequences are nested without end"),
    (Exception, "damaged ({kind})"),
)
