"""The intensity classes of pyradiomics on one image, which is discretised once and not by each of the six classes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import radiomics
import SimpleITK as sitk
from radiomics.base import RadiomicsFeaturesBase

from models.radiomics.settings import INTENSITY_CLASSES


def intensity_features(image: sitk.Image, mask: sitk.Image, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The features of `RadiomicsFeatureExtractor.computeFeatures` for an image of that name, cut to the tumour."""
    bins: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for group in INTENSITY_CLASSES:
        values = _classes()[group](image, mask, bins=bins, **settings).execute()
        found |= {f"{name}_{group}_{feature}": value for feature, value in values.items()}
    return found


class _SharedBins(RadiomicsFeaturesBase):
    """Takes the discretised image from `bins`, or leaves it there for the next class."""

    def _applyBinning(self, matrix: npt.NDArray[Any]) -> npt.NDArray[np.int64]:  # noqa: N802
        bins: dict[str, Any] = self.settings["bins"]
        if not bins:
            bins["matrix"] = super()._applyBinning(matrix)
            bins["coefficients"] = dict(self.coefficients)
        self.coefficients.update(bins["coefficients"])
        binned: npt.NDArray[np.int64] = bins["matrix"].copy()
        return binned

    @classmethod
    @lru_cache(maxsize=16)
    def getFeatureNames(cls) -> dict[str, bool]:  # noqa: N802
        """Found by reflection, once a class and not once an image."""
        names: dict[str, bool] = super().getFeatureNames()
        return names


@lru_cache(maxsize=1)
def _classes() -> dict[str, type[RadiomicsFeaturesBase]]:
    classes = radiomics.getFeatureClasses()
    return {
        group: type(group, (_SharedBins, classes[group]), {"__module__": classes[group].__module__})
        for group in INTENSITY_CLASSES
    }
