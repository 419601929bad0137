"""Measuring what was found, at both resolutions. Serving and training call the same functions.

Images are float32 and masks uint8 `SimpleITK.Image`s in LPS, mm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from models import interruption
from models.radiomics.parallel import Region, extract_all
from models.radiomics.preparation import Box, box_of
from models.radiomics.provenance import Provenance, provenance
from models.radiomics.settings import RadiomicsSettings
from models.radiomics.t2_contrast import SpinEcho, stretch_to
from models.rounding import at_least
from models.sequence import Sequence
from models.volume import Grid, average_onto, corners_of, grid_of, image_from, same_place, volume_ml

_log = logging.getLogger(__name__)

#: Resolutions at which features are measured: the acquired grid and the super-resolved one.
NORMAL, SUPER = "normal", "super"
#: Controls of a study: the super-resolved grid by cubic B-spline, and the acquired voxels without any resampling.
CUBIC, AS_ACQUIRED = "cubic", "none"


@dataclass(frozen=True, slots=True)
class Measured:
    """Radiomics features named ``<sequence>|<resolution>|<feature>``; by ``<sequence>|<resolution>`` their origin."""

    features: dict[str, float]
    provenance: dict[str, Provenance]


def measure(
    images: Mapping[Sequence, Mapping[str, sitk.Image]],
    masks: Mapping[Sequence, sitk.Image],
    settings: RadiomicsSettings,
    t2wi: SpinEcho | None = None,
    workers: int = 1,
    on_progress: Callable[[float], None] | None = None,
) -> Measured:
    """Radiomics features of a study.

    Args:
        images: by sequence and resolution (`NORMAL`, `SUPER`, `CUBIC`, `AS_ACQUIRED`).
        masks: one mask a sequence, on any grid; brought to the grid of each image, so that the features of two
            resolutions differ by their images alone. An empty mask yields no features.
        settings: how features are computed; at `AS_ACQUIRED` without their resampling.
        t2wi: the protocol of T2WI. Where the settings have a reference for it and it is not known, or hardly weighted
            by T2, T2WI has no features.
        workers: processes.
        on_progress: hears the share done, 0 to 1.
    """
    regions = list(_regions(images, masks, settings, t2wi))
    found = extract_all(regions, workers, on_progress)
    return Measured(
        {f"{name}|{feature}": value for name, values in found.items() for feature, value in values.items()},
        {region.name: provenance(region) for region in regions},
    )


def mask_on(mask: sitk.Image, grid: Grid) -> sitk.Image:
    """`mask` (non-zero is inside) on another grid of the same patient (uint8).

    Where `grid` is the coarser one, its voxels that lie inside by half or more, which keeps the volume. Where it is the
    finer one, its voxels on the inner side of the surface, by the distance from it: copied voxels would lead a mask of
    thick slices to thin ones as stairs, which hold the neighbours of a tumour whose wall is oblique. What lies outside
    `grid` is lost.
    """
    inside = sitk.GetArrayViewFromImage(mask) > 0
    own = grid_of(mask)
    if same_place(own, grid):
        return image_from(inside.view(np.uint8), grid)
    array = np.zeros(grid.size[::-1], np.uint8)
    if inside.any():
        box = box_of(inside).grown(1, own)
        finer = np.prod(grid.spacing) < np.prod(own.spacing)
        part = _depth(box.of(inside), own) if finer else box.of(inside).astype(np.float32)
        image = image_from(part, box.grid(own))
        target = _covering(image, grid)
        found = sitk.GetArrayFromImage(average_onto(image, target.grid(grid)))
        target.of(array)[:] = found > 0 if finer else at_least(found, 0.5)
    return image_from(array, grid)


def _depth(inside: npt.NDArray[np.generic], grid: Grid) -> npt.NDArray[np.float32]:
    """Distance (mm) of each voxel (z, y, x) from the surface half way to the other side, negative outside."""
    padded = np.pad(inside, 1)
    within, without = (ndimage.distance_transform_edt(side, grid.spacing[::-1]) for side in (padded, ~padded))
    return np.asarray((within - without)[1:-1, 1:-1, 1:-1], dtype=np.float32)


def _regions(
    images: Mapping[Sequence, Mapping[str, sitk.Image]],
    masks: Mapping[Sequence, sitk.Image],
    settings: RadiomicsSettings,
    t2wi: SpinEcho | None,
) -> Iterator[Region]:
    for sequence, by_resolution in images.items():
        stretch = contrast_stretch(sequence, settings, t2wi)
        if stretch is None:
            continue
        on_grids: dict[Grid, sitk.Image] = {}
        for resolution, image in by_resolution.items():
            interruption.check()
            grid = grid_of(image)
            if grid not in on_grids:
                on_grids[grid] = mask_on(masks[sequence], grid)
            mask = on_grids[grid]
            chosen = settings.as_acquired if resolution == AS_ACQUIRED else settings
            if volume_ml(mask) > 0:
                yield Region(f"{sequence}|{resolution}", image, mask, chosen, stretch)


def contrast_stretch(sequence: Sequence, settings: RadiomicsSettings, t2wi: SpinEcho | None) -> float | None:
    """Of the contrast within a tumour; None where it cannot be told."""
    if sequence is not Sequence.T2WI or settings.t2wi_reference is None:
        return 1.0
    stretch = stretch_to(settings.t2wi_reference, t2wi)
    if stretch is None:
        _log.warning(
            "T2WI has no features: %s",
            f"{t2wi} is hardly weighted by T2" if t2wi else "TR, TE or field strength is not known",
        )
    return stretch


def _covering(image: sitk.Image, grid: Grid) -> Box:
    """The voxels of `grid` that `image` reaches; at least one."""
    places = (corners_of(image) - np.asarray(grid.origin)) @ grid.axes / np.asarray(grid.spacing)
    last = np.asarray(grid.size) - 1
    first = np.clip(np.floor(places.min(axis=0)).astype(np.int64), 0, last)
    return Box(first, np.clip(np.ceil(places.max(axis=0)).astype(np.int64), first, last))
