"""Values as they are matched (PS3.4 C.2.2.2): stored values go through here, and so do the keys of a query."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date as Date

_DATE = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_INTEGER = re.compile(r"[+-]?\d{1,12}")
_COMPONENT_GROUPS = 3
# Combining Diacritical Marks: accents. Marks of other scripts, such as the voicing of kana, make another letter.
_ACCENTS = re.compile("[\u0300-\u036f]")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class PersonName:
    """The component groups of a name, folded; empty where the name has none."""

    alphabetic: str
    ideographic: str
    phonetic: str


def person_name(value: str) -> PersonName:
    """A PN value without case, accents, widths, and the spaces and delimiters that say nothing."""
    groups = [_folded(group) for group in value.split("=")[:_COMPONENT_GROUPS]]
    return PersonName(*groups, *[""] * (_COMPONENT_GROUPS - len(groups)))


def _folded(group: str) -> str:
    decomposed = unicodedata.normalize("NFKD", group).casefold()
    plain = unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", decomposed)))
    components = (_SPACES.sub(" ", component).strip() for component in plain.split("^"))
    return "^".join(components).rstrip("^")


def date(value: str) -> str | None:
    """A DA value as YYYYMMDD, that of ACR-NEMA (YYYY.MM.DD) too; None where it is no day."""
    found = _DATE.fullmatch(value.strip())
    if found is None:
        return None
    year, _, month, day = found.groups()
    try:
        Date(int(year), int(month), int(day))
    except ValueError:
        return None
    return f"{year}{month}{day}"


def time(value: str) -> str | None:
    """A TM value as HHMMSS.FFFFFF, of which what is not said is 0; None where it is no time of the day."""
    found = _TIME.fullmatch(value.strip())
    if found is None:
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    # 60 is a leap second.
    if hour > 23 or minute > 59 or second > 60:
        return None
    return f"{hour:02}{minute:02}{second:02}.{found.group(4) or '':0<6}"


def integer(value: str) -> int | None:
    """An IS or US value; None where it is none."""
    stripped = value.strip()
    return int(stripped) if _INTEGER.fullmatch(stripped) else None


def text(value: str) -> str:
    """A value of any other VR: without padding, in its case."""
    return value.strip(" \0")
