"""Functions on `SimpleITK.Image`, the only volume type of `models`: LPS coordinates, mm, x-y-z index order."""

from __future__ import annotations

from enum import StrEnum


class Sequence(StrEnum):
    """The image contrasts that are analysed."""

    T2WI = "T2WI"
    DWI = "DWI"
    PVP = "PVP"
