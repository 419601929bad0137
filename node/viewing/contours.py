"""The outlines of a segmentation object in patient coordinates (PS3.3 C.8.20): binary, fractional and label map."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from node.dicom.codestream import read_codestream
from node.errors import PermanentError, TransientError, told
from node.failure import pass_on
from node.recognition.header.files import DAMAGE
from node.results.contours import borders
from node.stored_values.cells import UNDECODABLE
from node.viewing.lattice import Lattice, Plane, Vector
from storage.dicom_files import read_dataset

LARGEST_MASK = 2**27
"""Voxels of a segmentation that is drawn, and bytes into which it is decoded."""

_BITS = frozenset({1, 8, 16})
_HEAD = 2**16
"""Bytes of a coded frame beside its pixels."""

_ON_GRID = 0.1
"""How far a frame may lie from the grid that the frames make, in slices."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SegmentationMask:
    """What one of the segments covers, all of them together; slices × rows × columns of the lattice."""

    lattice: Lattice
    mask: Mask


@dataclass(frozen=True, slots=True)
class _Placed:
    """Where the frames of a segmentation object lie: in which slice of its grid each of them is."""

    lattice: Lattice
    slots: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class SliceContour:
    """The outline in one slice: `path` is the data of an SVG path, in the coordinates of the plane, mm."""

    position: float
    path: str


def read_grid(path: Path) -> Lattice:
    """The grid of a segmentation object, from its header; raises as `read_segmentation`."""
    with _drawable():
        return _placed(read_dataset(path, stop_before_pixels=True)).lattice


def read_segmentation(path: Path, segments: Collection[int] | None = None) -> SegmentationMask:
    """Read a segmentation object; all its segments together, or those with these numbers.

    Raises:
        PermanentError: it cannot be read, is too large, or its frames do not lie on one grid.
        TransientError: memory is short.
    """
    with _drawable():
        return _mask(read_dataset(path), segments)


@contextmanager
def _drawable() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise TransientError("the segmentation cannot be drawn: memory is short, try again later") from error
    except UNDECODABLE as error:
        pass_on(error)
        raise PermanentError(f"the segmentation cannot be drawn: {told(error, DAMAGE)}") from error


def contours(found: SegmentationMask, plane: Plane) -> list[SliceContour]:
    """The outlines in the slices of a plane of the segmentation's own lattice; slices without any are left out."""
    across, down = plane.width / plane.columns, plane.height / plane.rows
    drawn = []
    for index in range(plane.slices):
        mask = plane.cut(found.mask, index)
        if mask.any():
            lines = borders(mask)
            path = "".join(_path(line * (across, down) + (plane.left, plane.top)) for line in lines)
            drawn.append(SliceContour(round(plane.position(index), 4), path))
    return drawn


def _path(line: npt.NDArray[np.float64]) -> str:
    points = " ".join(f"{x:.3f},{y:.3f}" for x, y in line[:-1].tolist())
    return f"M{points}Z"


def _mask(dataset: Dataset, segments: Collection[int] | None) -> SegmentationMask:
    placed = _placed(dataset)
    columns, rows, slices = placed.lattice.size
    _require_decodable(dataset, len(placed.slots), rows * columns)
    mask = np.zeros((slices, rows, columns), np.bool_)
    frames = _inside(dataset, (len(placed.slots), rows, columns), segments)
    for slot, inside in zip(placed.slots, frames, strict=True):
        mask[slot] |= inside
    return SegmentationMask(placed.lattice, mask)


def _placed(dataset: Dataset) -> _Placed:
    groups = list(_groups(dataset))
    if not groups:
        raise PermanentError("the segmentation has no frame")
    orientation = np.asarray(_first(groups, "PlaneOrientationSequence").ImageOrientationPatient, float)
    row, column = orientation[:3], orientation[3:]
    normal = np.cross(row, column)
    positions = np.asarray([_of(each, "PlanePositionSequence").ImagePositionPatient for each in groups], float)
    measures = _first(groups, "PixelMeasuresSequence")
    along = positions @ normal
    step = _step(along, measures)
    slots = np.rint((along - along.min()) / step).astype(np.intp)
    apart = positions - (positions[along.argmin()] + np.outer(slots * step, normal))
    if np.abs(apart).max() > max(_ON_GRID * step, 0.01):
        raise PermanentError("the frames of the segmentation do not lie on one grid")
    rows, columns, slices = int(dataset.Rows), int(dataset.Columns), int(slots.max()) + 1
    if rows * columns * max(slices, len(groups)) > LARGEST_MASK:
        raise PermanentError(f"a segmentation of {slices} × {rows} × {columns} voxels is not drawn")
    rows_apart, columns_apart = (float(value) for value in measures.PixelSpacing)
    lattice = Lattice(
        origin=_vector(positions[along.argmin()]),
        axes=(_vector(row), _vector(column), _vector(normal)),
        spacing=(columns_apart, rows_apart, step),
        size=(columns, rows, slices),
        frame_of_reference_uid=str(dataset.get("FrameOfReferenceUID", "")),
    )
    return _Placed(lattice, slots)


def _groups(dataset: Dataset) -> Iterator[tuple[Dataset, ...]]:
    """For each frame the items in which its functional groups may stand, its own first."""
    shared = tuple(dataset.get("SharedFunctionalGroupsSequence") or ())
    for own in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        yield (own, *shared)


def _of(groups: tuple[Dataset, ...], keyword: str) -> Dataset:
    found = [it[keyword].value[0] for it in groups if it.get(keyword)]
    if not found:
        raise PermanentError(f"the segmentation cannot be drawn: {keyword} is missing")
    return found[0]


def _first(groups: list[tuple[Dataset, ...]], keyword: str) -> Dataset:
    return _of(groups[0], keyword)


def _step(along: npt.NDArray[np.float64], measures: Dataset) -> float:
    """Between neighbouring slices: what the object states, else the least distance of its frames."""
    apart = np.diff(np.unique(np.round(along, 3)))
    stated = float(measures.get("SpacingBetweenSlices") or 0)
    return stated or (float(apart.min()) if len(apart) else float(measures.get("SliceThickness") or 1))


def _inside(dataset: Dataset, shape: tuple[int, int, int], segments: Collection[int] | None) -> Mask:
    """Where each frame marks a segment, any or these (frames, rows, columns); of fractions those of a half and more."""
    kind = str(dataset.get("SegmentationType", ""))
    pixels = pixel_array(dataset).reshape(shape)
    if kind == "LABELMAP" and segments is not None:
        of_labels: Mask = np.isin(pixels, list(segments))
        return of_labels
    inside: Mask = pixels >= (float(dataset.MaximumFractionalValue) / 2 if kind == "FRACTIONAL" else 0.5)
    if segments is not None:
        numbers = [_of(groups, "SegmentIdentificationSequence").ReferencedSegmentNumber for groups in _groups(dataset)]
        inside[~np.isin(numbers, list(segments))] = False
    return inside


def _require_decodable(dataset: Dataset, frames: int, pixels: int) -> None:
    """What comes out of the decoder is what the grid has room for; looked at before anything is decoded.

    Raises:
        PermanentError: it is not.
    """
    stated, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.BitsAllocated)
    if stated != frames:
        raise PermanentError(f"the segmentation states {stated} frames and describes {frames}")
    if samples != 1 or bits not in _BITS:
        raise PermanentError(f"a segmentation of {samples} samples of {bits} bits a pixel is not drawn")
    cell = max(bits // 8, 1)
    if frames * pixels * cell > LARGEST_MASK:
        raise PermanentError(f"a segmentation of {frames * pixels * cell} bytes is not drawn")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not syntax.is_encapsulated:
        return
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        coded = read_codestream(frame)
        if coded is not None and not 0 < coded.samples <= pixels:
            raise PermanentError(f"the segmentation codes {coded.rows} × {coded.columns} pixels in a frame of {pixels}")
        # Run lengths at their worst take little more than the cells themselves; beyond that they are of nothing.
        if (coded is None and syntax != RLELossless) or len(frame) > 2 * pixels * cell + _HEAD:
            raise PermanentError(f"frames of the segmentation are not coded as transfer syntax {syntax} says")


def _vector(values: npt.NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
