"""Content items of structured documents, by the concept that they are a value of (PS3.15 E.3.4).

Texts are replaced, since people dictate into them. Of documents that this node has made, those sentences are kept that
are put together from words and numbers of its own; not those in which the description of a series, or what a bundle
says of itself, stands. Codes are kept of schemes that are the same everywhere.
"""

from __future__ import annotations

import re

from pydicom import Dataset
from pydicom.dataelem import DataElement

_DCM, _LOINC, _SNOMED, _OWN = "DCM", "LN", "SCT", "99RECTALNODE"
#: Name and version of an algorithm.
_ALGORITHM = frozenset({("111001", _DCM), ("111002", _DCM)})
#: Name, manufacturer, model and serial number of the device that observes (TID 1004).
_DEVICE = frozenset((code, _DCM) for code in ("121013", "121014", "121015", "121016"))
_TRACKING = frozenset({("112039", _DCM)})
_OWN_SENTENCES = frozenset(
    (code, _OWN) for code in ("AI-RESULT", "AI-NOT-REPORTED", "AI-LOCATION", "AI-EXPLANATION", "SUPERSEDES")
)
_BIRTH_DATES = frozenset({("121031", _DCM), ("21112-8", _LOINC), ("184099003", _SNOMED)})
_AGES = frozenset({("121033", _DCM), ("30525-0", _LOINC), ("397669002", _SNOMED), ("424144002", _SNOMED)})
#: Sex, size and weight: what else Retain Patient Characteristics is about (TID 1007).
_CHARACTERISTICS = _AGES | {
    *(("121032", _DCM), ("46098-0", _LOINC), ("263495000", _SNOMED), ("734000001", _SNOMED)),
    *(("8302-2", _LOINC), ("50373000", _SNOMED), ("248333004", _SNOMED)),
    *(("29463-7", _LOINC), ("3141-9", _LOINC), ("27113001", _SNOMED)),
    *(("39156-5", _LOINC), ("8277-6", _LOINC)),
}
#: Units of an age (UCUM), and up to which number it says no more than that somebody is not 90.
_OLDEST = {"a": 89, "a_j": 89, "mo": 89 * 12, "wk": 89 * 52, "d": 89 * 365, "h": 89 * 8760, "min": 89 * 525600}
#: Coding schemes that are published (PS3.16 8), whose codes say the same everywhere.
_PUBLISHED = frozenset(
    {
        *("DCM", "SCT", "SRT", "SNM3", "99SDM", "LN", "UCUM", "FMA", "RADLEX", "NCIt", "UMLS", "MSH", "IBSI", "UBERON"),
        *(
            "BI",
            "CD8",
            "I9C",
            "I10",
            "ICDO3",
            "ISO639_1",
            "ISO639_2",
            "RFC5646",
            "PUBCHEM_CID",
            "RXNORM",
            "ITIS_TSN",
            "99IHE",
        ),
    }
)
CODE = ("CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning", "CodingSchemeDesignator")
"""Attributes of an item that make it a code (PS3.3 8.8)."""
_OID = re.compile(r"[0-2](?:\.\d+){3,}\.?")


def keeps_text(item: Dataset, made_here: bool, device: bool) -> bool:
    """Whether the text of a content item is kept; `device`: that of devices is."""
    concept = _concept(item)
    if concept in _DEVICE:
        return device and not is_oid(str(item.get("TextValue", "")))
    if made_here:
        return concept in _ALGORITHM | _TRACKING | _OWN_SENTENCES
    return device and concept in _ALGORITHM


def names_algorithm(item: Dataset) -> bool:
    """Whether a content item says which algorithm has measured."""
    return _concept(item) in _ALGORITHM


def is_birth_date(item: Dataset) -> bool:
    """Whether a content item says when the patient was born, which no shift of dates hides."""
    return _concept(item) in _BIRTH_DATES


def is_characteristic(item: Dataset) -> bool:
    """Whether a content item says how old, of which sex, how tall or heavy the patient is."""
    return _concept(item) in _CHARACTERISTICS


def tells_great_age(item: Dataset) -> bool:
    """Whether a content item says, or may say, that the patient is 90 or older."""
    return _concept(item) in _AGES and not all(map(_is_younger, item.get("MeasuredValueSequence") or ()))


def is_code(item: Dataset) -> bool:
    """Whether an item is one of a code sequence."""
    return any(keyword in item for keyword in CODE)


def is_code_sequence(element: DataElement) -> bool:
    """Whether a sequence is one of codes."""
    return element.keyword.endswith("CodeSequence") or any(map(is_code, element.value))


def is_published(item: Dataset, made_here: bool) -> bool:
    """Whether a code is of a scheme that is the same everywhere; `made_here`: that of the node is known as well."""
    scheme = str(item.get("CodingSchemeDesignator", "")).strip()
    return scheme in _PUBLISHED or (made_here and scheme == _OWN)


def is_oid(text: str) -> bool:
    """Whether a text is an object identifier, whose root tells of whom it is."""
    return _OID.fullmatch(text.strip()) is not None


def _is_younger(value: Dataset) -> bool:
    units = value.get("MeasurementUnitsCodeSequence") or ()
    limit = _OLDEST.get(str(next(iter(units), Dataset()).get("CodeValue", "")))
    if limit is None or "FloatingPointValue" in value or "RationalNumeratorValue" in value:
        return False
    try:
        return float(value.NumericValue) <= limit
    except (AttributeError, TypeError, ValueError):
        return False


def _concept(item: Dataset) -> tuple[str, str]:
    named = item.get("ConceptNameCodeSequence") or ()
    code = next(iter(named), Dataset())
    return str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", ""))
