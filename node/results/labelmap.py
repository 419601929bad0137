"""The tumour mask as a Label Map Segmentation (PS3.3 A.51, Supplement 243): the value of a pixel is its segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from highdicom.seg import SegmentationTypeValues
from pydicom.dataset import Dataset

from node.results import attributes, segmentation
from node.results.findings import SequenceResult
from node.results.identity import Identity
from node.results.image_planes import require_same_place
from node.results.modules import SeriesFacts
from node.results.source import SourceFrame

_OFFSET = 30  # of Series Number (0020,0011) from that of the binary segmentation


def series_facts(sequence: str) -> SeriesFacts:
    """The facts that identify the series of a sequence."""
    facts = segmentation.series_facts(sequence, super_resolved=False)
    return replace(
        facts,
        role=f"segmentation-labelmap-{sequence.lower()}",
        number=facts.number + _OFFSET,
        description=f"AI-SEG {sequence} tumour label map (research)",
        sop_class_uid=attributes.LABEL_MAP_SEGMENTATION,
    )


def labelmap(result: SequenceResult, frames: Sequence[SourceFrame], identity: Identity, in_rectum: bool) -> Dataset:
    """The mask of a sequence, not empty, on its acquired grid; the arguments as of `segmentation`.

    Raises:
        PermanentError: mask and frames are not at the same place.
    """
    require_same_place(result.mask, frames)
    pixels = (sitk.GetArrayViewFromImage(result.mask) > 0).astype(np.uint8)
    facts, kind = series_facts(result.sequence), SegmentationTypeValues.LABELMAP
    return segmentation.segmentation_of(pixels, kind, frames, facts, identity, frames[0].header, in_rectum)
