"""Networks as the laboratory runs them: those that are no bundle yet in torch, a segmentation without its review."""

from __future__ import annotations

from collections.abc import Mapping

import SimpleITK as sitk
from torch import nn

from models.engines.execution import Engine, Execution, Precision
from models.engines.processor import computes_bfloat16
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
SUPER_RESOLUTION = Execution(engine=Engine.TORCH, precision=Precision.FLOAT32)


def segmenter_of(manifest: Manifest, settings: InferenceSettings, network: nn.Module) -> Segmenter:
    """The segmenter of a network that is no bundle yet."""
    logits = logits_of(network)
    return Segmenter(manifest, settings, logits, Execution(engine=Engine.TORCH, precision=logits.precision))


def logits_of(network: nn.Module) -> TorchForward:
    """The segmentation's deepest head where the network lies.

    In bfloat16 where that is computed: a processor that has to emulate it takes six times as long as in float32, one
    that does not a sixth of it.
    """
    reduced = next(network.parameters()).device.type != "cpu" or computes_bfloat16()
    return TorchForward(DeepestHead(network), Precision.BFLOAT16 if reduced else Precision.FLOAT32)


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
