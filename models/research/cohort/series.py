"""A volume from where it lies: a file of a common format, or a folder with one DICOM series."""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from models.errors import VolumeError
from models.volume import check_volume
from models.volume_files import read


def read_series(path: Path) -> sitk.Image:
    """A float32 volume (LPS, mm) from a NIfTI, NRRD or MetaImage file, or from the largest series of a folder.

    Raises VolumeError when nothing there can be read as a volume.
    """
    if not path.is_dir():
        return read(path)
    reader = sitk.ImageSeriesReader()
    try:
        series = [reader.GetGDCMSeriesFileNames(str(path), uid) for uid in reader.GetGDCMSeriesIDs(str(path))]
        if not series:
            raise VolumeError(f"{path.name}: no image series in this folder")
        reader.SetFileNames(max(series, key=len))
        image = sitk.Cast(reader.Execute(), sitk.sitkFloat32)
    except RuntimeError as error:
        raise VolumeError(f"{path.name} cannot be read as a volume") from error
    check_volume(image)
    return image
