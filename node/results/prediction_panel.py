"""The prediction on the summary page: probability and cut-off, every model's answer, and what moved the main one.

A bar to the right raises the probability, one to the left lowers it; a full bar is never less than half a unit of log
odds, so that small influences look small.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from models.prediction.records import Contribution, ModelPrediction, Prediction
from models.sequence import ANALYSED
from node.results.explanation import (
    SHOWN,
    direction,
    inputs_of,
    measured,
    substitution,
    technical_name,
    title,
    training_range,
)
from node.results.findings import StudyResults
from node.results.identity import clipped
from node.results.lettering import AMBER, LEFT, RIGHT, RULE, paragraph, write
from node.results.panels import BACKGROUND, INK, MUTED

LOWERS = "#5aa9e6"
_FULL_BAR = 0.5
_LINE, _ROW = 0.062, 0.185


def draw_prediction(part: SubFigure, results: StudyResults) -> None:
    """Target, probability on its gauge, the model that answered, and the answers of all."""
    write(part, LEFT, 0.88, "Prediction", size=9.5, weight="bold")
    prediction = results.prediction
    if prediction is None:
        write(part, LEFT, 0.78, "none: " + _why_none(results), size=8.5, colour=MUTED)
        return
    target = prediction.target
    paragraph(part, 0.79, [f"{target.positive_class} ({target.name})"], width=58, line=_LINE, room=2)
    write(part, LEFT, 0.575, f"{prediction.main.probability:.2f}", size=17, weight="bold")
    _gauge(part.add_axes((0.24, 0.53, 0.66, 0.09)), prediction)
    model = f"{prediction.main.name} {prediction.main.version}, from {inputs_of(prediction.main)}"
    replaced = substitution(prediction)
    lines, colour = ([replaced], AMBER) if replaced else ([model], MUTED)
    paragraph(part, 0.39, lines, width=60, line=_LINE, room=3, colour=colour)
    _answers(part, prediction)


def draw_reasons(part: SubFigure, results: StudyResults) -> None:
    """The strongest features of the main model: value, range of the training cohort, and which way they move it."""
    write(part, LEFT, 0.88, "What moved the prediction", size=9.5, weight="bold")
    if results.prediction is None:
        write(part, LEFT, 0.78, "no prediction", size=8.5, colour=MUTED)
        return
    shown = results.prediction.main.contributions[:SHOWN]
    full = max([_FULL_BAR, *(abs(feature.log_odds) for feature in shown)])
    for number, feature in enumerate(shown):
        _reason(part, 0.79 - _ROW * number, feature, full)
    note = f"Range: training cohort. Full bar: {full:.2g} calibrated log odds. Explains the model, not the disease."
    write(part, LEFT, 0.045, note, size=6.2, colour=MUTED)


def _reason(part: SubFigure, top: float, feature: Contribution, full: float) -> None:
    write(part, LEFT, top, clipped(title(feature), 50), size=7.8)
    value = f"{measured(feature)}  ·  range {training_range(feature)}"
    outside = "⚠ outside: " if feature.outside else ""
    write(part, LEFT, top - 0.055, outside + value, size=7, colour=AMBER if feature.outside else INK)
    write(part, LEFT, top - 0.105, clipped(technical_name(feature), 72), size=5.8, colour=MUTED)
    _bar(part.add_axes((0.69, top - 0.025, RIGHT - 0.69, 0.055)), feature, full)
    moved = f"{direction(feature)} {feature.log_odds:+.2f}"
    write(part, (0.69 + RIGHT) / 2, top - 0.07, moved, size=7, colour=_colour(feature), ha="center")


def _bar(axes: Axes, feature: Contribution, full: float) -> None:
    axes.set(facecolor=BACKGROUND, xlim=(-1, 1), ylim=(0, 1))
    axes.set_axis_off()
    axes.barh(0.5, 2.0, left=-1.0, height=0.8, color=RULE)
    axes.barh(0.5, feature.log_odds / full, height=0.8, color=_colour(feature))
    axes.plot([0, 0], [0, 1], color=INK, linewidth=1)


def _colour(feature: Contribution) -> str:
    return AMBER if feature.log_odds > 0 else LOWERS


def _gauge(axes: Axes, prediction: Prediction) -> None:
    """Probability on a line from 0 to 1 with the cut-off marked."""
    axes.set(facecolor=BACKGROUND, xlim=(-0.02, 1.02), ylim=(0, 1))
    axes.set_axis_off()
    axes.plot([0, 1], [0.5, 0.5], color=RULE, linewidth=6, solid_capstyle="round")
    axes.plot([0, prediction.main.probability], [0.5, 0.5], color=AMBER, linewidth=6, solid_capstyle="round")
    axes.plot([prediction.main.cutoff] * 2, [0.0, 1.0], color=INK, linewidth=1.6)
    for x, text in ((0.0, "0"), (1.0, "1"), (prediction.main.cutoff, f"cut-off {prediction.main.cutoff:.2f}")):
        write(axes, x, -0.55, text, size=7, colour=MUTED, ha="center")


def _answers(part: SubFigure, prediction: Prediction) -> None:
    """The probability of each model, a column an input and a row a resolution; the main one bold."""
    models = sorted((prediction.main, *prediction.others), key=lambda it: [list(ANALYSED).index(s) for s in it.inputs])
    columns = list(dict.fromkeys(model.inputs for model in sorted(models, key=lambda it: len(it.inputs))))
    for row, (resolution, label) in enumerate((("normal", "acquired"), ("super", "super-resolved"))):
        write(part, LEFT, 0.115 - 0.065 * row, label, size=6.6, colour=MUTED)
        for column, inputs in enumerate(columns):
            for model in models:
                if (model.inputs, model.resolution) == (inputs, resolution):
                    _answer(part, 0.40 + 0.15 * column, 0.115 - 0.065 * row, model, prediction.main)
    for column, inputs in enumerate(columns):
        name = "all" if set(inputs) == set(ANALYSED) else "+".join(inputs)
        write(part, 0.40 + 0.15 * column, 0.18, name, size=6.6, colour=MUTED, ha="center")


def _answer(part: SubFigure, x: float, y: float, model: ModelPrediction, main: ModelPrediction) -> None:
    weight, colour = ("bold", INK) if model is main else ("normal", MUTED)
    write(part, x, y, f"{model.probability:.2f}", size=6.8, colour=colour, weight=weight, ha="center")


def _why_none(results: StudyResults) -> str:
    if not any(result.has_tumour for result in results.sequences):
        return "no tumour to measure"
    return "no model has all of its inputs"
