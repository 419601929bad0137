"""Sheets: the slices of a volume tiled in one image, row by row (Siemens MOSAIC, UIH VFRAME).

What differs between vendors, how many tiles a row has and where each slice lies, is in `vendors`.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pydicom import Dataset

from node.codes import Code
from node.recognition.header import elements as read
from node.recognition.header.facts import Fault, FrameFacts, Tile, TiledSlice
from node.recognition.header.placement import acquired_matrix, placement


def fault(reason: str) -> Fault:
    """Why the slices of a sheet cannot be told apart or placed."""
    return Fault(Code.GRID_GEOM, reason)


def side(count: int) -> int:
    """Tiles along one side of the smallest square that holds `count`, which is at least 1."""
    return math.isqrt(count - 1) + 1


def tiles(dataset: Dataset, count: int, across: int, down: int) -> tuple[Tile, ...] | Fault:
    """The first `count` of `across` x `down` equal parts of an image, row by row."""
    rows, columns = read.integer(dataset, "Rows") or 0, read.integer(dataset, "Columns") or 0
    height, width = rows // down, columns // across
    if not height or not width or rows % down or columns % across:
        return fault(f"{rows} rows and {columns} columns do not divide into {down} x {across} tiles for {count} slices")
    return tuple(Tile(index // across * height, index % across * width, height, width) for index in range(count))


def frames(dataset: Dataset, sheet: FrameFacts, slices: tuple[TiledSlice, ...], stack: str) -> tuple[FrameFacts, ...]:
    """One set of facts a slice; `sheet` holds what is true of them all."""
    return tuple(_frame(dataset, sheet, each, stack) for each in slices)


def _frame(dataset: Dataset, sheet: FrameFacts, each: TiledSlice, stack: str) -> FrameFacts:
    orientation = read.numbers(dataset, "ImageOrientationPatient")
    placed = placement(dataset, each.position, orientation, dataset, stack, acquired_matrix(dataset))
    acquired_s = sheet.timing.acquisition_s if each.acquired_s is None else each.acquired_s
    return replace(
        sheet,
        tile=each.tile,
        placement=placed and replace(placed, rows=each.tile.rows, columns=each.tile.columns),
        timing=replace(sheet.timing, acquisition_s=acquired_s),
    )
