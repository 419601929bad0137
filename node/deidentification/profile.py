"""The Basic Application Level Confidentiality Profile with its options (PS3.15 E.2, E.3): what is done to an element.

The table of the standard is kept as data beside this file, and what is done to other attributes beside it. Where it
leaves a choice between removing, emptying and a dummy by the type of the attribute in its IOD (such as X/Z/D), the last
is taken: it is right for every type.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.sr.coding import Code

from node.errors import NodeError

_FOLDER = Path(__file__).parent
_GRAPHICS, _CONTENT, _BASIC = "Clean Graphics Option", "Clean Structured Content Option", "Basic Profile"


class Option(StrEnum):
    """Options of the profile that can be chosen; each adds what it says to the Basic Profile, or keeps it."""

    DATES = "dates"
    DEVICE = "device"
    CHARACTERISTICS = "characteristics"
    DESCRIPTORS = "descriptors"
    PRIVATE = "private"


class Action(StrEnum):
    """What is done to an element.

    KEEP: as it is. REMOVE, EMPTY. DUMMY: another value of its kind. UID: a new one. SHIFT: the day, by what all dates
    of the patient are. WORDS: of its words those that are known and name nobody.
    """

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    SHIFT = "shift"
    WORDS = "words"


EDITION = "2026c"
"""Of PS3.15, whose Table E.1-1 `table_e1_1.csv` holds."""

#: PS3.16 CID 7050.
BASIC = Code("113100", "DCM", "Basic Application Confidentiality Profile")
ALWAYS = (
    BASIC,
    Code("113103", "DCM", _GRAPHICS),
    Code("113104", "DCM", _CONTENT),
)
CODES: Mapping[Option, Code] = {
    Option.DATES: Code("113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option"),
    Option.DEVICE: Code("113109", "DCM", "Retain Device Identity Option"),
    Option.CHARACTERISTICS: Code("113108", "DCM", "Retain Patient Characteristics Option"),
    Option.DESCRIPTORS: Code("113105", "DCM", "Clean Descriptors Option"),
    Option.PRIVATE: Code("113111", "DCM", "Retain Safe Private Option"),
}
STILL_HOLDING = (
    Code("113101", "DCM", "Clean Pixel Data Option"),
    Code("113102", "DCM", "Clean Recognizable Visual Features Option"),
)
"""Of an earlier de-identification: what it did to the pixels stays done. What it retained may be gone."""
_ACTIONS = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.UID,
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/U*": Action.UID,
}
_DATES = {"C": Action.SHIFT, "K": Action.KEEP}


@dataclass(frozen=True, slots=True)
class Profile:
    """The Basic Profile with these options."""

    options: frozenset[Option]

    def __str__(self) -> str:
        return ",".join(("basic", *sorted(self.options)))

    @property
    def codes(self) -> tuple[Code, ...]:
        """Those of De-identification Method Code Sequence (0012,0064)."""
        return (*ALWAYS, *(code for option, code in CODES.items() if option in self.options))


RESEARCH = Profile(frozenset(Option))


def profile_of(text: str) -> Profile:
    """The profile of a name: `research`, with all options, or `basic`, alone or followed by options (basic,dates).

    Raises:
        NodeError: there is none of that name.
    """
    if text.strip() == "research":
        return RESEARCH
    first, *others = (part.strip() for part in text.split(","))
    known = ", ".join(Option)
    if first != "basic" or not set(others) <= set(Option):
        raise NodeError(f"no profile {text!r}: give research, or basic and after commas options of {known}")
    return Profile(frozenset(map(Option, others)))


@dataclass(frozen=True, slots=True)
class Row:
    """An attribute of Table E.1-1: its action in the Basic Profile, and in options those that differ."""

    name: str
    basic: Action
    options: Mapping[Option, Action]

    def action(self, profile: Profile) -> Action:
        """What a profile does to it."""
        chosen = [action for option, action in self.options.items() if option in profile.options]
        return chosen[0] if chosen else self.basic


@cache
def table() -> Mapping[int, Row]:
    """Table E.1-1 by tag."""
    return {int(line["tag"].replace(",", ""), 16): _row(line) for line in _lines("table_e1_1.csv")}


@dataclass(frozen=True, slots=True)
class Beyond:
    """What is done to an attribute that the table does not name: to a received one, to one of this node, and why."""

    received: Action
    made_here: Action
    reason: str


@cache
def beyond() -> Mapping[int, Beyond]:
    """Attributes beside Table E.1-1, by tag."""
    return {
        tag: Beyond(Action(line["action"]), Action(line["made_here"] or line["action"]), line["reason"])
        for line in _lines("beyond_e1_1.csv")
        if (tag := tag_for_keyword(line["keyword"])) is not None
    }


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """A private element that is kept: its VR, what it is, who says that it is safe, and of a CS its terms."""

    vr: str
    name: str
    source: str
    terms: frozenset[str]


@cache
def safe_private() -> Mapping[tuple[int, str, int], SafePrivate]:
    """Private elements that are kept, by group, creator and the last two digits of the element."""
    return {
        (int(line["group"], 16), line["creator"], int(line["element"], 16)): SafePrivate(
            line["vr"], line["name"], line["source"], frozenset(line["terms"].split())
        )
        for line in _lines("safe_private.csv")
    }


@cache
def known_words() -> frozenset[str]:
    """Words of descriptions that name nobody, in lower case."""
    return frozenset(_FOLDER.joinpath("words.txt").read_text("utf-8").split())


def _lines(name: str) -> Iterator[dict[str, str]]:
    with _FOLDER.joinpath(name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))


def _row(line: Mapping[str, str]) -> Row:
    kept = {option: Action.KEEP for option in (Option.DEVICE, Option.CHARACTERISTICS) if line[option] == "K"}
    shifted = {Option.DATES: _DATES[line[Option.DATES]]} if line[Option.DATES] else {}
    cleaned = {Option.DESCRIPTORS: Action.WORDS} if line[Option.DESCRIPTORS] else {}
    return Row(line["name"], _ACTIONS[line["basic"]], kept | shifted | cleaned)
