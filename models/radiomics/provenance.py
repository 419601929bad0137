"""Where a feature vector comes from: settings, versions, mask."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from models.radiomics.settings import RadiomicsSettings

_PACKAGES = ("pyradiomics", "numpy", "SimpleITK", "PyWavelets")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Enough to compute a feature vector again.

    Attributes:
        settings_digest: sha256 of the settings' values.
        mask_digest: sha256 over size, spacing, origin, direction and voxels (> 0) of the mask.
        versions: package name and version of everything that touches the numbers.
    """

    settings_digest: str
    mask_digest: str
    versions: tuple[tuple[str, str], ...]


def provenance(mask: sitk.Image, settings: RadiomicsSettings) -> Provenance:
    """The provenance of `extract(image, mask, settings)` in this installation."""
    versions = tuple((name, importlib.metadata.version(name)) for name in _PACKAGES)
    return Provenance(settings.digest, mask_digest(mask), versions)


def mask_digest(mask: sitk.Image) -> str:
    """sha256 of a mask as a set of voxels in space: the pixel type does not matter, the grid does."""
    grid = (mask.GetSize(), mask.GetSpacing(), mask.GetOrigin(), mask.GetDirection())
    digest = hashlib.sha256(repr(grid).encode())
    digest.update(np.packbits(sitk.GetArrayViewFromImage(mask) > 0).tobytes())
    return digest.hexdigest()
