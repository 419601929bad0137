"""The result agrees with its input: averaged over the slice profile it returns what the slices measured.

A network can invent between the measurements, but not against them. The smallest change that makes thin slices y agree
with thick slices x, measured by the profile matrix W, is W⁺ (x - W y) with the pseudo-inverse W⁺ (the range-null space
decomposition, Wang et al., ICLR 2023). Where the input is noisy full agreement would bring its noise back: then only
the part of x - W y beyond the noise is corrected, so that what is left lies within it.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from models.super_resolution.degradation import Factor, SliceProfile, along, thicken
from models.volume import Float32

#: What a slice is taken to see where its thickness is not known.
PROFILE = SliceProfile()
#: Second differences along rows and columns: linear structures cancel, noise is amplified by 6 (Immerkær, Comput Vis
#: Image Underst 1996;64:300-302).
_SECOND_DIFFERENCES = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)[None]
_AMPLIFICATION = 6.0
_MEDIAN_TO_DEVIATION = 1.4826


def agree(made: Float32, input_values: Float32, factor: Factor, tolerance: float) -> Float32:
    """`made` (fz * Z, fy * Y, fx * X) changed so that it returns `input_values` (Z, Y, X) within `tolerance`."""
    thin, thick = (torch.from_numpy(values)[None, None] for values in (made, input_values))
    excess = thick - thicken(thin, factor, PROFILE)
    if tolerance > 0:
        excess = excess - excess.clamp(-tolerance, tolerance)
    for axis, parts in zip((4, 3, 2), factor, strict=True):
        if parts > 1:
            inverse = torch.linalg.pinv(PROFILE.weights(excess.shape[axis], parts).double())
            excess = along(inverse.float(), excess, axis)
    changed: Float32 = (thin + excess)[0, 0].numpy()
    return changed


def disagreement(made: Float32, input_values: Float32, factor: Factor) -> Float32:
    """What the thick slices of `made` differ from the input by (Z, Y, X)."""
    thin = torch.from_numpy(np.ascontiguousarray(made))[None, None]
    found: Float32 = input_values - thicken(thin, factor, PROFILE)[0, 0].numpy()
    return found


def noise_deviation(values: Float32) -> float:
    """Standard deviation of the noise of slices (z, y, x), from second differences in plane where there is signal.

    Robust against edges (median); texture is counted as noise, noise of a zero-filled image is underestimated.
    """
    detail = np.abs(ndimage.convolve(values, _SECOND_DIFFERENCES, mode="nearest"))
    signal = values > values.mean()
    found = detail[signal] if signal.any() else detail
    return float(np.median(found)) * _MEDIAN_TO_DEVIATION / _AMPLIFICATION
