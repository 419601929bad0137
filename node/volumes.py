"""The pixels of a chosen stack as a volume, in the scanner's own intensities.

What stored values mean is in `stored_values`; here they are put where the stack says. ADC maps are brought to
10⁻⁶ mm²/s and checked against physics. What the pixels reveal ends as a `Refusal` with a code; the study can then be
planned again without that stack.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from pydicom import Dataset

from models import interruption
from models.sequence import Sequence
from models.volume import Grid, image_from
from node.codes import Code
from node.errors import Refusal, told
from node.failure import pass_on
from node.recognition.header.facts import Tile
from node.recognition.header.files import DAMAGE
from node.recognition.record import FrameRef, Stack
from node.stored_values.cells import UNDECODABLE, read_cells
from node.stored_values.scale import ScaleFacts, common_scale, scale_facts
from storage.dicom_files import read_dataset

# Medians over tissue of diffusion coefficients, 10⁻⁶ mm²/s; free water at 37 °C has 3000.
ADC_MEDIAN_RANGE = (300.0, 4000.0)
ADC_LARGEST = 10_000.0
ADC_LARGEST_SHARE = 0.05
LARGEST_VOLUME = 2**27
"""Voxels, 0.5 GB: a compressed image of 64 kilobytes can claim a hundred times as many."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A volume, as `assemble` gives it, and what a reader should know of how its values came about."""

    image: sitk.Image
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Slice:
    """The scale of a slice, and what was found beside its values; see `stored_values.Cells`."""

    scale: ScaleFacts
    inverted: bool
    foreign_bits: bool
    lossy: str


def assemble(stack: Stack) -> sitk.Image:
    """The volume of a stack.

    Returns:
        float32, LPS, mm: index x along `row_direction`, y along `column_direction`, z along `normal`. Padding has the
        least real value of the image or 0, whichever is less: 0 is air in MR, and no tissue lies below.

    Raises:
        Refusal: E-DECODE (pixels cannot be decoded, or are too many), E-MIXED-MATRIX, what `stored_values` refuses,
            E-NOT-FINITE, E-CONSTANT (all voxels have one value) or E-ADC-UNITS (an ADC map outside physics).
        OSError, MemoryError: a file is gone, or this machine cannot read it now.
    """
    return assembled(stack).image


def assembled(stack: Stack) -> Assembled:
    """The volume of a stack with remarks on it; raises what `assemble` raises."""
    shape = len(stack.frames), stack.rows, stack.columns
    if math.prod(shape) > LARGEST_VOLUME:
        raise Refusal(Code.DECODE, f"{stack.series}: a volume of {shape} voxels is not decoded")
    volume, padding = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.bool_)
    slices = _read_slices(stack, volume, padding)
    scales = common_scale([each.scale for each in slices], diffusivity=stack.role is Sequence.ADC)
    with np.errstate(over="ignore"):  # found by the check that follows
        for values, scale in zip(volume, scales, strict=True):
            values[:] = values.astype(np.float64) * scale.slope + scale.intercept
    image = volume[~padding]
    if not np.isfinite(image).all():
        raise Refusal(Code.NOT_FINITE, f"{stack.series}: real values beyond any number")
    volume[padding] = image.min(initial=0.0)
    if stack.role is Sequence.ADC:
        volume = _diffusivity(volume, stack)
    if not image.size or image.min() == image.max():
        raise Refusal(Code.CONSTANT, f"{stack.series}: all values of the image are the same")
    return Assembled(_image(volume, stack), _remarks(slices))


def _read_slices(stack: Stack, volume: npt.NDArray[np.float32], padding: npt.NDArray[np.bool_]) -> list[_Slice]:
    """Fill in the stored values of every slice and where it is padding; both (slices, rows, columns).

    Every file is opened once, and a sheet decoded once for all its tiles.
    """
    found: dict[int, _Slice] = {}
    by_path: dict[Path, list[tuple[int, FrameRef]]] = defaultdict(list)
    for index, reference in enumerate(stack.frames):
        by_path[reference.path].append((index, reference))
    for path, references in by_path.items():
        interruption.check()
        name = f"{stack.series}, instance {references[0][1].sop_instance_uid}"
        dataset = _read(path, name)
        for frame, same in groupby(references, key=lambda entry: entry[1].frame):
            cells = read_cells(dataset, frame, name)
            if cells.inverted and stack.role is Sequence.ADC:
                reason = "a map that is stored inverted does not say which of its values are diffusion coefficients"
                raise Refusal(Code.PHOTOMETRIC, f"{name}: {reason}")
            scale = scale_facts(dataset, frame, name, cells.as_stored)
            for index, reference in same:
                values = _part(cells.values, reference.tile)
                if values.shape != volume.shape[1:]:
                    raise Refusal(Code.MIXED_MATRIX, f"{name}: {values.shape} pixels, expected {volume.shape[1:]}")
                volume[index], padding[index] = values, _part(cells.padding, reference.tile)
                found[index] = _Slice(scale, cells.inverted, cells.foreign_bits, cells.lossy)
    return [found[index] for index in sorted(found)]


def _part(image: np.ndarray, tile: Tile | None) -> np.ndarray:
    """The rows and columns of a slice in an image (rows, columns); the whole image without a tile."""
    if tile is None:
        return image
    return image[tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns]


def _read(path: Path, name: str) -> Dataset:
    try:
        return read_dataset(path)
    except UNDECODABLE as error:
        pass_on(error)
        raise Refusal(Code.DECODE, f"{name}: {told(error, DAMAGE)}") from error


def _remarks(slices: SequenceOf[_Slice]) -> tuple[str, ...]:
    def count(found: int) -> str:
        return "the images are" if found == len(slices) else f"{found} of {len(slices)} images are"

    inverted, foreign = sum(each.inverted for each in slices), sum(each.foreign_bits for each in slices)
    remarks = []
    if inverted:
        remarks.append(
            f"{count(inverted)} stored inverted (MONOCHROME1 or Presentation LUT Shape INVERSE); they were turned "
            f"back, and the results are MONOCHROME2"
        )
    if foreign:
        remarks.append(
            f"{count(foreign)} stored with bits set beside those of their values (an old overlay, or a wrong Bits "
            f"Stored), which were left out"
        )
    lossy = [each.lossy for each in slices if each.lossy]
    if lossy:
        methods = ", ".join(sorted(set(lossy)))
        remarks.append(
            f"{count(len(lossy))} changed by lossy compression ({methods}): what is measured in them can differ from "
            f"what the scanner showed"
        )
    return tuple(remarks)


def _diffusivity(volume: np.ndarray, stack: Stack) -> np.ndarray:
    """A map (slices, rows, columns) in 10⁻⁶ mm²/s; one in mm²/s is told by its median, a millionth of that."""
    inside = volume[volume > 0]
    median = float(np.median(inside)) if inside.size else math.nan
    scale = 1e6 if ADC_MEDIAN_RANGE[0] <= median * 1e6 <= ADC_MEDIAN_RANGE[1] else 1.0
    scaled = volume * np.float32(scale)
    too_large = float((scaled > ADC_LARGEST).mean())
    if not ADC_MEDIAN_RANGE[0] <= median * scale <= ADC_MEDIAN_RANGE[1] or too_large > ADC_LARGEST_SHARE:
        raise Refusal(
            Code.ADC_UNITS,
            f"{stack.series}: median {median:.4g} and {too_large:.0%} above {ADC_LARGEST:g}, which "
            f"are no diffusion coefficients in 10^-6 mm²/s",
        )
    return scaled


def _image(volume: np.ndarray, stack: Stack) -> sitk.Image:
    """The image of an array (slices, rows, columns) on the geometry of its stack; LPS, mm."""
    between_rows, between_columns = stack.pixel_spacing
    axes = (stack.row_direction, stack.column_direction, stack.normal)
    grid = Grid(
        size=(stack.columns, stack.rows, len(volume)),
        spacing=(between_columns, between_rows, stack.slice_step_mm),
        origin=stack.origin,
        direction=tuple(axes[column][row] for row in range(3) for column in range(3)),
    )
    return image_from(volume, grid)
