"""The table that names a volume: conditions on facts, in order; the first row whose conditions all hold wins.

The shipped rows stand in rules.toml, those of a site in config.toml; both have one form. Text may veto (a series called
diffusion without a b-value is no T2), it never concludes that a series can be used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import TypeAdapter

from node.errors import ConfigurationError
from node.recognition.header.words import shipped as shipped_words
from node.recognition.header.words import words
from node.recognition.rules.conditions import Condition, Rule, RuleError, compiled, spoken
from node.recognition.rules.findings import ConditionResult, Finding, NearMiss
from node.recognition.rules.volume_facts import FACTS, VolumeFacts
from node.settings import RecognitionRule, RecognitionSettings

# A rule can only be missed narrowly when at least so many of its conditions held.
_LEAST_HELD = 2


@dataclass(frozen=True, slots=True)
class Classification:
    """The finding of a volume, the rule that decided, and its evidence."""

    finding: Finding
    rule: str
    evidence: tuple[ConditionResult, ...]
    near_misses: tuple[NearMiss, ...]


def table(settings: RecognitionSettings) -> tuple[Rule, ...]:
    """The shipped rows with those of the site: one of a known name replaces it, another stands before all or `before`.

    Raises:
        ConfigurationError: a rule of the site is wrong; names its line.
    """
    rows = list(_shipped())
    added = 0
    for stated in settings.rules:
        rule = _compiled(stated)
        names = [row.name for row in rows]
        if rule.name in names:
            rows[names.index(rule.name)] = rule
        elif not rule.before:
            rows.insert(added, rule)
            added += 1
        elif rule.before in names:
            rows.insert(names.index(rule.before), rule)
        else:
            raise _refused(stated, ("before",), f"no rule is called {rule.before!r}; known are {', '.join(names)}")
    return tuple(rows)


def check(settings: RecognitionSettings) -> None:
    """Refuse rules and words of a site that cannot be used.

    Raises:
        ConfigurationError: with the line of the first that is wrong.
    """
    table(settings)
    strange = sorted(set(settings.words) - set(shipped_words()))
    if strange:
        known = ", ".join(shipped_words())
        raise ConfigurationError(f"recognition.words: unknown meaning {strange[0]!r}; known are {known}")
    words(settings.words_of_site)


def classify(facts: VolumeFacts, rows: tuple[Rule, ...], sources: Mapping[str, str]) -> Classification:
    """The first row whose conditions all hold, its conditions with the values found, and the near misses.

    `sources` names the elements of facts that can stand in several.
    """
    misses = []
    winner: tuple[Rule, tuple[ConditionResult, ...]] | None = None
    for rule in rows:
        failed = [condition for condition in rule.conditions if not condition.holds(getattr(facts, condition.fact))]
        if not failed and winner is None:
            winner = rule, conditions_of(rule, facts, sources)
        elif _narrowly(failed, rule, facts):
            misses.append(
                NearMiss(rule.name, rule.finding, tuple(_evidence(entry, facts, sources) for entry in failed))
            )
    if winner is None:
        return Classification(Finding.UNKNOWN, "", (), tuple(misses))
    rule, evidence = winner
    return Classification(rule.finding, rule.name, evidence, tuple(misses))


def conditions_of(rule: Rule, facts: VolumeFacts, sources: Mapping[str, str]) -> tuple[ConditionResult, ...]:
    """Every condition of a rule with the value found, whether or not it holds."""
    return tuple(_evidence(condition, facts, sources) for condition in rule.conditions)


def _narrowly(failed: list[Condition], rule: Rule, facts: VolumeFacts) -> bool:
    """Whether a rule failed by one condition, which nearly holds, and others held."""
    return (
        len(failed) == 1
        and len(rule.conditions) > _LEAST_HELD
        and failed[0].nearly_holds(getattr(facts, failed[0].fact))
    )


@cache
def shipped() -> tuple[RecognitionRule, ...]:
    """The shipped rows as they are stated."""
    document = tomllib.loads(files("node.recognition.rules").joinpath("rules.toml").read_text("utf-8"))
    return tuple(TypeAdapter(list[RecognitionRule]).validate_python(document["rules"]))


@cache
def _shipped() -> tuple[Rule, ...]:
    return tuple(map(compiled, shipped()))


def _compiled(stated: RecognitionRule) -> Rule:
    try:
        return compiled(stated)
    except RuleError as error:
        raise _refused(stated, error.key, str(error)) from error


def _refused(stated: RecognitionRule, key: tuple[str, ...], reason: str) -> ConfigurationError:
    return ConfigurationError(f"{stated.place(key)}recognition.rules {stated.name!r}: {reason}")


def _evidence(condition: Condition, facts: VolumeFacts, sources: Mapping[str, str]) -> ConditionResult:
    value = getattr(facts, condition.fact)
    held = condition.holds(value)
    source = sources.get(condition.fact)
    return ConditionResult(
        fact=FACTS[condition.fact].label,
        wanted=condition.words,
        found=spoken(condition.fact, value) + (f" ({source})" if source else ""),
        held=held,
        doubtful=held and condition.doubtful(value),
    )
