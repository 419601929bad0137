"""Values that stand in the place of others, by value representation (PS3.5 6.2), and whether a text is of its kind."""

from __future__ import annotations

import re

from pydicom import Dataset, config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from node.deidentification.patient import DUMMY_DATE, DUMMY_TIME, is_time

DUMMY_TEXT = "REMOVED"
_OLDEST = 89
_AGE = re.compile(r"\s*0*([0-9]{1,3})\s*([DWMY])\s*", re.IGNORECASE)
#: Units of an age, and from which number on somebody is 90.
_TOO_OLD = {"Y": 90, "M": 90 * 12, "W": 90 * 52, "D": 90 * 365}
_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_BINARY_NUMBERS = _NUMBERS - {"DS", "IS"}
_STRINGS = _TEXT | {"AS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_TERM = re.compile(r"[A-Z0-9_ ]{0,16}")
_FIXED = {
    "AS": "000Y",
    "DA": DUMMY_DATE,
    "TM": DUMMY_TIME,
    "DT": f"{DUMMY_DATE}{DUMMY_TIME}",
    "UR": "https://removed.invalid/",
}


def dummy(tag: BaseTag, vr: str) -> DataElement:
    """A value of a kind that says nothing."""
    if vr in _TEXT:
        return DataElement(tag, vr, DUMMY_TEXT)
    if vr in _NUMBERS:
        return DataElement(tag, vr, "0" if vr in ("DS", "IS") else 0)
    if vr in _FIXED:
        return DataElement(tag, vr, _FIXED[vr])
    return empty(tag, vr)


def empty(tag: BaseTag, vr: str) -> DataElement:
    """No value."""
    return DataElement(tag, vr, Sequence() if vr == "SQ" else None)


def dummy_code() -> Dataset:
    """An item of a code sequence that says nothing."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = DUMMY_TEXT, "99REMOVED", DUMMY_TEXT
    return item


def bounded_age(text: str) -> str:
    """An AS in the spelling of the standard; who is 90 or older is 90, and what is no age is a dummy.

    Few are so old, and a date of an event would find them.
    """
    if not text.strip():
        return ""
    found = _AGE.fullmatch(text)
    if found is None:
        return _FIXED["AS"]
    number, unit = int(found[1]), found[2].upper()
    return f"{_OLDEST + 1:03}Y" if number >= _TOO_OLD[unit] else f"{number:03}{unit}"


def time_of_day(text: str) -> str:
    """A TM as it is; what is none is a dummy."""
    return text if not text.strip() or is_time(text.strip()) else DUMMY_TIME


def of_its_kind(element: DataElement) -> DataElement | None:
    """An element with a VR that the dictionary gives its attribute, whatever its file says; None where it cannot be so.

    Raises:
        ValueError, TypeError: the value is none of the kind.
    """
    tag, vr = element.tag, element.VR
    if not dictionary_has_tag(tag):
        return element
    kinds = dictionary_VR(tag).split(" or ")
    if vr in kinds or (vr in _BINARY_NUMBERS and not _BINARY_NUMBERS.isdisjoint(kinds)):
        return element
    kind = kinds[0]
    if vr not in _STRINGS or kind not in _STRINGS:
        return None
    values = [
        str(it) for it in (element.value if isinstance(element.value, MultiValue | list) else [element.value or ""])
    ]
    if kind == "CS" and not all(map(_TERM.fullmatch, values)):
        return None
    return DataElement(tag, kind, values if len(values) != 1 else values[0], validation_mode=config.IGNORE)
