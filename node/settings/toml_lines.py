"""Where a key stands in a TOML file; the standard parser says what a document holds, not in which line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line (from 1) where a key of a TOML document stands, or the nearest key around it that is there.

    Each prefix of whole lines that the parser accepts says what is there by then.
    """
    known = _longest(tomllib.loads(text), place)
    lines = text.splitlines(keepends=True)
    start = 1
    for count in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if len(_longest(document, known)) == len(known):
            return start
        start = count + 1
    return start


def _longest(document: object, place: Sequence[str | int]) -> Sequence[str | int]:
    """The part of a place, from its beginning, that a document has."""
    for depth, part in enumerate(place):
        try:
            document = document[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return place[:depth]
    return place
