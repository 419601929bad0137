"""The slices of a volume tiled in one image, as Siemens (MOSAIC) and UIH (VFRAME) scanners store EPI volumes.

Habits read in real files: a TrioTim (syngo MR B17) and a uMR 770 (R002). Both keep the SOP class of a single image and
the Image Orientation (Patient) and Pixel Spacing of a slice; only the last row of tiles may hold empty ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy

import numpy as np
from pydicom import DataElement, Dataset

from node.simulator.elements import add_private, decimals
from node.simulator.vendors.csa import csa_header

_SIEMENS = "SIEMENS MR HEADER"
_CSA = "SIEMENS CSA HEADER"
_UIH = "Image Private Header"
_UIH_OF_SLICE = (0x0F, 0x15)
_OF_SLICE = ("AcquisitionDate", "AcquisitionTime", "AcquisitionDuration", "ImagePositionPatient", "SliceLocation")


def mosaic(slices: Sequence[Dataset]) -> Dataset:
    """The slices of one volume as a Siemens MOSAIC sheet: a square of tiles.

    Image Position (Patient) is that of a slice as large as the sheet around the centre of the first slice; how the
    others follow stands only in the CSA header, NumberOfImagesInMosaic and SliceNormalVector.

    Args:
        slices: at least two images with 16 bits a pixel, uncompressed, in the order of the tiles, which are equally
            far apart; they are not changed. The sheet takes the identifiers of the first.
    """
    side = math.isqrt(len(slices) - 1) + 1
    sheet = _sheet(slices, side, side, "MOSAIC")
    first, second = slices[0], slices[1]
    corner = _mosaic_position(first, sheet)
    sheet.ImagePositionPatient = decimals(corner.tolist())
    if "AcquisitionTime" in sheet:
        sheet.AcquisitionTime = min(str(each.AcquisitionTime) for each in slices)
    add_private(sheet, 0x0019, _SIEMENS, {0x0A: ("US", len(slices)), 0x15: ("FD", corner.tolist())})
    rows, columns = _numbers(sheet, "PixelSpacing") * (sheet.Rows, sheet.Columns)
    add_private(sheet, 0x0051, _SIEMENS, {0x0C: ("LO", f"FoV {rows:.0f}*{columns:.0f}")})
    step = np.subtract(_numbers(second, "ImagePositionPatient"), _numbers(first, "ImagePositionPatient"))
    coded: dict[str, tuple[str, Sequence[object]]] = {
        **_diffusion(sheet),
        "NumberOfImagesInMosaic": ("US", [len(slices)]),
        "SliceNormalVector": ("FD", [f"{cosine:.8f}" for cosine in step / np.linalg.norm(step)]),
    }
    add_private(sheet, 0x0029, _CSA, {0x08: ("CS", "IMAGE NUM 4"), 0x10: ("OB", csa_header(coded))})
    return sheet


def vframe(slices: Sequence[Dataset]) -> Dataset:
    """The slices of one volume as a UIH VFRAME sheet: columns of tiles as for a square, rows as many as needed.

    What differs between slices, Image Position (Patient) with it, stands in an item a slice of (0065,xx51).

    Args:
        slices: images with 16 bits a pixel, uncompressed, in the order of the tiles; they are not changed. The sheet
            takes the identifiers of the first.
    """
    across = math.isqrt(len(slices) - 1) + 1
    sheet = _sheet(slices, across, -(-len(slices) // across), "VFRAME")
    items = [_vframe_item(each) for each in slices]
    for keyword in _OF_SLICE:
        sheet.pop(keyword, None)
    sheet.NumberOfSlices = 1  # of volumes, in real files
    for element in _private(sheet, 0x0065, _UIH, _UIH_OF_SLICE).values():
        del sheet[element.tag]
    add_private(sheet, 0x0065, _UIH, {0x50: ("DS", str(len(slices))), 0x51: ("SQ", items)})
    return sheet


def _sheet(slices: Sequence[Dataset], across: int, down: int, token: str) -> Dataset:
    """The header of the first slice with the pixels of all, row by row."""
    first = slices[0]
    sheet = deepcopy(first)
    pixels = np.zeros((down, first.Rows, across, first.Columns), dtype="<u2")
    for index, each in enumerate(slices):
        plane = np.frombuffer(each.PixelData, dtype="<u2")
        pixels[index // across, :, index % across] = plane.reshape(first.Rows, first.Columns)
    sheet.ImageType = [*first.ImageType, token]
    sheet.Rows, sheet.Columns = down * first.Rows, across * first.Columns
    sheet.PixelData = pixels.tobytes()
    if "LargestImagePixelValue" in sheet:
        sheet.SmallestImagePixelValue, sheet.LargestImagePixelValue = int(pixels.min()), int(pixels.max())
    return sheet


def _mosaic_position(first: Dataset, sheet: Dataset) -> np.ndarray:
    orientation, spacing = _numbers(first, "ImageOrientationPatient"), _numbers(first, "PixelSpacing")
    right = orientation[:3] * spacing[1] * (sheet.Columns - first.Columns) / 2
    down = orientation[3:] * spacing[0] * (sheet.Rows - first.Rows) / 2
    return _numbers(first, "ImagePositionPatient") - right - down


def _diffusion(sheet: Dataset) -> dict[str, tuple[str, Sequence[object]]]:
    """What (0019,xx0C) and (0019,xx0D) say stands a second time in the CSA header."""
    names = {0x0C: ("B_value", "IS"), 0x0D: ("DiffusionDirectionality", "CS")}
    found = _private(sheet, 0x0019, _SIEMENS, names)
    return {names[offset][0]: (names[offset][1], [element.value]) for offset, element in found.items()}


def _vframe_item(each: Dataset) -> Dataset:
    item = Dataset()
    item.update({element.tag: element for element in each if element.keyword in _OF_SLICE})
    if "AcquisitionTime" in each:
        item.AcquisitionDateTime = f"{each.AcquisitionDate}{each.AcquisitionTime}"
    found = _private(each, 0x0065, _UIH, _UIH_OF_SLICE)
    add_private(item, 0x0065, _UIH, {offset: (element.VR, element.value) for offset, element in found.items()})
    return item


def _private(dataset: Dataset, group: int, creator: str, offsets: Iterable[int]) -> dict[int, DataElement]:
    """The elements of a creator's block that are there, by their offset."""
    if creator not in dataset.private_creators(group):
        return {}
    block = dataset.private_block(group, creator)
    return {offset: block[offset] for offset in offsets if offset in block}


def _numbers(dataset: Dataset, keyword: str) -> np.ndarray:
    return np.asarray(dataset[keyword].value, dtype=float)
