"""The keys of a query (PS3.4 C.2.2.1), as values without padding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo

from pydicom.datadict import dictionary_VR, tag_for_keyword

from storage.catalogue.attributes import Level

#: Of these a backslash is a character like others (PS3.5 6.2), and spaces before the text count.
NARRATIVE = frozenset({"ST", "LT", "UT", "UR"})
_LEADING_SPACES_COUNT = NARRATIVE | {"UC"}
_EMPTY = '""'


@dataclass(frozen=True, slots=True)
class Key:
    """An attribute that is asked for, and what it must be.

    Attributes:
        keyword: of the attribute.
        vr: of the attribute, by the data dictionary.
        values: any of which an entity may have; none: every entity fits (universal matching, PS3.4 C.2.2.2.3).
        items: keys that one item of a sequence must fit.
        empty: only entities without a value fit (PS3.4 C.2.2.2.7).
    """

    keyword: str
    vr: str
    values: tuple[str, ...] = ()
    items: tuple[Key, ...] = ()
    empty: bool = False

    @property
    def tag(self) -> str:
        """As the DICOM JSON model writes it."""
        return f"{tag_for_keyword(self.keyword):08X}"

    @property
    def is_universal(self) -> bool:
        """Whether every entity fits."""
        return not self.values and not self.empty and all(item.is_universal for item in self.items)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for.

    Attributes:
        level: of the entities.
        keys: all of which an entity must fit, of its level or one above it.
        combined: ranges of a date and its time are one range (PS3.4 C.2.2.2.5.4).
        zone: of datetimes in keys without an offset; None: that of the machine.
        site_zone: of stored datetimes where neither they nor their object say it.
    """

    level: Level
    keys: tuple[Key, ...]
    combined: bool = False
    zone: tzinfo | None = UTC
    site_zone: tzinfo | None = UTC


def key(keyword: str, values: Iterable[str], empty_values: bool = False) -> Key:
    """A key of an attribute that is no sequence.

    Args:
        keyword: of the attribute.
        values: as they are asked for; where one is ``*``, or all are empty, every entity fits.
        empty_values: a value of two quotation marks asks for entities without one (PS3.4 C.2.2.2.7).

    Raises:
        KeyError: no attribute is called so.
    """
    vr = vr_of(keyword)
    said = [padding_off(vr, value) for value in values]
    if empty_values and said == [_EMPTY]:
        return Key(keyword, vr, empty=True)
    kept = tuple(value for value in said if value.strip("^= " if vr == "PN" else ""))
    return Key(keyword, vr, () if kept == ("*",) else kept)


def padding_off(vr: str, value: str) -> str:
    """A value without what pads it (PS3.5 6.2)."""
    return value.rstrip(" \0") if vr in _LEADING_SPACES_COUNT else value.strip(" \0")


def vr_of(keyword: str) -> str:
    """Value representation of an attribute, the first where there are several.

    Raises:
        KeyError: no attribute is called so.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return dictionary_VR(tag).partition(" ")[0]
