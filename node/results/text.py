"""Text as its value representation allows it (PS3.5 6.2): no control characters, no stray delimiters, not too long.

The standard counts characters; databases and viewers count octets, so limits are met in octets of UTF-8, which is what
results are written in. Descriptions that are longer end with an ellipsis, and a backslash that was typed into one of
them, where it parts values, becomes a slash. Identifiers and names are neither cut nor joined: another one is that of
somebody else, and the archive files by what came from there.
"""

from __future__ import annotations

import re
import unicodedata

from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

ELLIPSIS = "…"

#: Octets of one value; Unlimited Characters, Unlimited Text and Person Name have no entry.
LIMITS = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_ONE_LINE = frozenset({"SH", "LO", "PN", "UC"})
_TEXT = _ONE_LINE | {"ST", "LT", "UT"}

#: What archives, orders and code tables find things by.
IDENTIFIERS = frozenset(
    {
        "AccessionNumber",
        "ClinicalTrialProtocolID",
        "ClinicalTrialSiteID",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "ClinicalTrialTimePointID",
        "CodeValue",
        "CodingSchemeDesignator",
        "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest",
        "IssuerOfPatientID",
        "PatientID",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "StudyID",
    }
)

#: C0, DEL and C1, and halves of surrogate pairs, which UTF-8 has no form for.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_FORBIDDEN_IN_PARAGRAPHS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]+")
_LONGEST_CODE_VALUE = 16


def conform(dataset: Dataset) -> None:
    """Make all text of a data set and of its items such as its value representation allows.

    Elements that are changed are replaced: other data sets may share them. Elements that are encoded already stay as
    they are.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element is None or isinstance(element, RawDataElement):
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                conform(item)
        elif element.VR in _TEXT and not element.is_empty:
            _replace(dataset, element)
    _lengthen_code_value(dataset)


def shortened(text: str, octets: int) -> str:
    """`text`, or as much of it as fits into so many octets of UTF-8 before an ellipsis; no character is split."""
    encoded = text.encode()
    if len(encoded) <= octets:
        return text
    kept = encoded[: octets - len(ELLIPSIS.encode())].decode(errors="ignore")
    while kept and unicodedata.category(text[len(kept)]).startswith("M"):
        kept = kept[:-1]
    return kept.rstrip() + ELLIPSIS


def one_line(text: str) -> str:
    """`text` on one line, without backslashes and what cannot be printed, single blanks between its words."""
    return " ".join("".join(c if c.isprintable() and c != "\\" else " " for c in text).split())


def _replace(dataset: Dataset, element: DataElement) -> None:
    values = [str(value) for value in (element.value if element.VM > 1 else [element.value])]
    if len(values) > 1 and _is_single(element):
        values = ["/".join(values)]
    allowed = [_allowed(value, element.VR, element.keyword) for value in values]
    if allowed != values or len(values) != element.VM:
        dataset.add_new(element.tag, element.VR, allowed if len(allowed) > 1 else allowed[0])


def _is_single(element: DataElement) -> bool:
    """Whether several values of an element are one text that a backslash was typed into."""
    if element.VR == "PN" or element.keyword in IDENTIFIERS:
        return False
    try:
        return dictionary_VM(element.tag) == "1"
    except KeyError:
        return False


def _allowed(value: str, vr: str, keyword: str) -> str:
    forbidden = _FORBIDDEN if vr in _ONE_LINE else _FORBIDDEN_IN_PARAGRAPHS
    if forbidden.search(value):
        value = forbidden.sub(" ", value).strip()
    if vr not in LIMITS or keyword in IDENTIFIERS:
        return value
    return shortened(value, LIMITS[vr])


def _lengthen_code_value(item: Dataset) -> None:
    """A code of more than 16 characters is a Long Code Value (PS3.3 8.1), not a shorter code."""
    value = item.get("CodeValue")
    if value and len(str(value)) > _LONGEST_CODE_VALUE:
        item.add_new("LongCodeValue", "UC", str(value))
        del item["CodeValue"]
