"""From which value to which a picture goes from black to white."""

from __future__ import annotations

import numpy as np


def grey_range(volume: np.ndarray) -> tuple[float, float]:
    """1st and 99.5th percentile of what is not background in the middle half of each slice.

    The middle decides because surface coils make the fat near them much brighter than the pelvis.

    Args:
        volume: slices × rows × columns.

    Returns:
        Black point and white point, the second larger than the first.
    """
    rows, columns = (slice(size // 4, max(size - size // 4, size // 4 + 1)) for size in volume.shape[1:])
    middle = volume[:, rows, columns]
    for values in (middle[middle > 0], volume[volume > 0]):
        if values.size:
            low, high = np.percentile(values, (1, 99.5))
            return float(low), float(max(high, low + 1e-6))
    return 0.0, 1.0
