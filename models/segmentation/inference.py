"""From a volume to a tumour probability and a mask; an empty mask is a valid answer."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic
import SimpleITK as sitk
import torch
from scipy import ndimage

from models import bundle
from models.engines.execution import AS_BUNDLED, Execution, Installation
from models.engines.forward import Forward, forward_of
from models.engines.openvino_forward import Conversion
from models.errors import BundleError
from models.manifest import Manifest, manifest_of
from models.rounding import at_least, beyond
from models.segmentation import network, windows
from models.segmentation.preprocessing import PreprocessingSettings, prepare_together
from models.sequence import Sequence
from models.volume import Float32, Grid, average_onto, grid_of, image_from

Mask = npt.NDArray[np.bool_]


class InferenceSettings(pydantic.BaseModel):
    """Kept in the manifest beside the preprocessing: how windows are run and what counts as a tumour."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    preprocessing: PreprocessingSettings = PreprocessingSettings()
    window: tuple[pydantic.PositiveInt, pydantic.PositiveInt, pydantic.PositiveInt] = (24, 48, 48)
    """Sliding window (z, y, x) in voxels of the network's grid."""
    overlap: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """Share of a window that the next one repeats, blended with Gaussian weights."""
    threshold: float = pydantic.Field(default=0.5, gt=0, lt=1)
    """A voxel is tumour where its probability is at least this."""
    largest_component: bool = True
    """Report only the largest 26-connected component, else all."""
    minimum_volume_ml: float = pydantic.Field(default=0.3, ge=0)
    """A smaller component is taken for noise."""
    maximum_volume_ml: float = pydantic.Field(default=300.0, gt=0)
    """A larger one is taken for a failure: nothing is found."""
    minimum_peak: float = pydantic.Field(default=0.7, ge=0, le=1)
    """A component whose highest probability stays below is taken for doubt, and not for a finding."""


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A loaded segmentation bundle; `logits` runs the deepest head of its network by the engine of `execution`."""

    manifest: Manifest
    settings: InferenceSettings
    logits: Forward
    execution: Execution


def load_segmenter(folder: Path, installation: Installation = AS_BUNDLED) -> Segmenter:
    """The segmenter of the bundle in `folder`. Raises BundleError when the bundle is not whole.

    The network is built for that, unless its conversion is kept: it was whole then, and its files are the same.
    """
    manifest = manifest_of(folder, network.KIND, bundle.WEIGHTS_NAME)
    try:
        settings = InferenceSettings.model_validate(manifest.settings)
    except pydantic.ValidationError as error:
        raise BundleError(f"bundle {folder.name}: settings: {error.errors()[0]['msg']}") from error
    execution = installation.execution(manifest.execution)
    window = (1, len(manifest.input_sequences), *settings.window)
    conversion = Conversion(
        partial(network.load_deepest_head, folder),
        bundle.network_of(manifest),
        (network.__name__, bundle.__name__),
        example=window,
        accepted=window,
        heavy=True,
    )
    logits = forward_of(conversion, execution, installation)
    return Segmenter(manifest, settings, logits, execution)


@dataclass(frozen=True, slots=True)
class Reading:
    """The network's reading of the sequences of a study together.

    channels: the prepared sequences (C, Z, Y, X) in the manifest's order, zeros where one is missing; grid: theirs;
    probabilities: of a tumour (float32, 0 to 1) in each sequence that is there, on that grid.
    """

    channels: Float32
    grid: Grid
    probabilities: Mapping[Sequence, sitk.Image]


def read_together(images: Mapping[Sequence, sitk.Image], segmenter: Segmenter) -> Reading:
    """Tumour probability in each sequence of a study, on the network's grid over its central region.

    The images lie in one frame of reference: each sequence is read beside the others, as a radiologist does, and
    gets a mask of its own, because bowel and patient move between them. Any of them may be missing.

    Raises BundleError when the network was not trained for a sequence, VolumeError when an image is not 3D, empty or
    not finite, or when there is none.
    """
    order = segmenter.manifest.input_sequences
    if strange := sorted(set(images) - set(order)):
        raise BundleError(f"{segmenter.manifest.name} was not trained for {', '.join(strange)}")
    channels, grid = prepare_together(images, order, segmenter.settings.preprocessing)
    found = window_probability(channels, segmenter.logits, segmenter.settings)
    probabilities = {
        sequence: image_from(probability if channel.any() else np.zeros_like(probability), grid)
        for sequence, probability, channel in zip(order, found, channels, strict=True)
        if sequence in images
    }
    return Reading(channels, grid, probabilities)


def read_alone(reading: Reading, sequence: Sequence, segmenter: Segmenter) -> Float32:
    """Tumour probability (z, y, x) in one sequence when the network sees that one alone, on the grid of `reading`.

    By the same windows: a window about a finding is more ready to show one than those that happen to hold it.
    """
    number = segmenter.manifest.input_sequences.index(sequence)
    alone = np.zeros_like(reading.channels)
    alone[number] = reading.channels[number]
    if not alone.any():
        return np.zeros(alone.shape[1:], np.float32)
    probability: Float32 = window_probability(alone, segmenter.logits, segmenter.settings)[number]
    return probability


def window_probability(values: Float32, logits: Forward, settings: InferenceSettings) -> Float32:
    """Sliding-window probability of prepared channels (C, Z, Y, X) of any size, same shape."""
    try:
        blended = windows.blended(values, settings.window, settings.overlap, lambda window: logits(window)[0])
    finally:
        logits.release()
    probability: Float32 = torch.from_numpy(blended).sigmoid().numpy()
    return probability


@dataclass(frozen=True, slots=True)
class Component:
    """A connected part of what the network takes for tumour, plausible by size and certainty.

    inside: its voxels (z, y, x) on the network's grid.
    """

    inside: Mask
    grid: Grid
    volume_ml: float

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """Centres of its voxels (n, 3), LPS, mm."""
        index = np.argwhere(self.inside)[:, ::-1] * np.asarray(self.grid.spacing)
        return np.asarray(self.grid.origin) + index @ self.grid.axes.T


def components(probability: sitk.Image, segmenter: Segmenter) -> tuple[Component, ...]:
    """The plausible 26-connected components, the largest first; none where the largest is too large for a tumour."""
    settings = segmenter.settings
    values, grid = sitk.GetArrayViewFromImage(probability), grid_of(probability)
    labels = sitk.ConnectedComponent(image_from((values >= settings.threshold).astype(np.uint8), grid), True)
    by_size = sitk.GetArrayFromImage(sitk.RelabelComponent(labels, sortByObjectSize=True))
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    found = []
    for label, size in enumerate(np.bincount(by_size.ravel())[1:], start=1):
        if beyond(size * voxel_ml, settings.maximum_volume_ml):
            return ()
        if not at_least(size * voxel_ml, settings.minimum_volume_ml):
            break
        inside = by_size == label
        if values[inside].max() >= settings.minimum_peak:
            found.append(Component(inside, grid, float(size * voxel_ml)))
    return tuple(found)


def inside_of(parts: SequenceOf[Component]) -> Mask:
    """The voxels of some components (z, y, x), on the network's grid."""
    return np.logical_or.reduce([part.inside for part in parts])


def mask_of(
    parts: SequenceOf[Component], probability: sitk.Image, reference: sitk.Image, segmenter: Segmenter
) -> sitk.Image:
    """The mask (uint8, 0 or 1) of components on the grid of `reference`.

    Components are judged once, on the network's grid, so that masks on several grids show the same finding. Where
    `reference` is coarser, its voxels hold the mean of the probability they cover, which keeps the volume; where it is
    finer, the probability is interpolated.
    """
    grid = grid_of(reference)
    if not parts:
        return image_from(np.zeros(grid.size[::-1], np.uint8), grid)
    surface = probability_of(parts, probability, reference)
    return image_from((sitk.GetArrayViewFromImage(surface) >= segmenter.settings.threshold).astype(np.uint8), grid)


def probability_of(parts: SequenceOf[Component], probability: sitk.Image, reference: sitk.Image) -> sitk.Image:
    """The probability (float32) of components on the grid of `reference`: `mask_of` cuts it at its threshold."""
    grid = grid_of(reference)
    if not parts:
        return image_from(np.zeros(grid.size[::-1], np.float32), grid)
    inside = inside_of(parts)
    # The rim of one voxel keeps the values below the threshold that place the surface between voxel centres.
    kept = ndimage.binary_dilation(inside, np.ones((3, 3, 3)))
    values = np.where(kept, sitk.GetArrayViewFromImage(probability), 0).astype(np.float32)
    return average_onto(image_from(values, grid_of(probability)), grid)
