"""Baselines of intensity and size alone, which a network and a radiomics model have to beat clearly.

All take and give `SimpleITK.Image`; masks are uint8 on the grid of their image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from models.errors import ModelError
from models.volume import grid_of, image_from

BINS = 60
LOWEST, HIGHEST = -2.0, 6.0
"""Range of standardised intensities that a band may span."""
REGION_HALF_X_MM = 45.0
REGION_FRONT_MM, REGION_BACK_MM = 20.0, 65.0
"""Rectal region of an axial stack: so far to either side of its centre, in front of it and behind it."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class IntensityBand:
    """Standardised intensities (mean 0, standard deviation 1 in the rectal region) from `low` to below `high`."""

    low: float
    high: float


def fit_band(images: Sequence[sitk.Image], masks: Sequence[sitk.Image]) -> IntensityBand:
    """The band with the best mean Dice over training cases, of all pairs of `BINS` evenly spaced limits.

    One limit at the end of the range makes it a plain threshold. Cases without a tumour are left out. Raises
    `ModelError` when none is left.
    """
    edges = np.linspace(LOWEST, HIGHEST, BINS + 1)
    total = np.zeros((BINS + 1, BINS + 1))
    used = 0
    for image, mask in zip(images, masks, strict=True):
        inside = sitk.GetArrayViewFromImage(mask) > 0
        if not inside.any():
            continue
        values = np.clip(_standardised(image), LOWEST, HIGHEST - 1e-6)
        everywhere, tumour = (
            np.concatenate([[0], np.cumsum(np.histogram(part, edges)[0])]) for part in (values, values[inside])
        )
        found = tumour[None, :] - tumour[:, None]
        total += 2 * found / (everywhere[None, :] - everywhere[:, None] + tumour[-1]).clip(1)
        used += 1
    if not used:
        raise ModelError(f"none of {len(images)} cases has a tumour to fit an intensity band to")
    low, high = max(combinations(range(BINS + 1), 2), key=lambda limits: total[limits])
    return IntensityBand(float(edges[low]), float(edges[high]))


def within_band(image: sitk.Image, band: IntensityBand) -> sitk.Image:
    """Every voxel whose intensity lies in the band; the range's ends are open."""
    return image_from(_within(image, band).astype(np.uint8), grid_of(image))


def largest_wall_component(image: sitk.Image, band: IntensityBand) -> sitk.Image:
    """The largest connected piece of the band in the rectal region, after an opening by one pixel in plane."""
    candidates = image_from((_within(image, band) & rectal_region(image)).astype(np.uint8), grid_of(image))
    opened = sitk.BinaryMorphologicalOpening(candidates, [1, 1, 0])
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(opened))
    return sitk.Cast(pieces == 1, sitk.sitkUInt8)


def rectal_region(image: sitk.Image) -> Mask:
    """Where an axial stack planned on the rectum shows it (z, y, x): a box around and behind the centre."""
    columns, rows, slices = image.GetSize()
    x_mm, y_mm, _ = image.GetSpacing()
    x = (np.arange(columns) - (columns - 1) / 2) * x_mm
    y = (np.arange(rows) - (rows - 1) / 2) * y_mm
    plane = ((y >= -REGION_FRONT_MM) & (y <= REGION_BACK_MM))[:, None] & (np.abs(x) <= REGION_HALF_X_MM)[None, :]
    return np.broadcast_to(plane, (slices, rows, columns))


def ellipsoid_volume_ml(mask: sitk.Image) -> float:
    """Volume as a reader estimates it from three diameters: pi/6 times the edges of the tightest turned box, ml."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeOrientedBoundingBoxOn()
    shape.Execute(sitk.Cast(mask > 0, sitk.sitkUInt8))
    if not shape.HasLabel(1):
        return 0.0
    return float(np.pi / 6 * np.prod(shape.GetOrientedBoundingBoxSize(1)) / 1000)


def _standardised(image: sitk.Image) -> npt.NDArray[np.float32]:
    """Intensities (z, y, x) standardised by mean and deviation of the rectal region."""
    array = sitk.GetArrayFromImage(image).astype(np.float32)
    reference = array[rectal_region(image)]
    return (array - reference.mean()) / max(float(reference.std()), 1e-6)


def _within(image: sitk.Image, band: IntensityBand) -> Mask:
    values = np.clip(_standardised(image), LOWEST, HIGHEST - 1e-6)
    return (values >= band.low) & (values < band.high)
