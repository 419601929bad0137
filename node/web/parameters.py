"""The query parameters of a search (PS3.18 8.3.4): keys, and how the answer is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TypeVar

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from node.services.identifier import MOST_UIDS, MOST_VALUES
from node.web.problems import MalformedError, uid
from storage.catalogue import matching, ranges
from storage.catalogue.attributes import Level, keywords
from storage.catalogue.keys import NARRATIVE, Key, Query, key, vr_of

_TAG = re.compile("[0-9A-Fa-f]{8}")
_COUNT = re.compile(r"\d{1,9}")
_ALL = "all"
_ZONE = "TimezoneOffsetFromUTC"
_UID_SEPARATORS = re.compile(r"[\\,]")
#: Said, and not done; PS3.18 10.6.3.3 has the words.
_ONLY_LITERAL = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
_ANY_OF_SEVERAL = "The multiplevaluematching parameter is not supported. Any of several values has been matched."


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for.

    Attributes:
        query: of the catalogue.
        fixed: keywords of the unique keys that the path of the request gives.
        asked: keywords of attributes that are asked for beside those that every answer has.
        everything: all attributes are asked for.
        limit: answers at most; None where nothing is said.
        offset: answers that are left out before the first.
        warnings: what of the request was not done, in words.
    """

    query: Query
    fixed: frozenset[str]
    asked: frozenset[str] = frozenset()
    everything: bool = False
    limit: int | None = None
    offset: int = 0
    warnings: tuple[str, ...] = ()


def read_search(
    pairs: Iterable[tuple[str, str]], level: Level, fixed: Mapping[str, str], site_zone: tzinfo | None
) -> Search:
    """The search that query parameters mean.

    Args:
        pairs: names and values of the parameters.
        level: of the entities.
        fixed: UIDs that the path gives, by keyword.
        site_zone: of datetimes that state no offset; None: the machine's.

    Raises:
        MalformedError: they mean none; the message names the parameter.
    """
    said = _Said()
    for name, value in pairs:
        said.take(name, value)
    return said.search(level, fixed, site_zone)


@dataclass(slots=True)
class _Said:
    """The parameters, sorted by what they are for."""

    options: dict[str, str] = field(default_factory=dict)
    included: list[str] = field(default_factory=list)
    attributes: dict[tuple[str, ...], str] = field(default_factory=dict)

    def take(self, name: str, value: str) -> None:
        """Take a parameter."""
        if name == "includefield":
            self.included += [each.strip() for each in value.split(",")]
            return
        if name == "accept":
            return
        if name in _OPTIONS:
            _put(self.options, name, name, value)
        else:
            _put(self.attributes, _attribute(name), name, value)

    def search(self, level: Level, fixed: Mapping[str, str], site_zone: tzinfo | None) -> Search:
        """The search that they mean at a level."""
        empty_values = self._truth("emptyvaluematching")
        warnings = [_ONLY_LITERAL] if self._truth("fuzzymatching") else []
        warnings += [_ANY_OF_SEVERAL] if self._truth("multiplevaluematching") else []
        zone = self._zone()
        for keyword in fixed:
            if (keyword,) in self.attributes:
                raise MalformedError(f"{keyword} is given by the path and by a parameter")
        supported = keywords(level)
        foreign = sorted({".".join(path) for path in self.attributes if path[0] not in supported or len(path) > 2})
        warnings += [f"The parameter {name} is not supported and has not been matched." for name in foreign]
        matched = {path: value for path, value in self.attributes.items() if ".".join(path) not in foreign}
        found = [key(keyword, [value]) for keyword, value in fixed.items()]
        found += _keys(matched, empty_values)
        asked, everything = self._asked()
        return Search(
            query=Query(level, tuple(found), combined=True, zone=zone or site_zone, site_zone=site_zone),
            fixed=frozenset(fixed),
            asked=asked | {path[0] for path in matched},
            everything=everything,
            limit=self._count("limit"),
            offset=self._count("offset") or 0,
            warnings=tuple(warnings),
        )

    def _asked(self) -> tuple[frozenset[str], bool]:
        """Keywords of the attributes that are asked for, and whether all are."""
        names = [name for name in self.included if name not in ("", _ALL)]
        paths = [_attribute(name, may_be_private=True) for name in names]
        return frozenset(path[0] for path in paths if path[0]), _ALL in self.included

    def _truth(self, name: str) -> bool:
        value = self.options.get(name, "false")
        if value not in ("true", "false"):
            raise MalformedError(f"{name} is true or false")
        return value == "true"

    def _count(self, name: str) -> int | None:
        value = self.options.get(name)
        if value is None:
            return None
        if not _COUNT.fullmatch(value):
            raise MalformedError(f"{name} is a number from 0 on")
        return int(value)

    def _zone(self) -> tzinfo | None:
        """Timezone Offset From UTC, in which datetimes of the request are meant (PS3.18 8.3.4.1)."""
        value = self.attributes.pop((_ZONE,), "")
        zone = ranges.offset(value)
        if value and zone is None:
            raise MalformedError(f"{_ZONE} has the form +0100")
        return zone


_Place = TypeVar("_Place")


def _put(known: dict[_Place, str], place: _Place, name: str, value: str) -> None:
    if place in known:
        raise MalformedError(f"{name[:64]} is given twice")
    known[place] = value


_OPTIONS = frozenset({"limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "charset"})


def _attribute(name: str, may_be_private: bool = False) -> tuple[str, ...]:
    """The keywords of an attribute, and of one in an item of it; empty where a tag has none and need not.

    Raises:
        MalformedError: no attribute is called so.
    """
    parts = []
    for part in name.split("."):
        keyword = keyword_for_tag(int(part, 16)) if _TAG.fullmatch(part) else part
        known = bool(keyword) and tag_for_keyword(keyword) is not None
        if not known and not (may_be_private and _TAG.fullmatch(part)):
            raise MalformedError(f"no attribute is called {part[:64]}")
        parts.append(keyword if known else "")
    return tuple(parts)


def _keys(matched: Mapping[tuple[str, ...], str], empty_values: bool) -> Iterator[Key]:
    items: dict[str, list[Key]] = {}
    for path, value in matched.items():
        keyword = path[-1]
        if (vr_of(path[0]) == "SQ") != (len(path) == 2) or vr_of(keyword) == "SQ":
            if value:
                raise MalformedError(f"{'.'.join(path)}: of a sequence an attribute of its items is matched")
            continue
        made = key(keyword, _values(keyword, value), empty_values)
        if len(path) == 2:
            items.setdefault(path[0], []).append(made)
        else:
            yield made
    for keyword, found in items.items():
        yield Key(keyword, "SQ", items=tuple(found))


def _values(keyword: str, text: str) -> list[str]:
    """The values of a key.

    Raises:
        MalformedError: there are too many, or one is none of its VR.
    """
    vr = vr_of(keyword)
    if vr == "UI":
        values = _UID_SEPARATORS.split(text) if text else []
        values = [uid(value.strip(), keyword) for value in values if value != "*"]
        most = MOST_UIDS
    else:
        values, most = [text] if vr in NARRATIVE else text.split("\\"), MOST_VALUES
    if len(values) > most:
        raise MalformedError(f"{keyword} has more than {most} values")
    for value in values:
        _check(keyword, vr, value.strip())
    return values


def _check(keyword: str, vr: str, value: str) -> None:
    if value in ("", "*", '""'):
        return
    if vr in ("DA", "TM", "DT") and ranges.span(vr, value) is None:
        raise MalformedError(f"{keyword} is no {_MOMENTS[vr]} and no range of them")
    if vr in ("IS", "US", "UL", "SS", "SL") and matching.integer(value) is None:
        raise MalformedError(f"{keyword} is no number")


_MOMENTS = {"DA": "date (YYYYMMDD)", "TM": "time (HHMMSS)", "DT": "datetime (YYYYMMDDHHMMSS)"}
