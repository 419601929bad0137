"""Medians, ratios within a run, and what has become slower than the last committed run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from benchmarks.record import Row

#: Units of which more is better; of all others less is.
MORE_IS_BETTER = frozenset({"images/s", "objects/s", "studies/h", "MB/s"})
#: Units that only describe: counts, and times on the clock of a waterfall.
DESCRIPTIVE = frozenset({"objects", "s at"})
#: Variant of this project, with which the others are compared.
NODE = "node"
#: A value that is worse by more than this share of the earlier one is named.
TOLERANCE = 0.25


@dataclass(frozen=True, slots=True)
class Compared:
    """One variant in one case.

    Attributes:
        median: over the runs, in `unit`.
        smallest: of the runs, in `unit`.
        largest: of the runs, in `unit`.
        runs: how many.
        times_the_node: median over the runs of node / variant where more is better, variant / node where less is: how
            many times as good as the variant the node is. None for the node itself, and where it was not measured.
    """

    part: str
    case: str
    variant: str
    unit: str
    median: float
    smallest: float
    largest: float
    runs: int
    times_the_node: float | None


@dataclass(frozen=True, slots=True)
class Slower:
    """A median of the node that is worse than the earlier one; `share` says by how much of it."""

    part: str
    case: str
    unit: str
    before: float
    now: float
    share: float


def compare(rows: Iterable[Row]) -> list[Compared]:
    """One entry for each variant of each case, in the order of the rows."""
    found: dict[tuple[str, str, str, str], dict[int, list[float]]] = {}
    for row in rows:
        runs = found.setdefault((row.part, row.case, row.variant, row.unit), defaultdict(list))
        runs[row.run].append(row.value)
    medians = {key: {run: median(values) for run, values in runs.items()} for key, runs in found.items()}
    return [
        Compared(
            *key,
            median=median(runs.values()),
            smallest=min(runs.values()),
            largest=max(runs.values()),
            runs=len(runs),
            times_the_node=_ratio(medians.get((key[0], key[1], NODE, key[3]), {}), runs, key[3], key[2]),
        )
        for key, runs in medians.items()
    ]


def _ratio(node: dict[int, float], other: dict[int, float], unit: str, variant: str) -> float | None:
    """Median of the ratios of the runs that have both values."""
    if variant == NODE or unit in DESCRIPTIVE:
        return None
    more = unit in MORE_IS_BETTER
    pairs = [(node[run], other[run]) if more else (other[run], node[run]) for run in node.keys() & other.keys()]
    ratios = [above / below for above, below in pairs if below > 0]
    return median(ratios) if ratios else None


def slower(before: Iterable[Row], now: Iterable[Row]) -> list[Slower]:
    """Cases of the node that are worse than before by more than the tolerance."""
    earlier = {(each.part, each.case, each.unit): each.median for each in compare(before) if each.variant == NODE}
    found = []
    for each in compare(now):
        old = earlier.get((each.part, each.case, each.unit))
        if each.variant != NODE or each.unit in DESCRIPTIVE or not old:
            continue
        share = (old - each.median if each.unit in MORE_IS_BETTER else each.median - old) / old
        if share > TOLERANCE:
            found.append(Slower(each.part, each.case, each.unit, old, each.median, share))
    return found
