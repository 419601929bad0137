"""The machine over the last days, and how long the steps of analyses have taken."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Engine

from node.analysis.step_times import latest_steps
from storage.samples import Sample, samples

_STEPS = 4000
"""Steps that are looked at: those of some hundred analyses."""


@dataclass(frozen=True, slots=True)
class StepStatistics:
    """How long a step has taken, in s: in the middle, in nine of ten, at the most; and how often that was."""

    name: str
    count: int
    median_s: float
    ninth_decile_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of it.

    Attributes:
        samples: of disk and memory, the first one first.
        steps: in the order of an analysis.
        analyses: when each of the latest has ended, and how long its steps have taken in all, in s; the first one
            first.
    """

    samples: tuple[Sample, ...]
    steps: tuple[StepStatistics, ...]
    analyses: tuple[tuple[datetime, float], ...]


def machine(engine: Engine, root: Path) -> Machine:
    """The machine, and the latest analyses."""
    took: dict[str, list[float]] = defaultdict(list)
    ended: dict[str, datetime] = {}
    in_all: dict[str, float] = defaultdict(float)
    for run, step in reversed(latest_steps(root, _STEPS)):
        assert step.started_at is not None
        assert step.ended_at is not None
        seconds = (step.ended_at - step.started_at).total_seconds()
        took[step.name].append(seconds)
        in_all[run] += seconds
        ended[run] = step.ended_at
    with engine.connect() as connection:
        found = samples(connection)
    analyses = sorted((at, in_all[run]) for run, at in ended.items())
    return Machine(found, tuple(_statistics(name, its) for name, its in took.items()), tuple(analyses))


def _statistics(name: str, seconds: list[float]) -> StepStatistics:
    ordered = sorted(seconds)
    ninth = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return StepStatistics(name, len(ordered), median(ordered), ninth, ordered[-1])
