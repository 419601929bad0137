"""Radiomics features by pyradiomics, under its names. A feature that fails is missing, never zero."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import numpy as np
import radiomics
import SimpleITK as sitk
from radiomics import imageoperations
from radiomics.featureextractor import RadiomicsFeatureExtractor

from models import interruption
from models.errors import ModelError
from models.radiomics.intensities import intensity_features
from models.radiomics.preparation import Box, Prepared, box_of, prepare
from models.radiomics.settings import INTENSITY_CLASSES, RadiomicsSettings

_log = logging.getLogger(__name__)
radiomics.setVerbosity(logging.CRITICAL)  # it warns at every symmetrical matrix

#: Of a mask: pyradiomics measures no point and no line.
LEAST_DIMENSIONS = 2
_WAVELET_BANDS = ("LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH", "LLL")


def features_of(prepared: Prepared, settings: RadiomicsSettings, shape: bool = True) -> dict[str, float]:
    """Features of a prepared tumour, with or without those of shape: those of a plain pyradiomics call.

    Empty where the mask holds too little to compute anything (nothing, one voxel, a line); single features are absent
    where they have no finite value.

    The same steps as `RadiomicsFeatureExtractor.execute`, which would look for the tumour in every filtered image.
    """
    box = _measurable(prepared.core)
    if box is None:
        return {}
    extractor = _extractor(settings.model_dump_json())
    found = _shape(prepared.whole, extractor) if shape else {}
    core = box.cut(prepared.core)
    chosen = extractor.settings | ({"binWidth": prepared.bin_width} if prepared.bin_width else {})
    for image_type, options in extractor.enabledImagetypes.items():
        filtered = getattr(imageoperations, f"get{image_type}Image")(
            prepared.image, prepared.core, **(chosen | options)
        )
        for made, name, used in filtered:
            interruption.check()
            found |= intensity_features(box.cut(made), core, name, used)
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _shape(mask: sitk.Image, extractor: RadiomicsFeatureExtractor) -> dict[str, Any]:
    box = _measurable(mask)
    if box is None:
        return {}
    found: dict[str, Any] = extractor.computeShape(mask, mask, box.interleaved, **extractor.settings)
    return found


def _measurable(mask: sitk.Image) -> Box | None:
    """Where a mask lies; None where pyradiomics measures nothing."""
    inside = sitk.GetArrayViewFromImage(mask) > 0
    if not inside.any():
        return None
    box = box_of(inside)
    if (box.last > box.first).sum() < LEAST_DIMENSIONS:
        _log.info("no radiomics features: the mask is a point or a line")
        return None
    return box


def expected_names(settings: RadiomicsSettings) -> frozenset[str]:
    """Every feature name that a mask of ordinary size must give under these settings."""
    classes = radiomics.getFeatureClasses()
    names = {f"original_shape_{name}" for name in _active(classes["shape"])}
    for prefix in _prefixes(settings):
        for group in INTENSITY_CLASSES:
            names |= {f"{prefix}_{group}_{name}" for name in _active(classes[group])}
    return frozenset(names)


def require_complete(settings: RadiomicsSettings) -> None:
    """Raise `ModelError` unless a small test volume gives exactly `expected_names`.

    pyradiomics skips a filter that it cannot load with nothing but a log line, so a broken installation would
    go unnoticed into the prediction.
    """
    missing, surplus = _difference(settings.model_dump_json())
    if missing or surplus:
        raise ModelError(
            f"pyradiomics {radiomics.__version__} does not give the expected features: {len(missing)} "
            f"missing ({', '.join(missing[:3])}), {len(surplus)} unknown ({', '.join(surplus[:3])})"
        )


@lru_cache(maxsize=8)
def _difference(document: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    settings = RadiomicsSettings.model_validate_json(document)
    values = np.random.default_rng(7).normal(size=(24, 24, 24)).astype(np.float32)
    image = sitk.GetImageFromArray(values)
    shape = np.zeros(values.shape, np.uint8)
    shape[8:16, 8:16, 8:16] = 1
    mask = sitk.GetImageFromArray(shape)
    found = set(features_of(prepare(image, mask, settings), settings))
    expected = expected_names(settings)
    return tuple(sorted(expected - found)), tuple(sorted(found - expected))


@lru_cache(maxsize=32)
def _extractor(document: str) -> RadiomicsFeatureExtractor:
    """pyradiomics takes long to check its settings."""
    return RadiomicsFeatureExtractor(RadiomicsSettings.model_validate_json(document).pyradiomics())


def _active(feature_class: type) -> list[str]:
    return [name for name, deprecated in feature_class.getFeatureNames().items() if not deprecated]  # type: ignore[attr-defined]


def _prefixes(settings: RadiomicsSettings) -> list[str]:
    prefixes = []
    for image_type, options in settings.image_types.items():
        if image_type == "Original":
            prefixes.append("original")
        elif image_type == "LoG":
            prefixes += [f"log-sigma-{str(sigma).replace('.', '-')}-mm-3D" for sigma in options["sigma"]]
        else:
            prefixes += [f"wavelet-{band}" for band in _WAVELET_BANDS]
    return prefixes
