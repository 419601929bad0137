"""Where a feature vector comes from: settings, versions, grid, mask."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import radiomics
import SimpleITK as sitk

from models.errors import ModelError
from models.radiomics.parallel import Region
from models.volume import grid_of

_PACKAGES = ("numpy", "SimpleITK", "PyWavelets")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Enough to compute a feature vector again.

    Attributes:
        settings: every one, resampling, discretisation and filters among them.
        settings_digest: sha256 of the settings' values.
        stretch: of the contrast within the tumour; 1 where it stays as it was acquired.
        size: voxels (x, y, z) of the image before resampling.
        spacing_mm: of the image before resampling (x, y, z).
        image_digest: as `volume_digest`, of the image.
        mask_digest: as `mask_digest`.
        versions: distribution name and version of everything that touches the numbers.
    """

    settings: dict[str, Any]
    settings_digest: str
    stretch: float
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    image_digest: str
    mask_digest: str
    versions: dict[str, str]


def provenance(region: Region) -> Provenance:
    """The provenance of the features of a region in this installation."""
    grid = grid_of(region.image)
    return Provenance(
        region.settings.model_dump(mode="json"),
        region.settings.digest,
        region.stretch,
        grid.size,
        grid.spacing,
        volume_digest(region.image),
        mask_digest(region.mask),
        dict(_versions()),
    )


@lru_cache(maxsize=1)
def _versions() -> tuple[tuple[str, str], ...]:
    return (pyradiomics(), *((name, importlib.metadata.version(name)) for name in _PACKAGES))


@lru_cache(maxsize=1)
def pyradiomics() -> tuple[str, str]:
    """Name and version of the distribution that `import radiomics` comes from.

    The sources are published under more than one name; where two are installed, the later one has overwritten the files
    of the other, and the version in them tells which it is.
    """
    version = radiomics.__version__.removeprefix("v")
    names = dict.fromkeys(importlib.metadata.packages_distributions()["radiomics"])
    name = next((name for name in names if importlib.metadata.version(name) == version), None)
    if name is None:
        raise ModelError(f"radiomics {version} belongs to no distribution that is installed ({', '.join(names)})")
    return name, version


def volume_digest(image: sitk.Image) -> str:
    """sha256 over size, spacing, origin, direction and intensities (as float32) of an image."""
    digest = hashlib.sha256(repr(grid_of(image)).encode())
    digest.update(np.ascontiguousarray(sitk.GetArrayViewFromImage(image), np.float32).tobytes())
    return digest.hexdigest()


def mask_digest(mask: sitk.Image) -> str:
    """sha256 of a mask as a set of voxels in space: the pixel type does not matter, the grid does."""
    digest = hashlib.sha256(repr(grid_of(mask)).encode())
    digest.update(np.packbits(sitk.GetArrayViewFromImage(mask) > 0).tobytes())
    return digest.hexdigest()
