"""Descriptions of series and protocols: of their words those that are known, and measures (PS3.15 E.3.5).

A number stays with its unit or letter (b800, 4mm, t2), or alone among known words. Numbers that stand beside one
another are a date, or a number of somebody, in whatever spelling: none of them stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from node.deidentification.profile import known_words

_UNIT = r"(?:mm|cm|ml|ms|s|sec|deg|t|hz|khz|wi|w)"
#: A decimal has a unit; else an atom of letters and digits.
_PARTS = re.compile(rf"[0-9]{{1,2}}\.[0-9]{{1,2}}{_UNIT}(?![^\W_])|[^\W_]+", re.IGNORECASE)
_MEASURE = re.compile(
    rf"t[0-9](?:wi?)?|[2-4]d|[0-9]{{1,4}}{_UNIT}|[0-9]{{1,2}}\.[0-9]{{1,2}}{_UNIT}|(?:b|te|tr|ti)[0-9]{{1,4}}"
)
_NUMBER = re.compile(r"[0-9]{1,3}")
_BLANK = re.compile(r"[\s_]*")


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    begin: int
    end: int

    @property
    def is_word(self) -> bool:
        return self.text in known_words() or _MEASURE.fullmatch(self.text) is not None

    @property
    def is_number(self) -> bool:
        return self.text.isdigit()


def cleaned(text: str) -> str:
    """The known words and measures of a description, in their order; empty where it has none."""
    parts = [_Part(it.group().lower(), it.start(), it.end()) for it in _PARTS.finditer(text)]
    around = [None, *parts, None]
    kept = (
        text[it.begin : it.end]
        for before, it, after in zip(around, parts, around[2:], strict=False)
        if _is_kept(text, before, it, after)
    )
    return " ".join(kept)


def _is_kept(text: str, before: _Part | None, it: _Part, after: _Part | None) -> bool:
    beside = [other for other in (before, after) if other is not None]
    if it.is_number:
        fits = _NUMBER.fullmatch(it.text) is not None and bool(beside)
        return fits and all(other.is_word and not _meet(it, other) for other in beside)
    return it.is_word and not any(_is_run(text, it, other) for other in beside)


def _is_run(text: str, it: _Part, other: _Part) -> bool:
    """Whether a part is joined to a number by a mark, digit to digit, as those of a date are."""
    first, second = sorted((it, other), key=lambda part: part.begin)
    return other.is_number and _meet(it, other) and _BLANK.fullmatch(text[first.end : second.begin]) is None


def _meet(it: _Part, other: _Part) -> bool:
    """Whether a digit of one part is next to a digit of the other."""
    first, second = sorted((it, other), key=lambda part: part.begin)
    return first.text[-1].isdigit() and second.text[0].isdigit()
