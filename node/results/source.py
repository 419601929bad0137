"""The headers of the source images of a stack: one classic header a frame, Unicode text, nothing private."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds, is_valid_ds, validate_value

from node.recognition.files import read_dataset
from node.recognition.record import Stack
from node.results import attributes
from node.results.text import conform

log = logging.getLogger(__name__)

UNICODE = "ISO_IR 192"

#: Value representations whose format a peer or checker may reject, and that scanners and anonymisers do break.
_CHECKED_VRS = frozenset({"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})

_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ESCAPE_CHARACTER = "\x1b"
_ESCAPE_SEQUENCE = re.compile(r"\x1b[ -/]+[0-~]")


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

    Plain attribute assignment changes the element in place, and with it every other dataset that shares it.
    """
    dataset.add_new(keyword, dictionary_VR(keyword), value)


def read_frames(stack: Stack) -> tuple[SourceFrame, ...]:
    """Headers of a stack's frames, in the order of the stack."""
    objects: dict[Path, Dataset] = {}
    for frame in stack.frames:
        if frame.path not in objects:
            objects[frame.path] = read_header(frame.path)
    return tuple(_frame(objects[frame.path], index, stack) for index, frame in enumerate(stack.frames))


def read_header(path: Path) -> Dataset:
    """The attributes of one object that results may inherit, decoded to Unicode and free of malformed values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(attributes.READ))
        header = Dataset()
        _declare_character_set(dataset)
        dataset.remove_private_tags()
        dataset.decode()
        _drop_escapes(dataset)
        for keyword in attributes.READ:
            if keyword in dataset:
                _take(header, dataset, keyword)
    for item in _items(header):
        item.pop("SpecificCharacterSet", None)
    header.SpecificCharacterSet = UNICODE
    conform(header)
    return header


def _declare_character_set(dataset: Dataset) -> None:
    """Where text is not ASCII and no character set is declared, take the one that the bytes are valid in.

    Scanners with a Chinese front end are known to leave (0008,0005) out; UTF-8 is tried first because text in
    another encoding is practically never valid UTF-8.
    """
    if dataset.get("SpecificCharacterSet"):
        return
    name = dataset.get_item("PatientName")
    raw = name.value if name is not None and isinstance(name.value, bytes) else b""
    if raw.isascii():
        return
    for character_set, codec in ((UNICODE, "utf-8"), ("GB18030", "gb18030")):
        try:
            raw.decode(codec)
        except UnicodeDecodeError:
            continue
        log.debug("instance %s declares no character set; read as %s", dataset.get("SOPInstanceUID"), codec)
        dataset.SpecificCharacterSet = character_set
        return


def _drop_escapes(dataset: Dataset) -> None:
    """Remove ISO 2022 escape sequences from decoded text: pydicom leaves those of ISO 2022 IR 58 in."""
    for part in (dataset, *_items(dataset)):
        for element in part:
            if element.VR in _TEXT_VRS and _ESCAPE_CHARACTER in str(element.value):
                texts = element.value if element.VM > 1 else [element.value]
                part.add_new(element.tag, element.VR, [_ESCAPE_SEQUENCE.sub("", str(text)) for text in texts])


def _take(header: Dataset, dataset: Dataset, keyword: str) -> None:
    """Copy one element if its values have the format of their value representation.

    Decimal strings of more than 16 characters, which scanners do write, are written again with 16.
    """
    try:
        element = dataset[keyword]
        if element.VR in _CHECKED_VRS and not element.is_empty:
            values = list(element.value) if element.VM > 1 else [element.value]
            if element.VR == "DS":
                put(header, keyword, [_decimal(value) for value in values])
                return
            for value in values:
                validate_value(element.VR, _text(value), config.RAISE)
        header[keyword] = element
    except (ValueError, TypeError, OverflowError):
        log.warning("instance %s: %s is malformed and left out", dataset.get("SOPInstanceUID"), keyword)


def _decimal(value: object) -> str:
    text = _text(value).strip()
    return text if len(text) <= 16 and is_valid_ds(text) else format_number_as_ds(float(text))


def _text(value: object) -> str:
    original = getattr(value, "original_string", None)
    return str(original) if original is not None else str(value)


def _items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)


def _frame(header: Dataset, index: int, stack: Stack) -> SourceFrame:
    frame = stack.frames[index]
    shared = [header.get(keyword, ()) for keyword in attributes.FUNCTIONAL_GROUPS]
    classic = Dataset()
    for element in header:
        if element.keyword not in attributes.FUNCTIONAL_GROUPS:
            classic[element.tag] = element
    multi_frame = "PerFrameFunctionalGroupsSequence" in header
    if multi_frame:
        _lift_functional_groups(classic, (shared[1][frame.frame], *shared[0]))
        put(classic, "SOPClassUID", MRImageStorage)
    if frame.tile is not None:
        _place(classic, index, stack)
    for keyword in attributes.REQUIRED_EVEN_IF_EMPTY:
        if keyword not in classic:
            put(classic, keyword, None)
    if not classic.get("SliceThickness"):
        put(classic, "SliceThickness", format_number_as_ds(float(stack.slice_step_mm)))
    return SourceFrame(
        header=classic,
        sop_class_uid=str(header.SOPClassUID),
        sop_instance_uid=str(header.SOPInstanceUID),
        frame_number=frame.frame + 1 if multi_frame else None,
        tiled=frame.tile is not None,
    )


def _place(header: Dataset, index: int, stack: Stack) -> None:
    """Write where slice `index` of the stack lies; what may speak of the sheet that it is tiled in goes."""
    for keyword in attributes.OF_WHOLE_IMAGE:
        header.pop(keyword, None)
    put(header, "Rows", stack.rows)
    put(header, "Columns", stack.columns)
    position = np.asarray(stack.origin) + index * stack.slice_step_mm * np.asarray(stack.normal)
    places: dict[str, Iterable[float]] = {
        "ImagePositionPatient": position,
        "ImageOrientationPatient": (*stack.row_direction, *stack.column_direction),
        "PixelSpacing": stack.pixel_spacing,
        "SpacingBetweenSlices": (stack.slice_step_mm,),
    }
    for keyword, numbers in places.items():
        put(header, keyword, [format_number_as_ds(float(number)) for number in numbers])


def _lift_functional_groups(header: Dataset, groups: Sequence[Dataset]) -> None:
    for macro, keyword, classic_keyword in attributes.CLASSIC_FROM_FUNCTIONAL_GROUPS:
        for group in groups:
            if group.get(macro) and keyword in group[macro].value[0]:
                put(header, classic_keyword, group[macro].value[0][keyword].value)
                break
