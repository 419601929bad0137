"""Words of a series name and their meanings: shipped patterns and those of a site, by what they mean."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_CHINESE = "\u3400-\u9fff"
_BETWEEN_SCRIPTS = re.compile(rf"(?<=[{_CHINESE}])(?=[a-z0-9])|(?<=[a-z0-9])(?=[{_CHINESE}])")


@dataclass(frozen=True, slots=True)
class Words:
    """One pattern a meaning; the meanings are the keys of words.toml."""

    patterns: Mapping[str, re.Pattern[str]]

    def say(self, meaning: str, text: str) -> bool:
        """Whether a text holds one of the words of a meaning."""
        return self.patterns[meaning].search(normalised(text)) is not None

    def told(self, text: str, meanings: tuple[str, ...]) -> tuple[str, ...]:
        """Those of some meanings that a text tells, in their order."""
        plain = normalised(text)
        return tuple(meaning for meaning in meanings if self.patterns[meaning].search(plain))


def shipped() -> Mapping[str, tuple[str, ...]]:
    """The patterns of words.toml by meaning."""
    document = tomllib.loads(files("node.recognition.header").joinpath("words.toml").read_text("utf-8"))
    return {meaning: tuple(patterns) for meaning, patterns in document.items()}


@cache
def words(of_site: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Words:
    """The shipped words and those that a site adds, as pairs of meaning and patterns; its meanings must be known."""
    own = dict(of_site)
    return Words({meaning: re.compile("|".join((*p, *own.get(meaning, ())))) for meaning, p in shipped().items()})


def normalised(text: str) -> str:
    """Lower case, underscores and hyphens as blanks, a blank between Chinese and Latin letters."""
    return _BETWEEN_SCRIPTS.sub(" ", re.sub(r"[\s_\-]+", " ", text.lower()))
