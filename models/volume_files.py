"""Volumes in files: of common formats (NIfTI, NRRD, MetaImage), and as one step of an analysis leaves them to the next.

SimpleITK says of every fault of a disk no more than that it failed, and of some nothing: `keep` and `kept` have the
operating system say what it was.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import SimpleITK as sitk

from models.errors import VolumeError
from models.volume import check_volume

_PIECE = 2**20


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


def keep(image: sitk.Image, path: Path) -> None:
    """Write `image`, uncompressed (.nrrd), under its final name when it is whole and survives a power cut.

    Raises:
        OSError: the disk refused, as the operating system says it.
        RuntimeError: SimpleITK refused, for a reason that is not the disk's.
    """
    partial = path.with_name(f"partial-{path.name}")
    size = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    try:
        try:
            sitk.WriteImage(image, partial)
        except RuntimeError:
            _require_room(partial, size)
            sitk.WriteImage(image, partial)  # the disk was full, and is no more
        if partial.stat().st_size < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        _sync(partial)
    except OSError:
        partial.unlink(missing_ok=True)  # it takes room of what may be kept later
        raise
    os.replace(partial, path)
    _sync(path.parent)


def kept(path: Path) -> sitk.Image:
    """The image that was kept as `path`.

    Raises:
        OSError: it is not there, or cannot be read, as the operating system says it.
        RuntimeError: SimpleITK refused, for a reason that is not the disk's.
    """
    with path.open("rb"):
        try:
            return sitk.ReadImage(path)
        except RuntimeError:
            with path.open("rb") as file:
                while file.read(_PIECE):
                    pass
            raise


def _require_room(path: Path, size: int) -> None:
    """Raises OSError where a file of so many bytes cannot be written."""
    zeros = bytes(_PIECE)
    with path.open("wb") as file:
        for begin in range(0, size, _PIECE):
            file.write(zeros[: size - begin])
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
