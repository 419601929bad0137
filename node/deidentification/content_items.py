"""Texts of structured documents that are kept, by the concept that they are a value of (PS3.15 E.3.4).

All others are replaced: people dictate into them. Of documents that this node has made, those sentences are kept that
are put together from words and numbers of its own; not those in which the description of a series stands.
"""

from __future__ import annotations

from pydicom import Dataset

_DCM = "DCM"
#: Name, version and parameters of an algorithm.
_ALGORITHM = frozenset({("111001", _DCM), ("111002", _DCM), ("111003", _DCM)})
#: Name, manufacturer, model and serial number of the device that observes (TID 1004).
_DEVICE = frozenset((code, _DCM) for code in ("121013", "121014", "121015", "121016"))
_TRACKING = frozenset({("112039", _DCM)})
_OWN_SENTENCES = frozenset(
    (code, "99RECTALNODE")
    for code in (
        "AI-LIMITATION",
        "AI-RESULT",
        "AI-NOT-REPORTED",
        "AI-LOCATION",
        "AI-EXPLANATION",
        "AI-MODEL",
        "SUPERSEDES",
    )
)
_BIRTH_DATE = ("121031", _DCM)


def keeps_text(item: Dataset, made_here: bool, device: bool) -> bool:
    """Whether the text of a content item is kept; `device`: that of devices is."""
    concept = _concept(item)
    if made_here:
        return concept in _ALGORITHM | _DEVICE | _TRACKING | _OWN_SENTENCES
    return device and concept in _ALGORITHM | _DEVICE


def is_birth_date(item: Dataset) -> bool:
    """Whether a content item says when the patient was born, which no shift of dates hides."""
    return _concept(item) == _BIRTH_DATE


def _concept(item: Dataset) -> tuple[str, str]:
    named = item.get("ConceptNameCodeSequence") or ()
    code = next(iter(named), Dataset())
    return str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", ""))
