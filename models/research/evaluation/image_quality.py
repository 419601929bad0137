"""How close a made volume is to the true one: PSNR and SSIM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.metrics.regression import PSNRMetric, SSIMMetric

from models.errors import VolumeError


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """PSNR in dB and mean structural similarity (Wang 2004, 3D Gaussian window), relative to the true range.

    The window has 7 voxels a side, fewer where the volume is thinner.
    """

    psnr_db: float
    ssim: float


def compare_images(made: npt.NDArray[np.float32], true: npt.NDArray[np.float32]) -> ImageQuality:
    """Quality of `made` (z, y, x) against `true`; the range is that of `true`'s 0.5 and 99.5 percentiles.

    Raises VolumeError when the shapes differ or `true` is constant.
    """
    if made.shape != true.shape:
        raise VolumeError(f"volumes of shape {made.shape} and {true.shape} (z, y, x) cannot be compared")
    low, high = np.percentile(true, (0.5, 99.5))
    if high <= low:
        raise VolumeError("image quality against a constant volume has no meaning")
    a, b = (torch.from_numpy(((v - low) / (high - low)).astype(np.float32))[None, None] for v in (made, true))
    window = min(7, (min(true.shape) - 1) // 2 * 2 + 1)
    psnr = PSNRMetric(max_val=1.0)(y_pred=a, y=b)
    ssim = SSIMMetric(spatial_dims=3, data_range=1.0, win_size=window)(y_pred=a, y=b)
    return ImageQuality(float(psnr), float(ssim))
