"""Cases prepared for segmentation training as serving prepares volumes, kept on disk so that each is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from models.segmentation.preprocessing import PreprocessingSettings, central_region, prepare
from models.volume import Float32, Sequence, average_onto, grid_of

Volumes = Mapping[Sequence, sitk.Image]


@dataclass(frozen=True, slots=True)
class PreparedCase:
    """Central region of one sequence of a case: image (float32, z-scored) and share of tumour, both (z, y, x).

    The share (float32, 0 to 1) of each voxel that is tumour keeps the surface between voxel centres, which a mask
    on the network's grid loses: with it a perfect network reaches a mean Dice of 0.97 on acquired volumes, else 0.94.
    """

    case: str
    sequence: Sequence
    image: Float32
    share: Float32

    @property
    def name(self) -> str:
        """Case and sequence."""
        return f"{self.case} {self.sequence}"

    @property
    def tumour(self) -> npt.NDArray[np.bool_]:
        """Voxels that are tumour by half or more."""
        return self.share >= 0.5


def prepared(
    name: str, path: Path, volumes: Callable[[], tuple[Volumes, Volumes]], settings: PreprocessingSettings
) -> Iterator[PreparedCase]:
    """The sequences of a case, from `path` where it is there already, else from its images and masks."""
    if not path.exists():
        _write(path, *volumes(), settings)
    with np.load(path) as arrays:
        for sequence in Sequence:
            if f"{sequence}-image" in arrays:
                image, share = arrays[f"{sequence}-image"], arrays[f"{sequence}-share"]
                yield PreparedCase(name, sequence, image.astype(np.float32), share.astype(np.float32))


def _write(path: Path, images: Volumes, masks: Volumes, settings: PreprocessingSettings) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for sequence, image in images.items():
        ready = prepare(image, settings)
        region = central_region(ready, settings)
        share = average_onto(sitk.Cast(masks[sequence], sitk.sitkFloat32), grid_of(ready))
        arrays[f"{sequence}-image"] = sitk.GetArrayFromImage(ready)[region].astype(np.float16)
        arrays[f"{sequence}-share"] = sitk.GetArrayFromImage(share)[region].astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    partial.replace(path)
