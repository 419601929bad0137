"""The section of recognition: limits, site rules, rules that name a volume, words."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from node.settings.values import Pattern, Section


class SiteRule(Section):
    """A rule of the site: knowledge of its own protocol that the headers do not state.

    A rule applies to a series when every given condition holds. `phase_time_pattern` has one group, the seconds
    of the phase on the scanner's clock or its time of day, searched in SeriesDescription; `injection_s` is the time of
    injection on the same clock, or after the first phase; `preferred_phase_s` (after injection) breaks ties between
    phases.
    """

    name: str = Field(min_length=1)
    manufacturer: Pattern = ""
    model: Pattern = ""
    series_description: Pattern = ""
    accept_body_parts: tuple[str, ...] = ()
    phase_time_pattern: Pattern = ""
    injection_s: float | None = None
    preferred_phase_s: float | None = None

    @model_validator(mode="after")
    def _clock(self) -> SiteRule:
        if self.phase_time_pattern and re.compile(self.phase_time_pattern).groups != 1:
            raise ValueError("phase_time_pattern must have exactly one group, the seconds")
        return self


class Limits(Section):
    """A number from `min` to `max`, both included.

    `absent`: a missing value passes too, or, without limits, alone; "doubtful": it passes and lowers the confidence.
    """

    min: float | None = None
    max: float | None = None
    absent: bool | Literal["doubtful"] = False

    @model_validator(mode="after")
    def _possible(self) -> Limits:
        if self.min is None and self.max is None and not self.absent:
            raise ValueError("min, max or absent is needed")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Match(Section):
    """A text in which a regular expression is found."""

    matches: Pattern


def _form(wanted: object) -> str:
    """Which form of a wanted value stands in a rule."""
    if isinstance(wanted, dict):
        return "match" if "matches" in wanted else "limits"
    forms = {bool: "truth", int: "number", float: "number", str: "word", list: "words", tuple: "words"}
    return forms.get(type(wanted), type(wanted).__name__.lower())


#: Forms of a wanted value; they stand in the place of a fault and in no file.
FORMS = frozenset({"limits", "match", "truth", "number", "word", "words"})
Wanted = Annotated[
    Annotated[Limits, Tag("limits")]
    | Annotated[Match, Tag("match")]
    | Annotated[bool, Tag("truth")]
    | Annotated[float, Tag("number")]
    | Annotated[str, Tag("word")]
    | Annotated[tuple[str, ...], Tag("words")],
    Discriminator(_form),
]


class RecognitionRule(Section):
    """A row of the table that names a volume, in the form of node/recognition/rules/rules.toml.

    `before` names the row in front of which a new one stands; without it a site's row stands before all shipped ones.
    `lines` holds the line of each key in the file, for messages; "" is the rule itself.
    """

    name: str = Field(min_length=1)
    finding: str
    when: dict[str, Wanted] = Field(min_length=1)
    before: str = ""
    lines: dict[str, str] = Field(default={}, exclude=True, repr=False)

    def place(self, key: tuple[str, ...]) -> str:
        """`file:line: ` of a key of this rule, of the rule where the key has none; empty for a rule without file."""
        return self.lines.get(".".join(key)) or self.lines.get("", "")


class RecognitionSettings(Section):
    """Limits that turn header facts into roles."""

    body_parts: tuple[str, ...] = ("RECTUM", "PELVIS", "ABDOMENPELVIS", "LOWER ABDOMEN", "ABDOMEN")
    b_value_range: tuple[float, float] = (600, 1200)
    portal_venous_window_s: tuple[float, float] = (60, 80)
    preferred_phase_s: float = 70
    minimum_slices: int = Field(default=8, ge=2)
    protocol_factor: float = Field(default=2.0, ge=1)
    measure_injection: bool = True
    site_rules: tuple[SiteRule, ...] = ()
    rules: tuple[RecognitionRule, ...] = ()
    words: dict[str, tuple[Pattern, ...]] = Field(default={})

    @property
    def words_of_site(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """`words` as a value that can be a key."""
        return tuple(sorted(self.words.items()))

    @model_validator(mode="after")
    def _unique_rules(self) -> RecognitionSettings:
        names = [rule.name for rule in self.rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"rules: two rules are called {twice!r}")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> RecognitionSettings:
        for name in ("b_value_range", "portal_venous_window_s"):
            low, high = getattr(self, name)
            if low >= high:
                raise ValueError(f"{name}: the first value must be below the second")
        return self
