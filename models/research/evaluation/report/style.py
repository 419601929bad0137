"""How every figure looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.research.evaluation.predictions import Resolution

INK, SOFT, RULE, GRID = "#1d2730", "#66727d", "#c9d0d6", "#eef1f3"
#: Told apart without colour vision, too: Okabe & Ito's palette, and a line style of its own.
_INPUT_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#1d2730", "#cc79a7", "#e69f00", "#56b4e9")
_INPUT_STYLES = ("-", "--", "-.", "-", ":", "--", "-.")
RESOLUTION_COLOURS = {
    Resolution.NORMAL: "#d55e00",
    Resolution.SUPER: "#0072b2",
    Resolution.CUBIC: "#009e73",
    Resolution.NONE: "#7a8691",
}
RESOLUTION_STYLES = {
    Resolution.NORMAL: "--",
    Resolution.SUPER: "-",
    Resolution.CUBIC: "-.",
    Resolution.NONE: ":",
}

#: Arguments of matplotlib that make a line or a mark.
Style = dict[str, Any]


def input_line(inputs: Sequence[str], name: str) -> Style:
    """Colour and style of an input's line."""
    place = inputs.index(name) % len(_INPUT_COLOURS)
    return {"color": _INPUT_COLOURS[place], "linestyle": _INPUT_STYLES[place]}


def resolution_line(resolution: Resolution) -> Style:
    """Colour and style of a resolution's line."""
    return {"color": RESOLUTION_COLOURS[resolution], "linestyle": RESOLUTION_STYLES[resolution]}


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of plain panels, `width` and `height` inches each."""
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=7, colors=SOFT)
        axes.xaxis.label.set(size=7.5, color=SOFT)
        axes.yaxis.label.set(size=7.5, color=SOFT)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(RULE)
    return figure, grid.tolist()


def heading(axes: Axes, text: str) -> None:
    """A title over the left end of a panel."""
    axes.set_title(text, loc="left", fontsize=8.5, color=INK, fontweight="bold")


def legend(axes: Axes, place: Literal["lower left", "lower right", "upper left", "upper right"]) -> None:
    """A legend without frame in the panel."""
    axes.legend(loc=place, fontsize=6.6, frameon=True, framealpha=0.85, edgecolor="none", labelcolor=INK)
