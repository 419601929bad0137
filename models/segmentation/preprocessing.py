"""Volumes of a study to network input: one spacing, N4 bias field correction, clipping, z-score, one central region."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pydantic
import SimpleITK as sitk

from models import interruption
from models.errors import VolumeError
from models.memory import give_back
from models.rounding import at_least, whole_nearest
from models.sequence import Sequence
from models.volume import (
    Float32,
    Grid,
    average_onto,
    check_volume,
    grid_of,
    image_from,
    resample_onto,
    settled,
    with_spacing,
)

#: Volumes that are prepared at a time. N4, which takes most of it, uses one core; more would hold more copies.
_SIDE_BY_SIDE = 2


class PreprocessingSettings(pydantic.BaseModel):
    """Kept in the manifest: serving prepares volumes exactly as training did."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    spacing_mm: tuple[float, float, float] = (2.5, 2.5, 5.0)
    """The network's grid (x, y, z)."""
    n4_spacing_mm: float = pydantic.Field(default=8.0, gt=0)
    """The bias field is fitted on voxels of about this size: it is smooth over centimetres."""
    n4_iterations: tuple[int, ...] = (25, 25, 25)
    """Iterations of each N4 fitting level."""
    clip_percentiles: tuple[float, float] = (0.5, 99.5)
    """Intensities beyond these percentiles of the central region are clipped."""
    central_region_mm: tuple[float, float] = (160.0, 180.0)
    """In-plane extent (x, y) around the centre of the field of view in which a tumour is looked for."""


def prepare_together(
    images: Mapping[Sequence, sitk.Image], order: SequenceOf[Sequence], settings: PreprocessingSettings
) -> tuple[Float32, Grid]:
    """The volumes of one study on one grid: (C, Z, Y, X), channels in `order`, and that grid.

    The grid is the central region of the first volume in `order` that is there; a volume that is missing is a channel
    of zeros, and so is what a volume does not cover. All lie in one frame of reference; motion between them stays.

    Raises VolumeError as `prepare` does, and when no image is of a sequence in `order`.
    """
    there = [sequence for sequence in order if sequence in images]
    if not there:
        raise VolumeError(f"none of {', '.join(order)} is there")
    contexts = {sequence: copy_context() for sequence in there}  # with the order to end, which holds for all of them
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as side_by_side:
        prepared = side_by_side.map(lambda it: contexts[it].run(prepare, images[it], settings), there)
        ready = dict(zip(there, prepared, strict=True))
    give_back()
    first = next(iter(ready.values()))
    _, rows, columns = central_region(first, settings)
    grid = grid_of(first[columns, rows, :])
    channels = np.zeros((len(order), *grid.size[::-1]), np.float32)
    for channel, sequence in zip(channels, order, strict=True):
        if sequence in ready:
            channel[:] = sitk.GetArrayFromImage(resample_onto(ready[sequence], grid))
    return channels, grid


def prepare(image: sitk.Image, settings: PreprocessingSettings) -> sitk.Image:
    """The normalised volume (float32, zero mean and unit variance in its middle) on the network's grid.

    Raises VolumeError when the image is not 3D, empty, not finite or too small for N4. A constant image becomes
    all zeros.
    """
    interruption.check()
    check_volume(image)
    grid = with_spacing(settled(grid_of(image)), settings.spacing_mm)
    if _is_constant(image):
        return image_from(np.zeros(grid.size[::-1], np.float32), grid)
    coarse = average_onto(image, grid)
    body = _body(coarse)
    interruption.check()
    values = sitk.GetArrayFromImage(_without_bias(coarse, body, settings))
    interruption.check()
    region = central_region(coarse, settings)
    return image_from(_standardised(values, region, settings.clip_percentiles), grid_of(coarse))


def central_region(image: sitk.Image, settings: PreprocessingSettings) -> tuple[slice, slice, slice]:
    """Slices (z, y, x) of the central region of a volume: all slices, the middle of each.

    A prior for localisation that saves most of the time: a pelvic stack is planned around the rectum or the
    prostate, so the rectum lies near the middle of the field of view, if not of the body.
    """
    columns, rows, slices = image.GetSize()
    step_x, step_y, _ = image.GetSpacing()
    width, height = settings.central_region_mm
    return slice(0, slices), _middle(rows, height / step_y), _middle(columns, width / step_x)


def _is_constant(image: sitk.Image) -> bool:
    values = sitk.GetArrayViewFromImage(image)
    return bool(values.min() == values.max())


def _body(image: sitk.Image) -> sitk.Image:
    """Otsu's foreground (uint8); everything where the image is constant."""
    if _is_constant(image):
        return image_from(np.ones(image.GetSize()[::-1], np.uint8), grid_of(image))
    return sitk.OtsuThreshold(image, 0, 1)


def _without_bias(image: sitk.Image, body: sitk.Image, settings: PreprocessingSettings) -> sitk.Image:
    """`image` divided by its N4 bias field, which is fitted on a shrunken copy.

    Its voxels are means: picking one of an even number means picking one of the two in the middle, by rounding.
    """
    if _is_constant(image):
        return image
    positive = sitk.Maximum(image, 1e-3 * float(sitk.GetArrayViewFromImage(image).max()))
    shrink = [
        max(1, min(int(whole_nearest(settings.n4_spacing_mm / step)), size // 4))
        for step, size in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(settings.n4_iterations))
    try:
        n4.Execute(sitk.BinShrink(positive, shrink), _shrunken_body(body, shrink))
    except RuntimeError as error:
        raise VolumeError(f"N4 finds no bias field in a volume of {image.GetSize()} voxels (x, y, z)") from error
    return image / sitk.Exp(sitk.Cast(n4.GetLogBiasFieldAsImage(image), sitk.sitkFloat32))


def _shrunken_body(body: sitk.Image, shrink: list[int]) -> sitk.Image:
    """Voxels of which at least half are body; where there are none, all."""
    share = sitk.GetArrayFromImage(half := sitk.BinShrink(sitk.Cast(body, sitk.sitkFloat32), shrink))
    inside = at_least(share, 0.5)
    return image_from((inside if inside.any() else np.ones_like(inside)).astype(np.uint8), grid_of(half))


def _standardised(values: Float32, region: tuple[slice, slice, slice], percentiles: tuple[float, float]) -> Float32:
    """Clipped to percentiles of the central region and scaled to its mean and deviation (x' = (x - mean) / deviation).

    The region lies inside the body, so neither depends on how much air the field of view holds.
    """
    low, high = np.percentile(values[region], percentiles)
    clipped = np.clip(values, low, high)
    mean, deviation = clipped[region].mean(), clipped[region].std()
    if deviation <= 1e-6 * max(1.0, abs(float(mean))):
        return np.zeros(values.shape, np.float32)
    standardised: Float32 = ((clipped - mean) / deviation).astype(np.float32)
    return standardised


def _middle(available: int, length: float) -> slice:
    """The middle of `available` voxels, `length` of them as nearly as it can be."""
    wanted = int(whole_nearest(length))
    start = max(0, (available - wanted) // 2)
    return slice(start, min(available, start + wanted))
