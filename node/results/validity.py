"""Elements of a source as a result may hold them: the dictionary's value representation, its format, its multiplicity.

Scanners, archives and anonymisers write decimal strings that are too long, dates with dots, numbers as text, two values
where one belongs. What has one sure reading is written anew in its right form; what has none is left out by whoever
asks. UIDs are never changed: what the storage takes for one is passed on as it stands, leading zeros and all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName, format_number_as_ds, is_valid_ds, validate_value

from node.recognition.header.spelling import standard_form
from storage.dicom_files import ELEMENT_ERRORS
from storage.errors import HeaderError
from storage.header import check_uid

#: Enumerated values: any other has no meaning to a reader.
ENUMERATED = {
    "PatientSex": frozenset({"F", "M", "O"}),
    "PatientIdentityRemoved": frozenset({"YES", "NO"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "BurnedInAnnotation": frozenset({"YES", "NO"}),
    "MRAcquisitionType": frozenset({"2D", "3D"}),
    "AngioFlag": frozenset({"Y", "N"}),
    "VariableFlipAngleFlag": frozenset({"Y", "N"}),
    "ScanningSequence": frozenset({"SE", "IR", "GR", "EP", "RM"}),
    "SequenceVariant": frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"}),
}

_SPECIFIC_CHARACTER_SET = 0x00080005
_TEXT_VRS = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_ONE_TEXT = frozenset({"LT", "ST", "UT"})
_LIMITS = {"US": (0, 2**16 - 1), "SS": (-(2**15), 2**15 - 1), "UL": (0, 2**32 - 1), "SL": (-(2**31), 2**31 - 1)}
_LIMITS["IS"] = _LIMITS["SL"]
_ESCAPE_CHARACTER = "\x1b"
_ESCAPE_SEQUENCE = re.compile(r"\x1b[ -/]+[0-~]")


def valid(dataset: Dataset, tag: BaseTag) -> DataElement:
    """The element of a data set in its valid form, its text in Unicode.

    Args:
        dataset: as read, its text settled (`charsets.settle`); holds the element.
        tag: of the standard.

    Raises:
        ValueError or another of `ELEMENT_ERRORS`: it has none.
    """
    vr = dictionary_VR(tag)
    element = _converted(dataset, tag, vr)
    if vr == "SQ":
        return _element(tag, vr, [_item(item) for item in _items(element)])
    values = [_TYPED[vr](value, tag) for value in _values(element, vr)]
    values = _as_many_as_allowed([value for value in values if value is not None], tag, vr)
    return _element(tag, vr, values[0] if len(values) == 1 else values or None)


def _converted(dataset: Dataset, tag: BaseTag, vr: str) -> DataElement:
    """The element as pydicom converts it; numbers in text that it cannot convert as they stand."""
    try:
        return dataset[tag]
    except (*ELEMENT_ERRORS, OSError) as error:  # OSError: so pydicom calls bytes in memory that are no sequence
        raw = dataset.get_item(tag)
        if raw is None or vr not in ("DS", "IS"):
            raise ValueError(str(error)) from error
        return _element(tag, "UN", raw.value)


def _element(tag: BaseTag, vr: str, value: object) -> DataElement:
    return DataElement(tag, vr, value, validation_mode=config.IGNORE)


def _items(element: DataElement) -> list[Dataset]:
    if element.is_empty:
        return []
    items = list(element.value)
    if not all(isinstance(item, Dataset) for item in items):
        raise ValueError("no sequence")
    return items


def _item(item: Dataset) -> Dataset:
    """The elements of an item that are standard and valid."""
    made = Dataset()
    for tag in sorted(item.keys()):
        if tag.is_private or not dictionary_has_tag(tag) or tag == _SPECIFIC_CHARACTER_SET:
            continue
        try:
            made[tag] = valid(item, tag)
        except ELEMENT_ERRORS:
            continue
    return made


def _values(element: DataElement, vr: str) -> list[object]:
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("ascii").strip(" \0").split("\\")
    if value is None or (isinstance(value, str) and not value):
        return []
    if isinstance(value, str | PersonName) or not isinstance(value, Iterable):
        return [value]
    values = list(value)
    return ["\\".join(map(str, values))] if vr in _ONE_TEXT else values


def _as_many_as_allowed(values: list[object], tag: BaseTag, vr: str) -> list[object]:
    """Raises ValueError where there are more or fewer than the dictionary says; of text, see `text`."""
    least, most = _multiplicity(dictionary_VM(tag))
    if not values or least <= len(values) <= most or vr in (*_TEXT_VRS, "PN"):
        return values
    raise ValueError(f"{len(values)} values")


def _multiplicity(vm: str) -> tuple[int, float]:
    first, _, last = vm.partition("-")
    return int(re.sub("n", "1", first)), math.inf if "n" in last else int(last or first)


def _text(value: object, tag: BaseTag) -> object:
    """Without the escape sequences that pydicom leaves in where they are those of ISO 2022 IR 58."""
    return _ESCAPE_SEQUENCE.sub("", str(value)) if _ESCAPE_CHARACTER in str(value) else str(value)


def _name(value: object, tag: BaseTag) -> object:
    return PersonName(str(_text(value, tag)))


def _uid(value: object, tag: BaseTag) -> object:
    try:
        return check_uid(str(value).strip(" \0"), keyword_for_tag(tag))
    except HeaderError as error:
        raise ValueError(str(error)) from error


def _original(value: object) -> str:
    original = getattr(value, "original_string", None)
    return (str(value) if original is None else str(original)).strip(" \0")


def _decimal(value: object, tag: BaseTag) -> object:
    """Decimal strings of more than 16 characters, which scanners do write, are written again with 16."""
    text = _original(value)
    if not text:
        return None
    text = standard_form("DS", text)
    return text if len(text) <= 16 and is_valid_ds(text) else format_number_as_ds(float(text))


def _whole(vr: str) -> Callable[[object, BaseTag], object]:
    def checked(value: object, tag: BaseTag) -> object:
        text = _original(value)
        if not text:
            return None
        number = int(standard_form("IS", text))
        low, high = _LIMITS[vr]
        if not low <= number <= high:
            raise ValueError(f"{vr} holds no such number")
        return number

    return checked


def _real(value: object, tag: BaseTag) -> object:
    number = float(_original(value))
    if not math.isfinite(number):
        raise ValueError("no finite number")
    return number


def _formatted(vr: str) -> Callable[[object, BaseTag], object]:
    """Dates and times are written as the standard writes them, code strings in capitals."""

    def checked(value: object, tag: BaseTag) -> object:
        text = _original(value)
        if vr in ("DA", "TM", "DT") and text:
            text = standard_form(vr, text)
        elif vr in ("CS", "AS"):
            text = text.upper()
        validate_value(vr, text, config.RAISE)
        if text and text not in ENUMERATED.get(keyword_for_tag(tag), (text,)):
            raise ValueError("none of the terms that are defined")
        return text or None

    return checked


_TYPED: dict[str, Callable[[object, BaseTag], object]] = {
    **dict.fromkeys(_TEXT_VRS, _text),
    **{vr: _whole(vr) for vr in _LIMITS},
    **{vr: _formatted(vr) for vr in ("AE", "AS", "CS", "DA", "DT", "TM")},
    "DS": _decimal,
    "FD": _real,
    "FL": _real,
    "PN": _name,
    "UI": _uid,
}
