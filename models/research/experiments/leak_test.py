"""Does the training of the prediction see what it is tested on? With shuffled labels it must find nothing.

The labels of the measured cases are shuffled again and again, and each time the boosted trees of all sequences at
super-resolution are selected, calibrated and cross-validated as the training does it. Features, scanners and perturbed
masks stay as they are. An AUC above one half in the mean would be a leak: of labels into selection, calibration or
folds. Hyper-parameters are the first of each grid, because a search takes six times as long.

    python -m models.research.experiments.leak_test --measured runs/prediction/DIGEST
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from scipy.stats import ttest_1samp

from models.research.documents.figures import svg
from models.research.evaluation.discrimination import auc_interval
from models.research.evaluation.predictions import Resolution
from models.research.evaluation.report.style import INK, RESOLUTION_COLOURS, heading, panels
from models.research.training.prediction.fitting.classifiers import CLASSIFIERS, MAIN
from models.research.training.prediction.fitting.cross_validation import unseen_probability
from models.research.training.prediction.fitting.feature_table import FeatureTable, Floats
from models.research.training.prediction.fitting.fit import folds
from models.research.training.prediction.sources import simulated
from models.research.training.prediction.tables import complete_cases
from models.sequence import ANALYSED

#: How near one half the mean should be.
GOAL = 0.03
WEIGHTS = Path("models/weights")

console = Console()


def main(
    measured: Annotated[Path | None, typer.Option(help="patients measured before; else those of the cache")] = None,
    cases: Annotated[int, typer.Option(help="simulated patients of the cache")] = 300,
    first_seed: Annotated[int, typer.Option(help="seed of the first")] = 700_000,
    cache: Annotated[Path, typer.Option(help="where they are kept")] = Path("runs/prediction"),
    super_resolution: Annotated[Path, typer.Option(help="bundle that made them")] = WEIGHTS / "super-resolution",
    shuffles: Annotated[int, typer.Option(min=2, help="how often the labels are shuffled")] = 50,
    count: Annotated[int, typer.Option("--folds", min=2, help="of each cross-validation")] = 5,
    seed: Annotated[int, typer.Option(help="of shuffles, folds and trees")] = 11,
    report: Annotated[Path, typer.Option(help="table, Markdown; the histogram beside it")] = Path(
        "models/research/experiments/results/prediction-leak-test.md"
    ),
) -> None:
    """Print the mean cross-validated AUC over the shuffles; write it with a histogram."""
    found = simulated(cases, first_seed, 0, measured, super_resolution, cache, workers=1)
    table = complete_cases(found.fitted).of(ANALYSED, Resolution.SUPER)
    true = _area(table, count, seed)
    areas = np.array(list(track(shuffled_areas(table, shuffles, count, seed), total=shuffles, console=console)))
    text = _report(table, true, areas, count, seed, report.with_suffix(".svg").name)
    report.write_text(text, encoding="utf-8")
    report.with_suffix(".svg").write_bytes(svg(_histogram(areas, true)))
    console.print(text, markup=False, highlight=False)


def shuffled_areas(table: FeatureTable, shuffles: int, count: int, seed: int) -> Iterator[float]:
    """Cross-validated AUC of each shuffle; every one has folds of its own."""
    generator = np.random.default_rng(seed)
    for number in range(shuffles):
        yield _area(replace(table, labels=generator.permutation(table.labels)), count, seed + number)


def _area(table: FeatureTable, count: int, seed: int) -> float:
    split = folds(table.labels, table.patients, count, seed)
    probability, _ = unseen_probability(table, split, CLASSIFIERS[MAIN].without_search, seed)
    return auc_interval(table.labels, probability).auc


def _report(table: FeatureTable, true: float, areas: Floats, count: int, seed: int, figure: str) -> str:
    mean, error = float(areas.mean()), float(areas.std(ddof=1) / np.sqrt(len(areas)))
    reached = "reached" if abs(mean - 0.5) <= GOAL else "MISSED"
    twice = 0 if table.perturbed is None else len(table.perturbed.rows)
    return f"""# Prediction: labels shuffled

`python -m models.research.experiments.leak_test`: {len(table.cases)} simulated patients, {len(table.names)} features
of all sequences at super-resolution ({twice} cases measured under other masks), {MAIN} with the first of each
hyper-parameter. Selection, fit and calibration run anew in each of {count} folds of each of {len(areas)} shuffles;
seed {seed}.

| | AUC |
| --- | --- |
| labels shuffled, mean of {len(areas)} | {mean:.3f} |
| 95 % interval of the mean | {mean - 1.96 * error:.3f} to {mean + 1.96 * error:.3f} |
| least, greatest | {areas.min():.3f}, {areas.max():.3f} |
| t-test against 0.5, p | {ttest_1samp(areas, 0.5).pvalue:.3f} |
| true labels, the same folds and trees | {true:.3f} |
| shuffles as good as the true labels | {int((areas >= true).sum())} of {len(areas)} |

Goal, 0.50 ± {GOAL}: {reached}.

![Histogram of the AUC with shuffled labels]({figure})
"""


def _histogram(areas: Floats, true: float) -> Figure:
    figure, ((axes,),) = panels(1, 1, 4.2, 2.6)
    bins = np.arange(0.30, 0.71, 0.02).tolist()
    axes.hist(areas, bins, color=RESOLUTION_COLOURS[Resolution.SUPER], edgecolor="white", linewidth=0.5)
    axes.axvline(0.5, color=INK, linewidth=0.8)
    axes.axvline(true, color=RESOLUTION_COLOURS[Resolution.NORMAL], linewidth=1.2, linestyle="--")
    axes.set(xlabel="cross-validated AUC; dashed: true labels", ylabel="shuffles")
    heading(axes, f"labels shuffled {len(areas)} times")
    return figure


if __name__ == "__main__":
    typer.run(main)
