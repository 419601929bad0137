"""A network over a volume larger than its window: windows that overlap, blended by Gaussian weights.

Bit for bit what `sliding_window_inference` of MONAI gives (`mode="gaussian"`, one window at a time), whose import alone
takes seconds and more than 100 MB; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch

from models import interruption
from models.volume import Float32

Size = tuple[int, int, int]

#: Standard deviation of the weights, as a share of the window.
_SIGMA = 0.125
#: Of a weight, so that every voxel has one.
_SMALLEST_WEIGHT = 1e-3


def blended(values: Float32, window: Size, overlap: float, run: Callable[[Float32], Float32]) -> Float32:
    """What `run` gives for the windows of `values` (C, Z, Y, X), as one array of that shape.

    `run`: (1, C, *window) to the same shape, float32. `overlap`: share of a window that the next one repeats, from 0
    and below 1. Where a volume is smaller than the window it stands in the middle of zeros.
    """
    spatial = values.shape[1:]
    missing = [max(wide - size, 0) for wide, size in zip(window, spatial, strict=True)]
    before = [each // 2 for each in missing]
    padded = np.pad(values, [(0, 0), *((first, all_ - first) for first, all_ in zip(before, missing, strict=True))])
    weights, total = importance(window), np.zeros_like(padded)
    weight = np.zeros(padded.shape[1:], np.float32)
    for at in places(weight.shape, window, overlap):
        interruption.check()
        total[:, *at] += run(padded[None, :, *at])[0] * weights
        weight[at] += weights
    total /= weight
    inside = tuple(slice(first, first + size) for first, size in zip(before, spatial, strict=True))
    return total[:, *inside]


def places(size: tuple[int, ...], window: Size, overlap: float) -> Iterator[tuple[slice, ...]]:
    """The windows that cover a volume no smaller than one, the last axis fastest; the last of an axis ends with it."""
    axes = []
    for length, wide in zip(size, window, strict=True):
        step = max(1, int(wide * (1 - overlap)))
        count = 1 + max(0, -(-(length - wide) // step))
        axes.append([slice(start, start + wide) for start in (min(it * step, length - wide) for it in range(count))])
    return product(*axes)


def importance(window: Size) -> Float32:
    """The weights of the voxels of a window: a Gaussian about its middle."""
    weights = np.ones((1, 1, 1), np.float32)
    for axis, wide in enumerate(window):
        from_middle = torch.arange(-(wide - 1) / 2, (wide - 1) / 2 + 1, dtype=torch.float32)
        # By torch: the exponential of numpy differs in the last bit.
        along = torch.exp(from_middle**2 / (-2 * (_SIGMA * wide) ** 2)).numpy()
        weights = weights * along.reshape([-1 if it == axis else 1 for it in range(3)])
    found: Float32 = np.maximum(weights, max(float(weights.min()), _SMALLEST_WEIGHT))
    return found
