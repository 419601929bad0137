"""The keys of queries at each level, with how they are matched, and what extended negotiation agrees on."""

from __future__ import annotations

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.tag import BaseTag, Tag

from node.conformance.markdown import table
from node.services.query import SUPPORTED
from storage.catalogue.attributes import COUNTED, READ, UNIQUE_KEYS, Level
from storage.catalogue.keys import vr_of

#: PS3.4 Tables C.6-1, C.6-2, C.6-3 and C.6-4; what is neither unique nor required is optional.
REQUIRED = {
    Level.PATIENT: ("PatientName",),
    Level.STUDY: ("StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    Level.SERIES: ("Modality", "SeriesNumber"),
    Level.IMAGE: ("InstanceNumber",),
}
_NUMBERS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_NEGOTIATED = (  # PS3.4 Table C.5-1
    "relational queries",
    "combined matching of a date and its time",
    "fuzzy matching of person names",
    "adjustment of the time zone",
    "empty value matching",
    "multiple value matching",
)


def keys_as_table(level: Level) -> str:
    """The keys of a level."""
    rows = [
        (dictionary_description(tag_of(keyword)), tag_of(keyword), vr_of(keyword), kind(level, keyword), how(keyword))
        for keyword in (*READ[level], *COUNTED[level])
    ]
    return table(("attribute", "tag", "VR", "key", "matching"), rows)


def extended_negotiation() -> str:
    """What is answered to each byte of the application information of a query class."""
    rows = [(name, "yes" if supported else "no") for name, supported in zip(_NEGOTIATED, SUPPORTED, strict=True)]
    return table(("what can be asked for", "supported"), rows)


def tag_of(keyword: str) -> BaseTag:
    """The tag of an attribute."""
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return Tag(found)


def kind(level: Level, keyword: str) -> str:
    """Unique, required or optional."""
    if keyword == UNIQUE_KEYS[level]:
        return "U"
    return "R" if keyword in REQUIRED[level] else "O"


def how(keyword: str) -> str:
    """How a key of one value is matched, beside universal matching."""
    vr = vr_of(keyword)
    if vr == "UI":
        return "single value, list of UIDs"
    if vr in ("DA", "TM", "DT"):
        return "single value, range"
    if vr == "SQ":
        return "sequence"
    if vr == "PN":
        return "single value, wild card, as names"
    if vr in _NUMBERS:
        return "single value, as a number"
    return "single value" if vr in ("AS", "AT") else "single value, wild card"
