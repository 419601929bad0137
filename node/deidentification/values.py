"""Values that stand in the place of others, by value representation (PS3.5 6.2)."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from node.deidentification.patient import DUMMY_DATE, DUMMY_TIME

DUMMY_TEXT = "REMOVED"
_OLDEST = 89
_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
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
    """An AS; who is 90 or older is 90: few are, and a date of an event would find them."""
    years = text[:3]
    return "090Y" if text.endswith("Y") and years.isdigit() and int(years) > _OLDEST else text
