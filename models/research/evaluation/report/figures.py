"""The figures: ROC, calibration, decision curves, differences and subgroups; figures in, matplotlib figures out."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from models.research.evaluation.decision_curve import treat_all
from models.research.evaluation.predictions import CohortPart, Model, Resolution
from models.research.evaluation.report.numbers import number
from models.research.evaluation.report.style import (
    INK,
    RULE,
    SOFT,
    Style,
    heading,
    input_line,
    legend,
    panels,
    resolution_line,
)
from models.research.evaluation.results import Band, Curves, Evaluation
from models.research.evaluation.study import PAIRS
from models.research.statistics.estimates import Estimate

#: Half the height that the rows of one place of a forest plot share.
_SPREAD = 0.3


def roc_by_resolution(evaluation: Evaluation, resolution: Resolution) -> Figure:
    """ROC curves of every input at one resolution, a panel a cohort."""
    cohorts = list(evaluation.predictions.cohorts_present())
    figure, grid = panels(1, len(cohorts), 3.1, 3.1)
    for axes, cohort in zip(grid[0], cohorts, strict=True):
        for looks_at in evaluation.predictions.inputs:
            model = Model(looks_at, resolution)
            if model in evaluation.predictions.models:
                line = input_line(evaluation.predictions.inputs, looks_at)
                _roc(axes, evaluation.curves_of(cohort, model), _area(evaluation, cohort, model, looks_at), line)
        _roc_frame(axes, f"{cohort.capitalize()} cohort")
    return figure


def curves_of_input(evaluation: Evaluation, looks_at: str) -> Figure:
    """ROC, calibration and decision curve of one input at every resolution, a row a cohort."""
    cohorts = list(evaluation.predictions.cohorts_present())
    figure, grid = panels(len(cohorts), 3, 3.1, 2.9)
    for letter, row, cohort in zip("ABC", grid, cohorts, strict=False):
        labels = evaluation.predictions.cohort(cohort).labels
        for resolution in evaluation.predictions.resolutions:
            model = Model(looks_at, resolution)
            if model not in evaluation.predictions.models:
                continue
            curves, line = evaluation.curves_of(cohort, model), resolution_line(resolution)
            _roc(row[0], curves, _area(evaluation, cohort, model, resolution), line)
            _calibration(row[1], curves, resolution, line)
            _band(row[2], curves.decision, resolution, line)
        _roc_frame(row[0], f"{letter}  {cohort.capitalize()} cohort")
        _calibration_frame(row[1])
        _decision_frame(row[2], labels)
    return figure


def differences(evaluation: Evaluation) -> Figure:
    """Difference of the AUCs, super-resolution against each other resolution, with DeLong's interval."""
    cohorts = list(evaluation.predictions.cohorts_present())
    inputs = evaluation.predictions.inputs
    pairs = [pair for pair in PAIRS if any((row.resolution, row.reference) == pair for row in evaluation.comparisons)]
    figure, grid = panels(1, len(cohorts), 3.1, 0.8 + 0.62 * len(inputs))
    farthest = max(max(abs(row.difference.low), abs(row.difference.high)) for row in evaluation.comparisons)
    for axes, cohort in zip(grid[0], cohorts, strict=True):
        for place, pair in enumerate(pairs):
            rows = [row for row in evaluation.comparisons if row.cohort is cohort]
            found = {row.input: row.difference for row in rows if (row.resolution, row.reference) == pair}
            colour = resolution_line(pair[1])["color"] if pair[0] is Resolution.SUPER else INK
            _forest(axes, inputs, found, f"{pair[0]} − {pair[1]}", _offset(place, len(pairs)), colour)
        _forest_frame(axes, inputs, f"{cohort.capitalize()} cohort", "difference of AUC", zero=0.0)
        axes.set_xlim(-1.05 * farthest - 0.005, 1.05 * farthest + 0.005)
    _legend_below(figure, grid[0][0])
    return figure


def subgroups(evaluation: Evaluation, looks_at: str) -> Figure:
    """AUC by scanner and group, of one input at every resolution."""
    cohorts = list(evaluation.predictions.cohorts_present())
    named = evaluation.options.groups
    groups = (*sorted({row.group for row in evaluation.subgroups} - set(named)), *named)
    resolutions = evaluation.predictions.resolutions
    figure, grid = panels(1, len(cohorts), 3.1, 0.9 + 0.5 * len(groups))
    for axes, cohort in zip(grid[0], cohorts, strict=True):
        for place, resolution in enumerate(resolutions):
            model = Model(looks_at, resolution)
            rows = [row for row in evaluation.subgroups if (row.cohort, row.model) == (cohort, model)]
            found = {row.group: row.auc for row in rows if row.auc is not None}
            colour = resolution_line(resolution)["color"]
            _forest(axes, groups, found, resolution, _offset(place, len(resolutions)), colour)
        _forest_frame(axes, groups, f"{cohort.capitalize()} cohort", "AUC", zero=0.5)
        axes.set_xlim(0, 1)
    _legend_below(figure, grid[0][0])
    return figure


def group_roc(evaluation: Evaluation, group: str) -> Figure:
    """ROC curves of every input on the cases of a named group of scanners: a row a resolution, a panel a cohort."""
    scanners = evaluation.options.groups[group]
    cohorts = [row.cohort for row in evaluation.subgroups if row.group == group and row.auc is not None]
    cohorts = list(dict.fromkeys(cohorts))
    every = evaluation.predictions.resolutions
    resolutions = [each for each in every if each in PAIRS[0]] or every
    figure, grid = panels(len(resolutions), len(cohorts), 3.1, 3.1)
    for row, resolution in zip(grid, resolutions, strict=True):
        for axes, cohort in zip(row, cohorts, strict=True):
            cases = evaluation.predictions.cohort(cohort)
            cases = cases.where(np.isin(cases.scanners, scanners))
            for found in evaluation.subgroups:
                if (found.cohort, found.group, found.model.resolution) == (cohort, group, resolution) and found.auc:
                    false_positive, sensitivity, _ = roc_curve(cases.labels, cases.of(found.model))
                    line = input_line(evaluation.predictions.inputs, found.model.input)
                    label = f"{found.model.input} {_brief(found.auc)}"
                    axes.plot(false_positive, sensitivity, linewidth=1.4, label=label, **line)
            _roc_frame(axes, f"{cohort.capitalize()} cohort, {resolution}")
    return figure


def _area(evaluation: Evaluation, cohort: CohortPart, model: Model, name: str) -> str:
    return f"{name} {_brief(evaluation.performance(cohort, model).auc)}"


def _brief(area: Estimate) -> str:
    return f"{number(area.value)} ({number(area.low, 2)}–{number(area.high, 2)})"


def _roc(axes: Axes, curves: Curves, label: str, line: Style) -> None:
    axes.plot(curves.false_positive, curves.sensitivity, linewidth=1.4, label=label, **line)


def _roc_frame(axes: Axes, title: str) -> None:
    heading(axes, title)
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="1 − specificity", ylabel="sensitivity", aspect="equal")
    legend(axes, "lower right")


def _calibration(axes: Axes, curves: Curves, resolution: Resolution, line: Style) -> None:
    _band(axes, curves.calibration, resolution, line)
    if resolution in PAIRS[0]:
        points = [group.predicted for group in curves.groups], [group.observed.value for group in curves.groups]
        axes.plot(*points, marker="o", markersize=2.6, linestyle="", color=line["color"])


def _band(axes: Axes, band: Band, resolution: Resolution, line: Style) -> None:
    """The curve; the band only of the resolutions of the main question, four would hide one another."""
    axes.plot(band.x, band.y, linewidth=1.4, label=resolution, **line)
    if resolution in PAIRS[0]:
        axes.fill_between(band.x, band.low, band.high, color=line["color"], alpha=0.12, linewidth=0)


def _calibration_frame(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, zorder=0)
    labels: Style = {"xlabel": "predicted probability", "ylabel": "observed share"}
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", **labels)
    legend(axes, "upper left")


def _decision_frame(axes: Axes, labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    thresholds = np.linspace(0.0, 0.99, 100)
    axes.plot(thresholds, treat_all(labels, thresholds), color=SOFT, linewidth=0.8, label="act on all")
    axes.axhline(0, color=INK, linewidth=0.8, label="act on none")
    top = float(labels.mean())
    axes.set(xlim=(0, 1), ylim=(-0.25 * top, 1.1 * top), xlabel="threshold probability", ylabel="net benefit")
    legend(axes, "upper right")


def _offset(place: int, of: int) -> float:
    return 0.0 if of == 1 else _SPREAD * (2 * place / (of - 1) - 1)


def _forest(
    axes: Axes, names: tuple[str, ...], found: dict[str, Estimate], label: str, offset: float, colour: str
) -> None:
    """One mark with its interval for every name that has one."""
    places = [names.index(name) + offset for name in found]
    values = [estimate.value for estimate in found.values()]
    reach = [
        [estimate.value - estimate.low for estimate in found.values()],
        [estimate.high - estimate.value for estimate in found.values()],
    ]
    style: Style = {"markersize": 3.6, "elinewidth": 1.1, "capsize": 0}
    axes.errorbar(values, places, xerr=reach, fmt="o", color=colour, label=label, **style)


def _forest_frame(axes: Axes, names: tuple[str, ...], title: str, label: str, zero: float) -> None:
    heading(axes, title)
    axes.axvline(zero, color=SOFT, linewidth=0.8, zorder=0)
    place = axes.get_subplotspec()
    first = place is not None and place.is_first_col()
    axes.set_yticks(range(len(names)), names if first else [""] * len(names))
    axes.tick_params(axis="y", labelsize=7.5, labelcolor=INK, length=0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=7, frameon=False)
