"""The chain on volumes: super-resolve → find the tumour → measure it. Serving and training call the same functions.

Images are float32 and masks uint8 `SimpleITK.Image`s in LPS, mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import SimpleITK as sitk

from models.radiomics.extraction import extract
from models.radiomics.settings import RadiomicsSettings
from models.segmentation.inference import Segmenter, tumour_mask, tumour_probabilities
from models.volume import Sequence, volume_ml

#: Resolutions at which features are measured: the acquired grid and the super-resolved one.
NORMAL, SUPER = "normal", "super"


@dataclass(frozen=True, slots=True)
class Tumour:
    """What was segmented in one sequence; both masks are empty where no tumour was found.

    Attributes:
        mask: on the acquired grid.
        mask_super: on the super-resolved grid.
        volume_ml: volume of `mask_super`.
    """

    mask: sitk.Image
    mask_super: sitk.Image
    volume_ml: float


def find_tumours(
    acquired: Mapping[Sequence, sitk.Image], super_resolved: Mapping[Sequence, sitk.Image], segmenter: Segmenter
) -> dict[Sequence, Tumour]:
    """Segment the sequences of one frame of reference once, super-resolved, and bring each finding to both grids."""
    found: dict[Sequence, Tumour] = {}
    for sequence, probability in tumour_probabilities(super_resolved, segmenter).items():
        mask_super = tumour_mask(probability, super_resolved[sequence], segmenter)
        mask = tumour_mask(probability, acquired[sequence], segmenter)
        found[sequence] = Tumour(mask, mask_super, volume_ml(mask_super))
    return found


def measure(
    sequence: Sequence,
    images: Mapping[str, sitk.Image],
    masks: Mapping[str, sitk.Image],
    settings: RadiomicsSettings,
) -> dict[str, float]:
    """Radiomics features of one sequence at each resolution, named ``<sequence>|<resolution>|<feature>``.

    Args:
        sequence: which contrast the images show.
        images: image by resolution (`NORMAL`, `SUPER`).
        masks: mask on the same grid by resolution; an empty mask yields no features.
        settings: how features are computed.
    """
    features: dict[str, float] = {}
    for resolution, image in images.items():
        if volume_ml(masks[resolution]) == 0:
            continue
        values = extract(image, masks[resolution], settings)
        features |= {f"{sequence}|{resolution}|{name}": value for name, value in values.items()}
    return features
