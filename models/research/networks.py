"""Networks as the laboratory runs them: those that are no bundle yet in torch, a segmentation without its review."""

from __future__ import annotations

from collections.abc import Mapping

import SimpleITK as sitk
from torch import nn

from models.engines.execution import Engine, Execution, Precision
from models.engines.torch_forward import TorchForward
from models.manifest import Manifest
from models.segmentation.inference import (
    InferenceSettings,
    Segmenter,
    components,
    mask_of,
    read_together,
)
from models.segmentation.network import DeepestHead
from models.sequence import Sequence
from models.super_resolution.inference import SuperResolver
from models.super_resolution.network import Convolutions, Generator

#: As in training, where weights change with every step.
SEGMENTATION = Execution(engine=Engine.TORCH, precision=Precision.BFLOAT16)
SUPER_RESOLUTION = Execution(engine=Engine.TORCH, precision=Precision.FLOAT32)


def segmenter_of(manifest: Manifest, settings: InferenceSettings, network: nn.Module) -> Segmenter:
    """The segmenter of a network that is no bundle yet."""
    logits = TorchForward(DeepestHead(network), SEGMENTATION.precision)
    return Segmenter(manifest, settings, logits, SEGMENTATION)


def super_resolver_of(manifest: Manifest, network: Generator) -> SuperResolver:
    """The super-resolver of a network that is no bundle yet."""
    convolve = TorchForward(Convolutions(network), SUPER_RESOLUTION.precision)
    return SuperResolver(manifest, network, convolve, SUPER_RESOLUTION)


def tumour_probabilities(images: Mapping[Sequence, sitk.Image], segmenter: Segmenter) -> Mapping[Sequence, sitk.Image]:
    """The probabilities of `read_together`."""
    return read_together(images, segmenter).probabilities


def tumour_mask(probability: sitk.Image, reference: sitk.Image, segmenter: Segmenter) -> sitk.Image:
    """The tumour (uint8, 0 or 1) on the grid of `reference`; empty where no plausible tumour was found."""
    plausible = components(probability, segmenter)
    parts = plausible[:1] if segmenter.settings.largest_component else plausible
    return mask_of(parts, probability, reference, segmenter)
