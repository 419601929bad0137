"""The pixels of a chosen stack as a volume, in the scanner's own intensities.

Stored values become displayed values slice by slice (Rescale Slope and Intercept; Philips changes them from
slice to slice). ADC maps are brought to 10⁻⁶ mm²/s and checked against physics. What the pixels reveal ends as a
`Refusal` with a code; the study can then be planned again without that stack.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array

from node.errors import Refusal
from node.recognition.elements import MALFORMED, item, number, text
from node.recognition.facts import Tile
from node.recognition.files import read_dataset
from node.recognition.record import FrameRef, Stack
from node.settings import Role

# Medians over tissue of diffusion coefficients, 10⁻⁶ mm²/s; free water at 37 °C has 3000.
ADC_MEDIAN_RANGE = (300.0, 4000.0)
ADC_LARGEST = 10_000.0
ADC_LARGEST_SHARE = 0.05
LARGEST_VOLUME = 2**27
"""Voxels, 0.5 GB: a compressed image of 64 kilobytes can claim a hundred times as many."""
_ADC_UNITS = {"mm2/s": 1e6, "um2/s": 1.0, "10-6.mm2/s": 1.0, "10*-6.mm2/s": 1.0, "10-3.mm2/s": 1e3}
_UNDECODABLE = (*MALFORMED, RuntimeError, InvalidDicomError, zlib.error, MemoryError)


def assemble(stack: Stack) -> sitk.Image:
    """The volume of a stack.

    Returns:
        float32, LPS, mm: index x along `row_direction`, y along `column_direction`, z along `normal`.

    Raises:
        Refusal: E-DECODE (pixels cannot be decoded, or are too many), E-MIXED-MATRIX, E-RESCALE (impossible rescale
            values), or E-ADC-UNITS (an ADC map outside physics).
    """
    shape = len(stack.frames), stack.rows, stack.columns
    if math.prod(shape) > LARGEST_VOLUME:
        raise Refusal("E-DECODE", f"{stack.frames[0].sop_instance_uid}: a volume of {shape} voxels is not decoded")
    volume = np.empty(shape, dtype=np.float32)
    for index, pixels in _slices(stack):
        if pixels.shape != (stack.rows, stack.columns):
            raise Refusal(
                "E-MIXED-MATRIX",
                f"{stack.frames[index].sop_instance_uid}: {pixels.shape} pixels, expected {volume.shape[1:]}",
            )
        volume[index] = pixels
    return _image(_diffusivity(volume, stack) if stack.role is Role.ADC else volume, stack)


def _slices(stack: Stack) -> Iterator[tuple[int, np.ndarray]]:
    """Displayed values of each slice; every file is opened once, and a sheet decoded once for all its tiles."""
    by_path: dict[Path, list[tuple[int, FrameRef]]] = defaultdict(list)
    for index, reference in enumerate(stack.frames):
        by_path[reference.path].append((index, reference))
    for path, references in by_path.items():
        dataset = _read(path, references[0][1])
        for _, same in groupby(references, key=lambda entry: entry[1].frame):
            slices = list(same)
            displayed = _displayed(dataset, slices[0][1], stack.role)
            for index, reference in slices:
                yield index, _slice(displayed, reference.tile)


def _slice(displayed: np.ndarray, tile: Tile | None) -> np.ndarray:
    if tile is None:
        return displayed
    return displayed[tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns]


def _read(path: Path, reference: FrameRef) -> Dataset:
    try:
        return read_dataset(path)
    except _UNDECODABLE as error:
        raise Refusal("E-DECODE", f"{reference.sop_instance_uid}: cannot be read: {error}") from error


def _displayed(dataset: Dataset, reference: FrameRef, role: Role) -> np.ndarray:
    stored = _stored(dataset, reference)
    transformation = _functional_group(dataset, reference, "PixelValueTransformationSequence")
    slope, intercept = _rescale(transformation if transformation else dataset, reference)
    mapping = _real_world_mapping(dataset, reference) if role is Role.ADC else None
    if mapping is not None:
        slope, intercept = mapping
    return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _stored(dataset: Dataset, reference: FrameRef) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pixel_array(dataset, index=reference.frame)
    except _UNDECODABLE as error:
        syntax = getattr(dataset.file_meta, "TransferSyntaxUID", "missing")
        raise Refusal(
            "E-DECODE", f"{reference.sop_instance_uid}: pixels in transfer syntax {syntax} cannot be decoded: {error}"
        ) from error


def _functional_group(dataset: Dataset, reference: FrameRef, keyword: str) -> Dataset:
    """The per-frame or shared functional group of a frame; empty for a classic instance."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[reference.frame] if reference.frame < len(per_frame) else Dataset()
    return item(own if keyword in own else item(dataset, "SharedFunctionalGroupsSequence"), keyword)


def _rescale(dataset: Dataset, reference: FrameRef) -> tuple[float, float]:
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if ("RescaleSlope" in dataset and slope is None) or (slope is not None and slope <= 0):
        raise Refusal("E-RESCALE", f"{reference.sop_instance_uid}: Rescale Slope is {dataset.get('RescaleSlope')!r}")
    return (1.0 if slope is None else slope), intercept or 0.0


def _real_world_mapping(dataset: Dataset, reference: FrameRef) -> tuple[float, float] | None:
    """Slope and intercept to 10⁻⁶ mm²/s where Real World Value Mapping (0040,9096) states a unit of diffusivity."""
    mapping = _functional_group(dataset, reference, "RealWorldValueMappingSequence") or item(
        dataset, "RealWorldValueMappingSequence"
    )
    factor = _ADC_UNITS.get(text(item(mapping, "MeasurementUnitsCodeSequence"), "CodeValue"))
    slope = number(mapping, "RealWorldValueSlope")
    if factor is None or slope is None:
        return None
    return slope * factor, (number(mapping, "RealWorldValueIntercept") or 0.0) * factor


def _diffusivity(volume: np.ndarray, stack: Stack) -> np.ndarray:
    """Values in 10⁻⁶ mm²/s; a map in mm²/s is recognised by its median, six orders of magnitude below."""
    inside = volume[volume > 0]
    median = float(np.median(inside)) if inside.size else math.nan
    scale = 1e6 if ADC_MEDIAN_RANGE[0] <= median * 1e6 <= ADC_MEDIAN_RANGE[1] else 1.0
    scaled = volume * np.float32(scale)
    too_large = float((scaled > ADC_LARGEST).mean())
    if not ADC_MEDIAN_RANGE[0] <= median * scale <= ADC_MEDIAN_RANGE[1] or too_large > ADC_LARGEST_SHARE:
        raise Refusal(
            "E-ADC-UNITS",
            f"series {stack.series_instance_uid}: median {median:.4g} and {too_large:.0%} above {ADC_LARGEST:g}, which "
            f"are no diffusion coefficients in 10^-6 mm²/s",
        )
    return scaled


def _image(volume: np.ndarray, stack: Stack) -> sitk.Image:
    image = sitk.GetImageFromArray(volume)
    between_rows, between_columns = stack.pixel_spacing
    image.SetSpacing((between_columns, between_rows, stack.slice_step_mm))
    image.SetOrigin(stack.origin)
    axes = (stack.row_direction, stack.column_direction, stack.normal)
    image.SetDirection([axes[column][row] for row in range(3) for column in range(3)])
    return image
