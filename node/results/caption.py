"""The caption of the page, on the patient and on itself, in the words of the attributes of the object around it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

NOT_STATED = "not stated"
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "HALFWIDTH KATAKANA")


@dataclass(frozen=True, slots=True)
class Caption:
    """The lines that tell whose page it is, and when it was made.

    Attributes:
        made_at: in the offset from UTC of the object that the page goes into.
        patient: the name; empty on a page that names nobody.
        study: patient ID, birth date, study date and accession number; empty on a page that names nobody.
    """

    made_at: datetime
    patient: str = ""
    study: str = ""


def caption(target: Dataset, made_at: datetime, name_patient: bool) -> Caption:
    """The caption of the page that goes into `target`, from the patient and study attributes that this has already."""
    if not name_patient:
        return Caption(made_at)
    facts = {
        "ID": _stated(target, "PatientID"),
        "born": iso_date(_stated(target, "PatientBirthDate")),
        "study": iso_date(_stated(target, "StudyDate")),
        "accession": _stated(target, "AccessionNumber"),
    }
    name = readable_name(_stated(target, "PatientName"))
    return Caption(made_at, name or f"name {NOT_STATED}", "   ·   ".join(map(" ".join, facts.items())))


def readable_name(name: str) -> str:
    """A Person Name (PS3.5 6.2.1) as a person reads it: its alphabetic, ideographic and phonetic form, each once."""
    return " · ".join(dict.fromkeys(filter(None, map(_group, name.split("=")))))


def iso_date(date: str) -> str:
    """YYYY-MM-DD of a DA value, also of one as ACR-NEMA wrote it; anything else as it is."""
    found = _DATE.fullmatch(date)
    return "-".join(found.groups()) if found else date


def _stated(target: Dataset, keyword: str) -> str:
    stated = target.get(keyword)
    values = stated if isinstance(stated, MultiValue) else [stated or ""]
    value = "\\".join(map(str, values)).strip()
    return value or ("" if keyword == "PatientName" else NOT_STATED)


def _group(group: str) -> str:
    """`Family, Prefix Given Middle, Suffix`, without commas where East Asian letters are in it."""
    family, given, middle, prefix, suffix, *rest = [*map(str.strip, group.split("^")), "", "", "", ""][:5] + (
        group.split("^")[5:]
    )
    if any(unicodedata.name(character, "").startswith(_EAST_ASIAN) for character in group):
        return " ".join(filter(None, (family, given, middle, prefix, suffix, *rest)))
    called = " ".join(filter(None, (prefix, given, middle)))
    return ", ".join(filter(None, (family, called, suffix, *rest)))
