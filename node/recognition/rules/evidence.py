"""Evidence of a finding: the conditions of its rule, the rules that nearly applied, and the confidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from node.recognition.rules.findings import Finding


class Confidence(StrEnum):
    """How much a verdict rests on: HIGH on elements alone, the others lack or doubt something that is named."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """A condition with what was wanted and what was found; `doubtful`: it held because a missing value may pass."""

    fact: str
    wanted: str
    found: str
    held: bool
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that failed by one condition."""

    rule: str
    finding: Finding
    failed: tuple[ConditionResult, ...]
