"""Every rule of the table tried on the volumes of a series, whichever decides: what each wanted, and what it found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from node.recognition.header.facts import FrameFacts
from node.recognition.header.words import words
from node.recognition.rules.findings import ConditionResult, Finding
from node.recognition.rules.series import by_series
from node.recognition.rules.table import conditions_of, table
from node.recognition.rules.volume_facts import describe, facts_of_series, sources
from node.recognition.volumes.stacks import split_series
from node.settings import RecognitionSettings


@dataclass(frozen=True, slots=True)
class RuleTried:
    """A rule, and its conditions on a volume; `decides`: it is the first whose conditions all hold."""

    rule: str
    finding: Finding
    conditions: tuple[ConditionResult, ...]
    decides: bool

    @property
    def failed(self) -> int:
        """How many conditions do not hold."""
        return sum(not condition.held for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class VolumesTried:
    """Volumes of a series on which the rules found the same; `slices` of each of them."""

    volumes: int
    slices: int
    rules: tuple[RuleTried, ...]


def trials(frames: Iterable[FrameFacts], settings: RecognitionSettings) -> dict[str, tuple[VolumesTried, ...]]:
    """By Series Instance UID what the rules find; the rule that decides first, then those that miss least.

    Raises:
        ConfigurationError: a rule of the site is wrong.
    """
    return {uid: _of_series(group, settings) for uid, group in by_series(frames).items()}


def _of_series(frames: tuple[FrameFacts, ...], settings: RecognitionSettings) -> tuple[VolumesTried, ...]:
    vocabulary, together, rows = words(settings.words_of_site), facts_of_series(frames), table(settings)
    alike: dict[tuple[int, tuple[RuleTried, ...]], int] = defaultdict(int)
    for volume in split_series(frames):
        facts, read_from = describe(volume, together, vocabulary), sources(volume)
        found = [(rule, conditions_of(rule, facts, read_from)) for rule in rows]
        first = next((rule for rule, conditions in found if all(it.held for it in conditions)), None)
        tried = [RuleTried(rule.name, rule.finding, conditions, rule is first) for rule, conditions in found]
        tried.sort(key=lambda it: (not it.decides, it.failed))
        alike[len(volume.frames), tuple(tried)] += 1
    return tuple(VolumesTried(count, slices, tried) for (slices, tried), count in alike.items())
