"""The headers of the source images of a stack: one classic header a frame, Unicode text, nothing private."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage
from pydicom.valuerep import format_number_as_ds

import storage.header
from models import interruption
from node.recognition.header.charsets import settle
from node.recognition.header.elements import datasets, item
from node.recognition.record import Stack
from node.results import attributes
from node.results.identity import Identity
from node.results.lossy import as_a_whole, tell_loss
from node.results.text import conform
from node.results.validity import valid
from storage.dicom_files import ELEMENT_ERRORS, read_dataset

log = logging.getLogger(__name__)

UNICODE = "ISO_IR 192"
# Of the length of a direction and of the product of two; validators allow 0.0001.
_ORIENTATION_TOLERANCE = 5e-5
_SHORTEST = 1e-6
MULTI_FRAME = frozenset({EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One image that a result refers to.

    Attributes:
        header: attributes of a classic image at top level, whatever the object was; text in Unicode.
        frame_number: 1-based number within a multi-frame object, None for a classic image.
        tiled: whether the object is a sheet of slices; `header` then places this slice and not the sheet.
    """

    header: Dataset
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    tiled: bool = False

    @property
    def series_instance_uid(self) -> str:
        """Series of the object."""
        return str(self.header.SeriesInstanceUID)


def put(dataset: Dataset, keyword: str, value: object) -> None:
    """Give an attribute a new element.

    Plain attribute assignment changes the element in place, and with it every other dataset that shares it. Values are
    taken as they are: those of a source have been checked, and pydicom takes a UID with leading zeros for none.
    """
    dataset.add(DataElement(Tag(keyword), dictionary_VR(keyword), value, validation_mode=config.IGNORE))


def put_all(dataset: Dataset, values: Mapping[str, object]) -> None:
    """Give attributes new elements, by their keywords."""
    for keyword, value in values.items():
        put(dataset, keyword, value)


def inherit(target: Dataset, header: Dataset, keywords: Iterable[str]) -> None:
    """Take over the elements named, as they are in the header."""
    for keyword in keywords:
        if keyword in header:
            target[keyword] = header[keyword]


def complete(dataset: Dataset, keywords: Iterable[str]) -> None:
    """Add those of some elements that are not there, without a value."""
    put_all(dataset, {keyword: None for keyword in keywords if keyword not in dataset})


def read_frames(stack: Stack, identity: Identity) -> tuple[SourceFrame, ...]:
    """Headers of a stack's frames, in the order of the stack.

    Where the series states no Frame of Reference UID (0020,0052) its frames get one that is derived from the series,
    so that all that is made from it shares it.

    Raises:
        OSError: a file cannot be read.
    """
    objects: dict[Path, _Read] = {}
    for frame in stack.frames:
        if frame.path not in objects:
            interruption.check()
            objects[frame.path] = _read(frame.path)
    left_out = Counter(keyword for read in objects.values() for keyword in read.left_out)
    if left_out:
        counts = ", ".join(f"{keyword} (in {count} of {len(objects)} files)" for keyword, count in left_out.items())
        log.warning("series %s: left out of results, as malformed: %s", stack.series_instance_uid, counts)
    known = {
        "StudyInstanceUID": identity.study_instance_uid,
        "SeriesInstanceUID": stack.series_instance_uid,
        "FrameOfReferenceUID": stack.frame_of_reference_uid
        or identity.uid("frame-of-reference", content=stack.series_instance_uid),
    }
    frames = tuple(_frame(objects[frame.path], index, stack, known) for index, frame in enumerate(stack.frames))
    as_a_whole([frame.header for frame in frames])
    return frames


def read_header(path: Path) -> Dataset:
    """The attributes of one object that results may inherit, decoded to Unicode and free of malformed values.

    The identifiers are those that the storage knows the object by, even where nothing else can be read.

    Raises:
        OSError: the file cannot be read.
        HeaderError: it is no file that the storage would take.
    """
    read = _read(path)
    if read.left_out:
        log.warning("instance %s: left out, as malformed: %s", read.header.get("SOPInstanceUID"), read.left_out)
    stored = storage.header.read_header(path)
    uids = {
        "SOPClassUID": stored.sop_class_uid,
        "SOPInstanceUID": stored.sop_instance_uid,
        "StudyInstanceUID": stored.study_instance_uid,
        "SeriesInstanceUID": stored.series_instance_uid,
    }
    put_all(read.header, uids)
    return read.header


@dataclass(frozen=True, slots=True)
class _Read:
    """The part of an object that results may inherit, its functional groups as they came, and what is malformed."""

    header: Dataset
    shared_groups: tuple[Dataset, ...]
    frame_groups: tuple[Dataset, ...]
    left_out: tuple[str, ...]


def _read(path: Path) -> _Read:
    header = Dataset()
    left_out: list[str] = []
    with warnings.catch_warnings(action="ignore"):
        dataset = _dataset(path)
        settled = settle(dataset, nested=True)
        for keyword in attributes.READ:
            tag = Tag(keyword)
            if tag not in dataset or keyword in attributes.FUNCTIONAL_GROUPS:
                continue
            try:
                header[tag] = valid(dataset, tag)
            except ELEMENT_ERRORS:
                left_out.append(keyword)
    conform(header)
    tell_loss(header, path, dataset)
    put(header, "SpecificCharacterSet", UNICODE)
    left_out.extend(keyword for keyword in settled.unreadable if keyword not in left_out)
    shared, frames = (datasets(dataset, keyword) for keyword in attributes.FUNCTIONAL_GROUPS)
    return _Read(header, shared, frames, tuple(left_out))


def _dataset(path: Path) -> Dataset:
    """Empty where there is nothing to be read."""
    try:
        return read_dataset(path, stop_before_pixels=True, specific_tags=list(attributes.READ))
    except (*ELEMENT_ERRORS, InvalidDicomError) as error:
        log.warning("%s: no header can be read: %s", path.name, type(error).__name__)
        return Dataset()


def with_patient(frames: tuple[SourceFrame, ...], header: Dataset | None) -> tuple[SourceFrame, ...]:
    """The same frames, with the Patient module of `header` where their own states no Patient ID."""
    if header is None or not header.get("PatientID"):
        return frames
    return tuple(frame if frame.header.get("PatientID") else _of_patient(frame, header) for frame in frames)


def _of_patient(frame: SourceFrame, header: Dataset) -> SourceFrame:
    named = Dataset()
    named.update({element.tag: element for element in frame.header if element.keyword not in attributes.PATIENT})
    inherit(named, header, attributes.PATIENT)
    return replace(frame, header=named)


def _frame(read: _Read, index: int, stack: Stack, known: Mapping[str, str]) -> SourceFrame:
    frame = stack.frames[index]
    classic = Dataset()
    classic.update(read.header)
    multi_frame = frame.sop_class_uid in MULTI_FRAME
    if multi_frame:
        own = read.frame_groups[frame.frame : frame.frame + 1]
        _lift_functional_groups(classic, (*own, *read.shared_groups))
        put(classic, "SOPClassUID", MRImageStorage)
    if frame.tile is not None:
        _place(classic, index, stack)
    _orient(classic)
    put_all(classic, known)
    complete(classic, attributes.REQUIRED_EVEN_IF_EMPTY)
    if not classic.get("SliceThickness"):
        put(classic, "SliceThickness", format_number_as_ds(float(stack.slice_step_mm)))
    return SourceFrame(
        header=classic,
        sop_class_uid=frame.sop_class_uid,
        sop_instance_uid=frame.sop_instance_uid,
        frame_number=frame.frame + 1 if multi_frame else None,
        tiled=frame.tile is not None,
    )


def _place(header: Dataset, index: int, stack: Stack) -> None:
    """Write where slice `index` of the stack lies; what may speak of the sheet that it is tiled in goes."""
    for keyword in attributes.OF_WHOLE_IMAGE:
        header.pop(keyword, None)
    put_all(header, {"Rows": stack.rows, "Columns": stack.columns})
    position = np.asarray(stack.origin) + index * stack.slice_step_mm * np.asarray(stack.normal)
    places: dict[str, Iterable[float]] = {
        "ImagePositionPatient": position,
        "ImageOrientationPatient": (*stack.row_direction, *stack.column_direction),
        "PixelSpacing": stack.pixel_spacing,
        "SpacingBetweenSlices": (stack.slice_step_mm,),
    }
    for keyword, numbers in places.items():
        put(header, keyword, [format_number_as_ds(float(number)) for number in numbers])


def _orient(header: Dataset) -> None:
    """Make the directions of Image Orientation (0020,0037) orthogonal and of unit length where rounding spoiled that.

    PS3.3 C.7.6.2.1.1 demands that of them, and so do validators of what refers to the image; a source that states three
    digits does not keep it.
    """
    stated = header.get("ImageOrientationPatient")
    if not stated or len(stated) != 6:
        return
    row, column = np.asarray(stated[:3], float), np.asarray(stated[3:], float)
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column))) <= _ORIENTATION_TOLERANCE:
        return
    row = row / max(lengths[0], _SHORTEST)
    column = column - float(row @ column) * row
    column = column / max(float(np.linalg.norm(column)), _SHORTEST)
    put(header, "ImageOrientationPatient", [format_number_as_ds(float(number)) for number in (*row, *column)])


def _lift_functional_groups(header: Dataset, groups: Sequence[Dataset]) -> None:
    """Write what functional groups say at the top level, where classic images have it; malformed values stay behind."""
    rows = (*attributes.CLASSIC_FROM_CONVERTED, *attributes.CLASSIC_FROM_FUNCTIONAL_GROUPS)
    for macro, keyword, classic_keyword in rows:
        for group in groups:
            found = item(group, macro)
            if keyword not in found:
                continue
            try:
                lifted = valid(found, Tag(keyword)).value
                checked = Dataset()
                checked.add_new(Tag(classic_keyword), dictionary_VR(classic_keyword), lifted)
                header[classic_keyword] = valid(checked, Tag(classic_keyword))
            except ELEMENT_ERRORS:
                continue
            break
