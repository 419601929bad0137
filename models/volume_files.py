"""Volumes in files of common formats: NIfTI, NRRD, MetaImage."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from models.errors import VolumeError
from models.volume import check_volume


def read(path: Path) -> sitk.Image:
    """A float32 volume from a NIfTI, NRRD or MetaImage file. Raises VolumeError when it cannot be read."""
    try:
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    except RuntimeError as error:
        raise VolumeError(f"{path.name} cannot be read as a volume") from error
    check_volume(image)
    return image


def write(image: sitk.Image, path: Path) -> None:
    """Writes `image`, the format chosen by the suffix (.nii.gz, .nrrd, .mha), compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path), useCompression=True)
