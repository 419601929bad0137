"""P-values under the null: two scores of the same cases, equally good by construction, drawn again and again.

Both scores see the same signal and have noise of their own, so that neither is better and they are correlated as two
models of one patient are. Then DeLong's test, the NRI and the IDI should give p-values that are uniform from 0 to 1.
The NRI counts cases, so its p-values are steps, the last of them at exactly 1.
Nothing is fitted here: a nested model that is fitted and judged on the same cases breaks the null of all three (Pepe et
al., JNCI 2014, dju041).

    python -m models.research.experiments.null_p_values
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import expit
from scipy.stats import kstest

from models.research.documents.figures import svg
from models.research.evaluation.discrimination import delong_test
from models.research.evaluation.operating_point import share
from models.research.evaluation.predictions import Resolution
from models.research.evaluation.reclassification import (
    category_movement,
    integrated_discrimination,
    movement,
    net_reclassification,
)
from models.research.evaluation.report.style import INK, RESOLUTION_COLOURS, heading, panels

#: Events and non-events of the cohorts.
SIZES = ((60, 90), (200, 300))
SHIFT, OWN_NOISE = 1.0, 0.7
CUTOFF = 0.4
TESTS = ("DeLong", "NRI, category-free", f"NRI, cut at {CUTOFF}", "IDI")
BINS = 20

PValues = npt.NDArray[np.float64]

console = Console()


def main(
    draws: Annotated[int, typer.Option(help="Pairs of scores.")] = 2000,
    seed: Annotated[int, typer.Option()] = 1,
    figure: Annotated[Path, typer.Option(help="Histograms, SVG.")] = Path(
        "models/research/experiments/results/null-p-values.svg"
    ),
) -> None:
    """Print how far the p-values are from uniform (Kolmogorov-Smirnov), and draw their histograms."""
    generator = np.random.default_rng(seed)
    found = {}
    for size in SIZES:
        found[size] = np.array([_p_values(generator, *size) for _ in track(range(draws), console=console)])
        console.print(_table(found[size], size))
    figure.write_bytes(svg(_histograms(found)))


def _table(found: PValues, size: tuple[int, int]) -> Table:
    title = f"{len(found)} draws, {size[0]} events + {size[1]} others"
    table = Table("test", "KS distance", "KS p", "p below 0.05", "95 %", "p = 1", title=title)
    for name, values in zip(TESTS, found.T, strict=True):
        result, below = kstest(values, "uniform"), share(int((values < 0.05).sum()), len(values))
        assert below is not None
        level = (f"{below.value:.3f}", f"{below.low:.3f}-{below.high:.3f}")
        one = f"{(values == 1).mean():.3f}"
        table.add_row(name, f"{result.statistic:.4f}", f"{result.pvalue:.3f}", *level, one)
    return table


def _p_values(generator: np.random.Generator, events: int, others: int) -> tuple[float, float, float, float]:
    labels = np.repeat([1, 0], [events, others])
    signal = generator.normal(SHIFT * labels)
    old, new = (expit(signal + generator.normal(0, OWN_NOISE, labels.size) - 1) for _ in range(2))
    counts = np.ones((1, labels.size))
    return (
        delong_test(labels, new, old).p,
        net_reclassification(labels, movement(old, new), counts).p,
        net_reclassification(labels, category_movement(old, new, (CUTOFF,)), counts).p,
        integrated_discrimination(labels, old, new).p,
    )


def _histograms(found: Mapping[tuple[int, int], PValues]) -> Figure:
    figure, grid = panels(len(found), len(TESTS), 2.4, 1.9)
    for row, (size, values_of_all) in zip(grid, found.items(), strict=True):
        for axes, name, values in zip(row, TESTS, values_of_all.T, strict=True):
            colour = RESOLUTION_COLOURS[Resolution.SUPER]
            axes.hist(values, BINS, range=(0, 1), color=colour, edgecolor="white", linewidth=0.5)
            axes.axhline(len(values) / BINS, color=INK, linewidth=0.8)
            axes.set(xlabel="p", ylabel="draws")
            heading(axes, f"{name}, {size[0]} + {size[1]}")
    return figure


if __name__ == "__main__":
    typer.run(main)
