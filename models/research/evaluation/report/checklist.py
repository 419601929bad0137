"""CLEAR and TRIPOD+AI, filled with what a run can answer by itself; everything else stays open.

CLEAR: Kocak et al., Insights into Imaging 2023;14:75. TRIPOD+AI: Collins et al., BMJ 2024;385:e078378. Both CC BY 4.0;
topics are shortened here, the wording that counts is the publication's.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Extent(StrEnum):
    """How far the run answers an item."""

    WHOLE = "answered"
    PART = "in part"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of the run to one item; `still` names what only the authors can add."""

    text: str
    still: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item with its answer."""

    item: str
    section: str
    topic: str
    answer: Answer | None

    @property
    def extent(self) -> Extent:
        """Answered, in part, or open."""
        if self.answer is None:
            return Extent.OPEN
        return Extent.PART if self.answer.still else Extent.WHOLE

    @property
    def text(self) -> str:
        """The answer in words; nothing where the item is open."""
        if self.answer is None:
            return ""
        return f"{self.answer.text} Open: {self.answer.still}." if self.answer.still else self.answer.text


def clear(answers: Mapping[str, Answer]) -> tuple[Item, ...]:
    """The 58 items of CLEAR."""
    return _filled("clear.csv", answers)


def tripod_ai(answers: Mapping[str, Answer]) -> tuple[Item, ...]:
    """The 27 items of TRIPOD+AI with their parts."""
    return _filled("tripod_ai.csv", answers)


def _filled(name: str, answers: Mapping[str, Answer]) -> tuple[Item, ...]:
    with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if unknown := answers.keys() - {row["item"] for row in rows}:
        raise KeyError(f"{name} has no item {', '.join(sorted(unknown))}")
    return tuple(Item(row["item"], row["section"], row["topic"], answers.get(row["item"])) for row in rows)
