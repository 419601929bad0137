"""The intensities that become 0 and 1 in the network; all that depends on the modality."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from models.volume import Float32

#: Of magnitude images without a unit; robust against single bright voxels.
RANGE_PERCENTILES = (0.5, 99.5)
#: Hounsfield units: air to dense bone.
CT_RANGE = (-1000.0, 1000.0)


class Modality(StrEnum):
    """DICOM Modality (0008,0060) of a volume that can be super-resolved."""

    MR = "MR"
    CT = "CT"
    US = "US"


def intensity_range(values: Float32, modality: Modality = Modality.MR) -> tuple[float, float]:
    """The intensities mapped to 0 and 1, the lower one first; equal only for a constant volume. `values`: (z, y, x).

    MR: percentiles, as it has no unit. CT: fixed Hounsfield units. US: 0 to the brightest echo, log-compressed.
    """
    if modality is Modality.CT:
        low, high = CT_RANGE if values.max() > values.min() else (values.min(), values.max())
    elif modality is Modality.US:
        low, high = min(0.0, values.min()), values.max()
    else:
        low, high = np.percentile(values, RANGE_PERCENTILES)
    if high <= low:
        low, high = values.min(), values.max()
    return float(low), float(high)
