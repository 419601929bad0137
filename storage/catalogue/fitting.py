"""Whether an element, in the DICOM JSON model, fits a key (PS3.4 C.2.2.2): every kind of matching, for one entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from storage.catalogue import matching, ranges
from storage.catalogue.keys import Key, padding_off

Elements = Mapping[str, Mapping[str, Any]]
"""Elements in the DICOM JSON model, by tag."""

_TIMEZONE = "00080201"
_MOMENTS = frozenset({"DA", "TM", "DT"})
_NUMBERS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_EXACT = frozenset({"UI", "AS", "AT"})


@dataclass(frozen=True, slots=True)
class Zones:
    """Time zones of datetimes without an offset; None is that of the machine."""

    of_key: tzinfo | None = UTC
    of_value: tzinfo | None = UTC


def fits(key: Key, elements: Elements, zones: Zones) -> bool:
    """Whether the elements of an entity, or of an item, fit a key."""
    if key.is_universal:
        return True
    stored = elements.get(key.tag, {}).get("Value", [])
    if key.items:
        return any(item_fits(key, item, zones) for item in stored)
    values = list(filter(None, (padding_off(key.vr, text_of(value)) for value in stored)))
    if key.empty:
        return not values
    match = _match_of(key.vr)
    return any(match(key, asked, value, zones) for asked in key.values for value in values)


def item_fits(key: Key, item: Elements, zones: Zones) -> bool:
    """Whether an item fits all keys of the item of a sequence (PS3.4 C.2.2.2.6)."""
    return all(fits(each, item, zones) for each in key.items)


def pair_fits(span: ranges.Span, date: str, time: str, elements: Elements) -> bool:
    """Whether a date and its time, by their tags, lie in a span of both (PS3.4 C.2.2.2.5.4)."""
    said = [text_of((elements.get(tag, {}).get("Value") or [None])[0]).strip() for tag in (date, time)]
    day, hour = ranges.span("DA", said[0]), ranges.span("TM", said[1])
    if day is None or hour is None:
        return False
    moment = day.first + hour.first
    return (not span.first or span.first <= moment) and (not span.last or moment <= span.last)


def zones_of(elements: Elements, of_key: tzinfo | None, site_zone: tzinfo | None) -> Zones:
    """The zones that hold for an entity: its own Timezone Offset From UTC comes before that of the site."""
    stated = elements.get(_TIMEZONE, {}).get("Value") or [""]
    return Zones(of_key, ranges.offset(text_of(stated[0])) or site_zone)


def text_of(value: Any) -> str:  # noqa: ANN401 (of JSON)
    """A value in the DICOM JSON model as text; of a person name its groups with an equals sign between."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "=".join(value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
    return str(value)


def wild(pattern: str, text: str) -> bool:
    """Wild card matching (PS3.4 C.2.2.2.4), in a time that grows with the product of the lengths."""
    at = place = 0
    star, resumed = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == "*":
            star, resumed = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ("?", text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            resumed += 1
            at, place = resumed, star + 1
        else:
            return False
    return not pattern[place:].strip("*")


def name_fits(key: str, value: str) -> bool:
    """Whether a person name fits: a component group that is asked for; one that is asked for alone may be any, unless
    it is ASCII, which means the alphabetic one.

    A name of fewer components than the key has empty ones (PS3.5 6.2.1.1).
    """
    asked, groups = matching.person_name(key), matching.person_name(value)
    stored = (groups.alphabetic, groups.ideographic, groups.phonetic)
    if "=" not in key.rstrip("="):
        return any(_group_fits(asked.alphabetic, group) for group in (stored[:1] if key.isascii() else stored))
    wanted = (asked.alphabetic, asked.ideographic, asked.phonetic)
    return all(not part or _group_fits(part, group) for part, group in zip(wanted, stored, strict=True))


def _group_fits(key: str, group: str) -> bool:
    return wild(key, group + "^" * max(0, key.count("^") - group.count("^")))


_Match = Callable[[Key, str, str, Zones], bool]


def _match_of(vr: str) -> _Match:
    if vr == "PN":
        return lambda _key, asked, value, _zones: name_fits(asked, value)
    if vr in _MOMENTS:
        return _moment
    if vr in _NUMBERS:
        return lambda _key, asked, value, _zones: _number(asked) is not None and _number(asked) == _number(value)
    if vr in _EXACT:
        return lambda _key, asked, value, _zones: asked == value
    return lambda _key, asked, value, _zones: wild(asked, value)


def _moment(key: Key, asked: str, value: str, zones: Zones) -> bool:
    """Range matching; a stored value of less precision is its first moment."""
    span, stored = ranges.span(key.vr, asked, zones.of_key), ranges.span(key.vr, value, zones.of_value)
    if span is None or stored is None:
        return False
    return (not span.first or span.first <= stored.first) and (not span.last or stored.first <= span.last)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
