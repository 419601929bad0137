"""Conditions on facts, as a rule of the table or of a site states them, and the check that a rule makes sense."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from node.recognition.rules.findings import Finding
from node.recognition.rules.volume_facts import FACTS, VolumeFacts
from node.settings import Limits, Match, RecognitionRule, Wanted

_TYPES: Mapping[str, Any] = get_type_hints(VolumeFacts)
# A number misses a limit narrowly up to this factor.
_NEAR = 1.5
# Conditions on these say where a series comes from or what somebody called it, not what it is.
_CIRCUMSTANCES = frozenset({"vendor", "field_strength_t"})


class RuleError(ValueError):
    """A rule that can never hold, or that text alone would decide; `key` is the part that is wrong."""

    def __init__(self, key: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.key = key


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule: a fact and what is wanted of it."""

    fact: str
    wanted: Wanted

    def holds(self, value: object) -> bool:
        """Whether a value of the fact is as wanted."""
        if isinstance(self.wanted, Limits):
            return _within(self.wanted, value)
        if isinstance(self.wanted, Match):
            return re.search(self.wanted.matches, str(value), re.IGNORECASE) is not None
        if isinstance(self.wanted, tuple):
            return value in self.wanted
        return value == self.wanted

    def nearly_holds(self, value: object) -> bool:
        """Whether a value that does not hold is missing, or a number not far beyond a limit."""
        if value is None or value == "":
            return True
        if not isinstance(self.wanted, Limits) or isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low, high = self.wanted.min, self.wanted.max
        below = low is not None and low / _NEAR <= value < low
        above = high is not None and high < value <= high * _NEAR
        return below or above

    def doubtful(self, value: object) -> bool:
        """Whether a value holds only because it is missing, where it should be there."""
        if isinstance(self.wanted, tuple):
            return value == "" and "" in self.wanted
        return value is None and isinstance(self.wanted, Limits) and self.wanted.absent == "doubtful"

    @property
    def words(self) -> str:
        """The wanted value in words."""
        unit = FACTS[self.fact].unit
        if isinstance(self.wanted, Limits):
            return _limits(self.wanted, unit)
        if isinstance(self.wanted, Match):
            return f"matches {self.wanted.matches}"
        if isinstance(self.wanted, tuple):
            return " or ".join(entry or "not stated" for entry in self.wanted)
        return spoken(self.fact, self.wanted)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table."""

    name: str
    finding: Finding
    conditions: tuple[Condition, ...]
    before: str = ""


def spoken(fact: str, value: object) -> str:
    """A value of a fact, for people: yes and no, numbers with their unit, what is not stated as such."""
    if value is None or value == "":
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:g} {FACTS[fact].unit}".strip().replace(" °", "°")
    return str(value)


def compiled(stated: RecognitionRule) -> Rule:
    """The rule that a table states.

    Raises:
        RuleError: an unknown finding or fact, a wanted value that the fact can never have, or text alone.
    """
    if stated.finding not in Finding.__members__:
        raise RuleError(("finding",), f"unknown finding {stated.finding!r}{_near(stated.finding, Finding.__members__)}")
    for fact, wanted in stated.when.items():
        if fact not in FACTS:
            raise RuleError(("when", fact), f"unknown fact {fact!r}{_near(fact, FACTS)}")
        fault = _misfit(fact, wanted)
        if fault:
            raise RuleError(("when", fact), f"{fact}: {fault}")
    if not any(_is_evidence(fact) for fact in stated.when):
        raise RuleError(
            ("when",), "text and circumstances alone decide nothing: add a condition on physics or geometry"
        )
    conditions = tuple(Condition(fact, wanted) for fact, wanted in stated.when.items())
    return Rule(stated.name, Finding[stated.finding], conditions, stated.before)


def _within(wanted: Limits, value: object) -> bool:
    if value is None or value == "":
        return bool(wanted.absent)
    if wanted.min is None and wanted.max is None:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (wanted.min is None or wanted.min <= value) and (wanted.max is None or value <= wanted.max)


def _limits(wanted: Limits, unit: str) -> str:
    low, high = wanted.min, wanted.max
    if low is None and high is None:
        return "not stated"
    if high is None:
        text = f"at least {low:g} {unit}"
    elif low is None:
        text = f"at most {high:g} {unit}"
    else:
        text = f"{low:g} to {high:g} {unit}"
    return text.strip().replace(" °", "°") + (" or not stated" if wanted.absent else "")


def _is_evidence(fact: str) -> bool:
    return not FACTS[fact].typed and fact not in _CIRCUMSTANCES


def _misfit(fact: str, wanted: Wanted) -> str:
    """Why the fact can never be as wanted; empty where it can."""
    kind = _TYPES[fact]
    options = [option for option in get_args(kind) or (kind,) if option is not type(None)]
    if bool in options:
        return "" if isinstance(wanted, bool) else "true or false is wanted"
    if float in options:
        return "" if _is_number(wanted) else "a number or { min, max, absent } is wanted"
    if FACTS[fact].text:
        return "" if isinstance(wanted, Match) else '{ matches = "…" } is wanted'
    if not isinstance(wanted, str | tuple):
        return "a word or a list of words is wanted"
    return _unknown_words(options[0], wanted if isinstance(wanted, tuple) else (wanted,))


def _is_number(wanted: Wanted) -> bool:
    return isinstance(wanted, Limits) or (isinstance(wanted, int | float) and not isinstance(wanted, bool))


def _unknown_words(kind: type, wanted: tuple[str, ...]) -> str:
    if not issubclass(kind, StrEnum):
        return ""
    known = {str(member) for member in kind}
    strange = [word for word in wanted if word not in known]
    return f"{strange[0]!r} is none of {', '.join(sorted(known))}" if strange else ""


def _near(word: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
