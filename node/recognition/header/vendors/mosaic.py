"""Siemens MOSAIC sheets: a square of tiles, of which the header places the sheet and not the slices.

Image Position (Patient) is that of a slice as large as the sheet with the same centre as the first slice. The others
follow in the direction of the CSA SliceNormalVector, Spacing Between Slices (0018,0088) apart; Siemens writes the
distance of slice centres there. The CSA protocol, which holds the position of every slice, agrees in real files.
"""

from __future__ import annotations

import math

import numpy as np
from pydicom import Dataset

from node.recognition.header import elements as read
from node.recognition.header import sheets
from node.recognition.header.facts import UNIT_TOLERANCE, Fault, Placement, TiledSlice
from node.recognition.header.placement import placement
from node.recognition.header.private import PrivateElements
from node.recognition.header.vendors import csa

_HEADER = "SIEMENS MR HEADER"


def slices(dataset: Dataset, private: PrivateElements) -> tuple[TiledSlice, ...] | Fault | None:
    """The slices of a MOSAIC sheet, or why they cannot be placed; None for an ordinary image."""
    if "MOSAIC" not in (token.upper() for token in read.texts(dataset, "ImageType")):
        return None
    count = _count(private)
    if isinstance(count, Fault):
        return count
    across = sheets.side(count)
    tiles = sheets.tiles(dataset, count, across, across)
    if isinstance(tiles, Fault):
        return tiles
    orientation = read.numbers(dataset, "ImageOrientationPatient")
    position = read.vector(dataset, "ImagePositionPatient")
    sheet = placement(dataset, position, orientation, dataset, stack="", acquired=None)
    if sheet is None:
        return sheets.fault("the sheet has no position, orientation or pixel spacing")
    step = _step(dataset, private, sheet)
    if isinstance(step, Fault):
        return step
    positions = (_first(sheet, across) + np.outer(np.arange(count), step)).tolist()
    return tuple(TiledSlice(tile, (x, y, z)) for tile, (x, y, z) in zip(tiles, positions, strict=True))


def _count(private: PrivateElements) -> int | Fault:
    """(0019,xx0A) and CSA NumberOfImagesInMosaic; where both stand they must agree."""
    stated = private.number(0x0019, _HEADER, 0x0A, "US"), csa.number(private, "NumberOfImagesInMosaic")
    counts = {int(count) for count in stated if count is not None}
    if len(counts) > 1:
        return sheets.fault(f"(0019,xx0A) says {stated[0]:g} slices, the CSA header {stated[1]:g}")
    count = next(iter(counts), 0)
    if count < 1:
        return sheets.fault("neither (0019,xx0A) nor the CSA header says how many slices are tiled in the sheet")
    return count


def _first(sheet: Placement, across: int) -> np.ndarray:
    """Position (3,) of the first slice, LPS, mm: that of the sheet, inwards by half of what it exceeds a tile."""
    excess = (1 - 1 / across) / 2
    right = np.asarray(sheet.row_direction) * sheet.spacing[1] * sheet.columns * excess
    down = np.asarray(sheet.column_direction) * sheet.spacing[0] * sheet.rows * excess
    return np.asarray(sheet.position) + right + down


def _step(dataset: Dataset, private: PrivateElements, sheet: Placement) -> np.ndarray | Fault:
    """The vector (3,) from slice to slice, LPS, mm: along the normal, on the side of the CSA SliceNormalVector."""
    stated = csa.numbers(private, "SliceNormalVector")
    if len(stated) != 3:
        return sheets.fault("no CSA SliceNormalVector says in which direction the slices of the sheet follow")
    normal = np.asarray(sheet.normal)
    along = float(normal @ stated)
    if abs(abs(along) - 1) > UNIT_TOLERANCE:
        return sheets.fault(f"the CSA SliceNormalVector is not perpendicular to the image (product {along:.4f})")
    spacing_mm = read.number(dataset, "SpacingBetweenSlices")
    if not spacing_mm or spacing_mm < 0:
        return sheets.fault("no Spacing Between Slices says how far the slices of the sheet lie apart")
    return normal * math.copysign(spacing_mm, along)
