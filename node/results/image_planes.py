"""The slices of a volume in the terms of the Image Plane module (PS3.3 C.7.6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from node.errors import PermanentError
from node.results.source import SourceFrame

#: How far a voxel may lie from where its source image says, in parts of a voxel along each axis. Scanners place slices
#: with some jitter, which a regular grid evens out; half a voxel, the usual mistake of resampling, must not pass.
TOLERANCE = 0.4
_PLACE = ("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")


@dataclass(frozen=True, slots=True)
class ImagePlanes:
    """Slices of a volume as images.

    Attributes:
        orientation: direction cosines of a row, then of a column (LPS).
        pixel_spacing: between rows, between columns (mm).
        step_mm: centre to centre of neighbouring slices.
        positions: centre of the first transmitted voxel of each slice (LPS, mm).
    """

    rows: int
    columns: int
    orientation: tuple[float, ...]
    pixel_spacing: tuple[float, float]
    step_mm: float
    positions: tuple[tuple[float, ...], ...]

    def location(self, index: int) -> float:
        """Distance of a slice from the origin of patient space along the row × column normal, mm."""
        normal = np.cross(self.orientation[:3], self.orientation[3:])
        return float(np.dot(normal, self.positions[index]))


def planes_of(image: sitk.Image) -> ImagePlanes:
    """The planes of an image, slice by slice along its third index."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    spacing = image.GetSpacing()
    columns, rows, slices = image.GetSize()
    return ImagePlanes(
        rows=rows,
        columns=columns,
        orientation=tuple(map(float, (*direction[:, 0], *direction[:, 1]))),
        pixel_spacing=(float(spacing[1]), float(spacing[0])),
        step_mm=float(spacing[2]),
        positions=tuple(tuple(image.TransformIndexToPhysicalPoint((0, 0, k))) for k in range(slices)),
    )


def require_same_place(image: sitk.Image, frames: Sequence[SourceFrame]) -> None:
    """Check in patient coordinates that slice k of an image lies on frame k.

    Raises:
        PermanentError: count, matrix, or the place of a corner voxel differs, so that a result would be drawn
            elsewhere; or a source does not say where it lies.
    """
    planes = planes_of(image)
    for frame in frames:
        missing = [keyword for keyword in _PLACE if not frame.header.get(keyword)]
        if missing:
            raise PermanentError(f"instance {frame.sop_instance_uid}: no usable {', '.join(missing)}")
    if len(planes.positions) != len(frames):
        raise PermanentError(
            f"series {frames[0].series_instance_uid}: {len(frames)} source images for {len(planes.positions)} slices"
        )
    for index, frame in enumerate(frames):
        header = frame.header
        if (header.Rows, header.Columns) != (planes.rows, planes.columns):
            raise PermanentError(
                f"instance {frame.sop_instance_uid}: matrix {header.Rows}x{header.Columns}, "
                f"result {planes.rows}x{planes.columns}"
            )
        for corner in ((0, 0), (planes.columns - 1, 0), (0, planes.rows - 1)):
            found = image.TransformPhysicalPointToContinuousIndex(_centre(frame, *corner).tolist())
            offset = np.abs(np.subtract(found, (*corner, index))).max()
            if offset > TOLERANCE:
                raise PermanentError(
                    f"instance {frame.sop_instance_uid}: slice {index} of the result lies {offset:.2f} voxels away"
                )


def _centre(frame: SourceFrame, column: int, row: int) -> np.ndarray:
    """The centre (3,) of a voxel, LPS, mm; equation C.7.6.2.1-1."""
    header = frame.header
    orientation = np.asarray(header.ImageOrientationPatient, float)
    spacing = np.asarray(header.PixelSpacing, float)
    return (
        np.asarray(header.ImagePositionPatient, float)
        + orientation[:3] * spacing[1] * column
        + orientation[3:] * spacing[0] * row
    )
