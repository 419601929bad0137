"""The mask that a DICOM Segmentation holds of a stack, on the grid of that stack (PS3.3 A.51)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import SegmentationStorage

from models.volume import average_onto, grid_of, volume_ml
from node.codes import Code
from node.errors import Refusal, told
from node.recognition.header.elements import MALFORMED, text
from node.recognition.header.facts import FrameFacts, ImageKind
from node.recognition.header.files import DAMAGE
from node.recognition.record import Stack
from storage.dicom_files import read_dataset
from storage.identity import InstanceKey

#: Of a segmentation's volume at least so much must lie in the stack.
LEAST_SHARE_INSIDE = 0.5
_UNREADABLE = (*MALFORMED, RuntimeError, InvalidDicomError, MemoryError)


@dataclass(frozen=True, slots=True)
class SegmentationFile:
    """A Segmentation that is no result of this node, and the series and instances that it refers to.

    `sources` are SOP Instance UIDs of images whose series it does not name.
    """

    path: Path
    sop_instance_uid: str
    frame_of_reference_uid: str
    series: frozenset[str]
    instances: frozenset[InstanceKey]
    sources: frozenset[str]

    def refers_to(self, stack: Stack) -> int:
        """2 where it names images of the stack, 1 where it names only their series, else 0."""
        if self.instances & stack.instances or self.sources & {frame.sop_instance_uid for frame in stack.frames}:
            return 2
        return int(stack.series_instance_uid in self.series)


def segmentation_files(frames: Sequence[FrameFacts]) -> tuple[SegmentationFile, ...]:
    """The Segmentations among the files of a study; the node's own results are nobody's truth and are left out."""
    paths = {
        frame.header.path: None
        for frame in frames
        if frame.header.sop_class_uid == SegmentationStorage and frame.kind is not ImageKind.OWN_RESULT
    }
    return tuple(_segmentation_file(path) for path in paths)


def segmentation_of(stack: Stack, files: Sequence[SegmentationFile]) -> SegmentationFile | None:
    """The one Segmentation that refers to a stack; one that names its images before one that names only its series.

    Raises:
        Refusal: E-MASK-MANY, two refer to it alike.
    """
    best = max((file.refers_to(stack) for file in files), default=0)
    found = [file for file in files if best and file.refers_to(stack) == best]
    if len(found) > 1:
        uids = ", ".join(file.sop_instance_uid for file in found)
        raise Refusal(Code.MASK_MANY, f"{len(found)} segmentations refer to the {stack.role} series: {uids}; keep one")
    return found[0] if found else None


def mask_from(file: SegmentationFile, stack: Stack, image: sitk.Image, segment: str) -> sitk.Image:
    """The tumour (uint8) on the grid of `image`, which is the volume of `stack`.

    Args:
        file: the Segmentation.
        stack: what it refers to.
        image: the stack's volume.
        segment: regular expression for the labels of the segments that are tumour, any case; all that match are
            taken together. The only segment of an object is taken whatever its label.

    Raises:
        Refusal: E-MASK-PLACE (another frame of reference, or most of it outside of the stack), E-MASK-SEGMENT (no
            label matches), E-MASK-EMPTY, E-DECODE.
    """
    if file.frame_of_reference_uid != stack.frame_of_reference_uid:
        raise Refusal(
            Code.MASK_PLACE, f"{file.sop_instance_uid}: other Frame of Reference than the {stack.role} series"
        )
    try:
        dataset = hd.seg.Segmentation.from_dataset(read_dataset(file.path), copy=False)
        chosen = _segments(dataset, segment)
        volume = dataset.get_volume(segment_numbers=chosen)
    except _UNREADABLE as error:
        raise Refusal(Code.DECODE, f"{file.sop_instance_uid}: {told(error, DAMAGE)}") from error
    # One channel a segment; fractional segmentations hold shares.
    drawn = np.asarray(volume.array, np.float32).max(axis=-1) >= 0.5
    return on_grid(_image(drawn, volume), image, file.sop_instance_uid)


def on_grid(drawn: sitk.Image, image: sitk.Image, name: str) -> sitk.Image:
    """A mask on any grid brought to that of `image`: tumour where it covers at least half of a voxel (uint8).

    Raises:
        Refusal: E-MASK-EMPTY or E-MASK-PLACE, naming `name`.
    """
    before = volume_ml(drawn)
    if before == 0:
        raise Refusal(Code.MASK_EMPTY, f"{name}: holds no voxel")
    share = average_onto(sitk.Cast(drawn != 0, sitk.sitkFloat32), grid_of(image))
    mask = sitk.Cast(share >= 0.5, sitk.sitkUInt8)
    inside = volume_ml(mask) / before
    if inside < LEAST_SHARE_INSIDE:
        raise Refusal(Code.MASK_PLACE, f"{name}: only {inside:.0%} of its volume lies in the stack")
    return mask


def _segmentation_file(path: Path) -> SegmentationFile:
    dataset = read_dataset(path, stop_before_pixels=True)
    references = tuple(dataset.get("ReferencedSeriesSequence") or ())
    instances = frozenset(_listed(references))
    sources = frozenset(text(item, "ReferencedSOPInstanceUID") for item in _sources(dataset))
    return SegmentationFile(
        path=path,
        sop_instance_uid=text(dataset, "SOPInstanceUID"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        series=frozenset(text(item, "SeriesInstanceUID") for item in references),
        instances=instances,
        sources=sources - {key.sop_instance_uid for key in instances},
    )


def _listed(references: tuple[Dataset, ...]) -> Iterator[InstanceKey]:
    for series in references:
        for item in series.get("ReferencedInstanceSequence") or ():
            yield InstanceKey(text(series, "SeriesInstanceUID"), text(item, "ReferencedSOPInstanceUID"))


def _sources(dataset: Dataset) -> Iterator[Dataset]:
    """Source images of every frame (Derivation Image functional group)."""
    groups = (
        *(dataset.get("SharedFunctionalGroupsSequence") or ()),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or ()),
    )
    for group in groups:
        for derivation in group.get("DerivationImageSequence") or ():
            yield from derivation.get("SourceImageSequence") or ()


def _segments(dataset: hd.seg.Segmentation, segment: str) -> list[int]:
    labels = {int(item.SegmentNumber): text(item, "SegmentLabel") for item in dataset.SegmentSequence}
    matching = [number for number, label in labels.items() if re.search(segment, label, re.IGNORECASE)]
    chosen = list(labels) if len(labels) == 1 else matching
    if not chosen:
        named = ", ".join(repr(label) for label in labels.values())
        raise Refusal(Code.MASK_SEGMENT, f"{dataset.SOPInstanceUID}: no segment matches {segment!r}; there are {named}")
    return chosen


def _image(drawn: np.ndarray, volume: hd.Volume) -> sitk.Image:
    """highdicom's array axes are slice, row, column, with their unit vectors as columns of `direction` (LPS)."""
    image = sitk.GetImageFromArray(drawn.astype(np.uint8))
    image.SetSpacing([float(step) for step in volume.spacing[::-1]])
    image.SetOrigin([float(value) for value in volume.position])
    image.SetDirection(np.asarray(volume.direction)[:, ::-1].ravel().tolist())
    return image
