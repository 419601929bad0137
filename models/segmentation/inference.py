"""From a volume to a tumour probability and a mask; an empty mask is a valid answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
import SimpleITK as sitk
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from models import bundle
from models.errors import BundleError
from models.manifest import Manifest
from models.rounding import at_least, beyond
from models.segmentation.network import final_head, from_manifest
from models.segmentation.preprocessing import PreprocessingSettings, prepare_together
from models.volume import Float32, Sequence, average_onto, grid_of, image_from, volume_ml

KIND = "segmentation"


class InferenceSettings(pydantic.BaseModel):
    """Kept in the manifest beside the preprocessing: how windows are run and what counts as a tumour."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    preprocessing: PreprocessingSettings = PreprocessingSettings()
    window: tuple[int, int, int] = (24, 48, 48)
    """Sliding window (z, y, x) in voxels of the network's grid."""
    overlap: float = pydantic.Field(default=0.25, ge=0, lt=1)
    """Share of a window that the next one repeats, blended with Gaussian weights."""
    threshold: float = pydantic.Field(default=0.5, gt=0, lt=1)
    """A voxel is tumour where its probability is at least this."""
    largest_component: bool = True
    """Keep only the largest 26-connected component."""
    minimum_volume_ml: float = pydantic.Field(default=0.3, ge=0)
    """A smaller component is taken for noise: empty mask."""
    maximum_volume_ml: float = pydantic.Field(default=300.0, gt=0)
    """A larger one is taken for a failure: empty mask."""
    minimum_peak: float = pydantic.Field(default=0.7, ge=0, le=1)
    """A component whose highest probability stays below is taken for doubt: empty mask."""


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A loaded segmentation bundle."""

    manifest: Manifest
    settings: InferenceSettings
    network: nn.Module


def load_segmenter(folder: Path) -> Segmenter:
    """The segmenter of the bundle in `folder`. Raises BundleError when the bundle is not whole."""
    manifest, network = bundle.load_weights(folder, from_manifest, KIND)
    try:
        settings = InferenceSettings.model_validate(manifest.settings)
    except pydantic.ValidationError as error:
        raise BundleError(f"bundle {folder.name}: settings: {error.errors()[0]['msg']}") from error
    return Segmenter(manifest, settings, network)


def tumour_probabilities(images: Mapping[Sequence, sitk.Image], segmenter: Segmenter) -> dict[Sequence, sitk.Image]:
    """Tumour probability (float32, 0 to 1) in each sequence of a study, on the network's grid over its central region.

    The images lie in one frame of reference: each sequence is read beside the others, as a radiologist does, and
    gets a mask of its own, because bowel and patient move between them. Any of them may be missing.

    Raises BundleError when the network was not trained for a sequence, VolumeError when an image is not 3D, empty or
    not finite, or when there is none.
    """
    order = segmenter.manifest.input_sequences
    if strange := sorted(set(images) - set(order)):
        raise BundleError(f"{segmenter.manifest.name} was not trained for {', '.join(strange)}")
    channels, grid = prepare_together(images, order, segmenter.settings.preprocessing)
    found = window_probability(channels, segmenter.network, segmenter.settings)
    return {
        sequence: image_from(probability if channel.any() else np.zeros_like(probability), grid)
        for sequence, probability, channel in zip(order, found, channels, strict=True)
        if sequence in images
    }


def window_probability(values: Float32, network: nn.Module, settings: InferenceSettings) -> Float32:
    """Sliding-window probability of prepared channels (C, Z, Y, X) of any size, same shape."""
    device = next(network.parameters()).device
    tensor = torch.from_numpy(np.ascontiguousarray(values))[None].to(device)

    def logits(window: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return final_head(network(window))

    with torch.inference_mode():
        blended = sliding_window_inference(
            tensor, settings.window, 1, logits, overlap=settings.overlap, mode="gaussian"
        )
        probability: Float32 = torch.sigmoid(blended)[0].cpu().numpy()
    return probability


def tumour_mask(probability: sitk.Image, reference: sitk.Image, segmenter: Segmenter) -> sitk.Image:
    """The tumour (uint8, 0 or 1) on the grid of `reference`; empty where no plausible tumour was found.

    Component and plausibility are judged once, on the network's grid, so that masks on several grids show the
    same finding. Where `reference` is coarser, its voxels hold the mean of the probability they cover, which
    keeps the volume; where it is finer, the probability is interpolated.
    """
    settings = segmenter.settings
    found = _finding(probability, settings)
    if found is None:
        return image_from(np.zeros(reference.GetSize()[::-1], np.uint8), grid_of(reference))
    surface = average_onto(found, grid_of(reference))
    mask = (sitk.GetArrayViewFromImage(surface) >= settings.threshold).astype(np.uint8)
    return image_from(mask, grid_of(reference))


def _finding(probability: sitk.Image, settings: InferenceSettings) -> sitk.Image | None:
    """The probability with all but the finding set to 0; None where nothing is plausible."""
    values = sitk.GetArrayFromImage(probability)
    mask = image_from((values >= settings.threshold).astype(np.uint8), grid_of(probability))
    if settings.largest_component:
        mask = _largest_component(mask)
    inside = sitk.GetArrayViewFromImage(mask) > 0
    if not inside.any() or values[inside].max() < settings.minimum_peak:
        return None
    found_ml = volume_ml(mask)
    if not at_least(found_ml, settings.minimum_volume_ml) or beyond(found_ml, settings.maximum_volume_ml):
        return None
    # The rim of one voxel keeps the values below the threshold that place the surface between voxel centres.
    kept = sitk.GetArrayFromImage(sitk.BinaryDilate(mask, [1, 1, 1], sitk.sitkBox, 0, 1)) > 0
    return image_from(np.where(kept, values, 0).astype(np.float32), grid_of(probability))


def _largest_component(mask: sitk.Image) -> sitk.Image:
    components = sitk.ConnectedComponent(mask, True)
    by_size = sitk.RelabelComponent(components, sortByObjectSize=True)
    return sitk.Cast(by_size == 1, sitk.sitkUInt8)
