"""Random training patches: spatial and intensity transformations of MONAI, on images and shares of tumour."""

from __future__ import annotations

from math import radians

from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import RandSpatialCropd, SpatialPadd
from monai.transforms.intensity.dictionary import RandAdjustContrastd, RandGaussianNoised
from monai.transforms.spatial.dictionary import RandAffined, RandFlipd
from monai.transforms.utility.dictionary import ToTensord

KEYS = ("images", "shares")


def training_transform(patch: tuple[int, int, int]) -> Compose:
    """Patches of `patch` voxels (z, y, x) from {"images", "shares"} arrays of shape (C, Z, Y, X).

    Patches lie anywhere, as the windows of inference do: centred on a tumour, most of them, they taught the network to
    find one in the middle of every window. Rotation (15° about z, 5° about the others), scaling (15 %), translation
    (4 voxels), left-right mirror, Gaussian noise and contrast (gamma) follow. Only left and right are mirrored: the
    rectum lies behind, and the network may use that.
    """
    return Compose(
        [
            SpatialPadd(KEYS, patch, mode="edge"),
            RandSpatialCropd(KEYS, patch, random_size=False),
            RandAffined(
                KEYS,
                prob=0.7,
                rotate_range=(radians(15), radians(5), radians(5)),
                scale_range=(0.15, 0.15, 0.15),
                translate_range=(2, 4, 4),
                mode="bilinear",
                padding_mode="border",
            ),
            RandFlipd(KEYS, prob=0.5, spatial_axis=2),
            RandGaussianNoised("images", prob=0.3, std=0.15),
            RandAdjustContrastd("images", prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
            ToTensord(KEYS, track_meta=False),
        ]
    )
