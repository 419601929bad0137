"""The objects that are made of a sequence only where a destination asks for their kind."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.results import contour_images, enhanced_mr, fractional, labelmap, presentation_state
from node.results.encoded import EncodedImage
from node.results.findings import SequenceResult
from node.results.identity import Identity
from node.results.source import SourceFrame
from node.settings import ResultKind

log = logging.getLogger(__name__)

#: Role, name of the file without its extension, and content of an object.
Made = tuple[str, str, Dataset | EncodedImage]


@dataclass(frozen=True, slots=True)
class Source:
    """What the objects of a sequence are made from: its result, and the frames that they refer to."""

    result: SequenceResult
    acquired: tuple[SourceFrame, ...]
    derived: list[SourceFrame]
    identity: Identity
    in_rectum: bool


def objects(source: Source, kinds: Collection[ResultKind]) -> Iterator[Made]:
    """The objects of these kinds, in the order of their kinds; of a sequence without a tumour, only its volume."""
    result, frames, identity = source.result, source.acquired, source.identity
    if result.has_tumour:
        yield from _of_tumour(source, kinds)
    if ResultKind.ENHANCED in kinds:
        yield _whole(enhanced_mr.series_facts(result).role, enhanced_mr.enhanced_mr(result, frames, identity))


def _of_tumour(source: Source, kinds: Collection[ResultKind]) -> Iterator[Made]:
    result, frames, identity = source.result, source.acquired, source.identity
    if ResultKind.FRACTIONAL in kinds:
        if result.probability is None:
            log.warning("study %s: %s: no probability was kept: rerun it", identity.study_instance_uid, result.sequence)
        else:
            role = fractional.series_facts(result.sequence).role
            yield _whole(role, fractional.fractional(result, result.probability, frames, identity, source.in_rectum))
    if ResultKind.LABELMAP in kinds:
        role = labelmap.series_facts(result.sequence).role
        yield _whole(role, labelmap.labelmap(result, frames, identity, source.in_rectum))
    if ResultKind.PRESENTATION_STATE in kinds:
        yield from _numbered(presentation_state.of_acquired(result, frames, identity))
        yield from _numbered(presentation_state.of_super_resolved(result, source.derived, frames[0].header, identity))
    if ResultKind.CONTOUR_IMAGES in kinds:
        yield from _numbered(contour_images.contour_images(result, frames, identity))


def _whole(role: str, content: Dataset | EncodedImage) -> Made:
    return role, role, content


def _numbered(made: Iterator[tuple[str, Dataset]]) -> Iterator[Made]:
    for number, (role, content) in enumerate(made, 1):
        yield role, f"{role}-{number:04d}", content
