"""What happens to image and mask before pyradiomics sees them: geometry check, scaling, crop."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from models.errors import VolumeError
from models.radiomics.settings import RadiomicsSettings

GEOMETRY_TOLERANCE_MM = 1e-3


def prepare(image: sitk.Image, mask: sitk.Image, settings: RadiomicsSettings) -> tuple[sitk.Image, sitk.Image]:
    """Scaled float32 image and 0/1 uint8 mask on exactly one grid, cropped along axes that are not resampled.

    A plain pyradiomics call on the two with `settings.pyradiomics()` gives the values of `extract`. Axes that
    are resampled stay whole: pyradiomics aligns its grid to the corner of the image, a crop would move it.
    Raises `VolumeError` when the grids differ by more than a micrometre or the mask is empty.
    """
    binary = sitk.Cast(mask > 0, sitk.sitkUInt8)
    require_same_grid(image, binary)
    # pyradiomics accepts 1e-6 mm at most, and its own tolerance setting changes ITK for the whole process.
    binary.CopyInformation(image)
    lower, upper = _bounding_box(binary)
    scaled = sitk.Cast(image, sitk.sitkFloat32)
    if settings.surroundings_mm is not None:
        scaled = _scaled(scaled, binary, lower, upper, settings.surroundings_mm, settings.scale)
    first, last = _kept(lower, upper, image, settings)
    return _cut(scaled, first, last), _cut(binary, first, last)


def require_same_grid(image: sitk.Image, mask: sitk.Image) -> None:
    """Raise `VolumeError` unless size, origin, spacing and direction agree within the tolerance."""
    if image.GetSize() != mask.GetSize():
        raise VolumeError(f"mask has size {mask.GetSize()}, its image {image.GetSize()}")
    last = [size - 1 for size in image.GetSize()]
    for index in ([0, 0, 0], last):
        here = image.TransformIndexToPhysicalPoint(index)
        there = mask.TransformIndexToPhysicalPoint(index)
        distance = float(np.linalg.norm(np.subtract(here, there)))
        if distance > GEOMETRY_TOLERANCE_MM:
            raise VolumeError(f"mask and image are {distance:.3g} mm apart at voxel {tuple(index)}")


def _bounding_box(mask: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputePerimeterOff()
    statistics.Execute(mask)
    if not statistics.HasLabel(1):
        raise VolumeError("the mask is empty")
    box = np.array(statistics.GetBoundingBox(1))
    return box[:3], box[:3] + box[3:] - 1


def _scaled(
    image: sitk.Image, mask: sitk.Image, lower: np.ndarray, upper: np.ndarray, margin_mm: float, scale: float
) -> sitk.Image:
    """Median 0 and interquartile range `scale` in the box around the tumour, the tumour itself left out.

    Quartiles, because the box may hold gas (0) and urine (very bright).
    """
    margin = np.ceil(margin_mm / np.array(image.GetSpacing())).astype(int)
    first = np.maximum(lower - margin, 0)
    last = np.minimum(upper + margin, np.array(image.GetSize()) - 1)
    values = sitk.GetArrayFromImage(_cut(image, first, last))
    outside = sitk.GetArrayFromImage(_cut(mask, first, last)) == 0
    around = values[outside] if outside.any() else values.ravel()
    if not np.isfinite(around).all():
        raise VolumeError("the image has values that are not finite around the tumour")
    low, centre, high = (float(value) for value in np.percentile(around, (25, 50, 75)))
    width = high - low if high > low else 1.0
    return (image - centre) * (scale / width)


def _kept(
    lower: np.ndarray, upper: np.ndarray, image: sitk.Image, settings: RadiomicsSettings
) -> tuple[np.ndarray, np.ndarray]:
    size = np.array(image.GetSize())
    resampled = np.array(settings.resampled_spacing_mm) > 0
    pad = settings.pad_voxels + 1  # pyradiomics rounds its own padding outwards
    first = np.where(resampled, 0, np.maximum(lower - pad, 0))
    last = np.where(resampled, size - 1, np.minimum(upper + pad, size - 1))
    return first, last


def _cut(image: sitk.Image, first: np.ndarray, last: np.ndarray) -> sitk.Image:
    size = (last - first + 1).tolist()
    return sitk.RegionOfInterest(image, size, first.tolist())
