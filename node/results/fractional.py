"""How probable the tumour is in each voxel, as a fractional Segmentation (PS3.3 C.8.20.2.3, PROBABILITY)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import SimpleITK as sitk
from highdicom.seg import SegmentationTypeValues
from pydicom.dataset import Dataset

from node.results import segmentation
from node.results.findings import SequenceResult
from node.results.identity import Identity
from node.results.image_planes import require_same_place
from node.results.modules import SeriesFacts
from node.results.source import SourceFrame

_OFFSET = 20  # of Series Number (0020,0011) from that of the binary segmentation


def series_facts(sequence: str) -> SeriesFacts:
    """The facts that identify the series of a sequence."""
    facts = segmentation.series_facts(sequence, super_resolved=False)
    return replace(
        facts,
        role=f"segmentation-fractional-{sequence.lower()}",
        number=facts.number + _OFFSET,
        description=f"AI-SEG {sequence} tumour probability (research)",
    )


def fractional(
    result: SequenceResult, probability: sitk.Image, frames: Sequence[SourceFrame], identity: Identity, in_rectum: bool
) -> Dataset:
    """The probability (float32, 0 to 1; slice k on frame k) in 255ths; the other arguments as of `segmentation`.

    Raises:
        PermanentError: probability and frames are not at the same place.
    """
    require_same_place(probability, frames)
    pixels = sitk.GetArrayViewFromImage(probability).clip(0.0, 1.0)
    facts, kind = series_facts(result.sequence), SegmentationTypeValues.FRACTIONAL
    return segmentation.segmentation_of(pixels, kind, frames, facts, identity, frames[0].header, in_rectum)
