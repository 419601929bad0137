"""How stored values become others, from the Modality LUT module or the Pixel Value Transformation macro."""

from __future__ import annotations

from pydicom import Dataset

from node.recognition.header import elements as read
from node.recognition.header.facts import Scaling


def scaling(dataset: Dataset, scale_slope: float | None) -> Scaling:
    """Rescale Slope and Intercept of a data set or of a functional group."""
    return Scaling(read.number(dataset, "RescaleSlope"), read.number(dataset, "RescaleIntercept"), scale_slope)
