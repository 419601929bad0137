"""Text on the summary page: lines and paragraphs in parts of a figure, in what the font can draw."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from node.results.panels import FONT, INK

AMBER, RULE = "#f2b134", "#26313d"
#: Margins of a column, in parts of its width.
LEFT, RIGHT = 0.055, 0.955


def paragraph(
    part: SubFigure, top: float, lines: Sequence[str], width: int, line: float, room: int, colour: str = INK
) -> None:
    """Text in `room` lines of `width` characters, `line` (parts of the height) apart; what is cut off is said."""
    wrapped = [row for text in lines for row in textwrap.wrap(drawable(text), width, subsequent_indent="  ")]
    if len(wrapped) > room:
        wrapped = [*wrapped[: room - 1], "… more in the structured report"]
    for index, row in enumerate(wrapped):
        write(part, LEFT, top - line * index, row, size=7.4, colour=colour)


def write(
    part: SubFigure | Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    ha: str = "left",
) -> None:
    """One line of text, centred on `y`; `x`, `y` in parts of the figure, or in the coordinates of the axes."""
    part.text(x, y, drawable(text), fontsize=size, color=colour, weight=weight, family=FONT, ha=ha, va="center")


def frame_only(axes: Axes) -> None:
    """Axes without ticks, in the colour of rules."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(RULE)


def drawable(text: str) -> str:
    """The text with a question mark for what the font cannot draw; `$` would start mathematics."""
    return "".join(c if _has_glyph(c) and c != "$" else "?" for c in text)


@cache
def _has_glyph(character: str) -> bool:
    font = font_manager.get_font(font_manager.findfont(FONT, fallback_to_default=False))
    return bool(font.get_char_index(ord(character)))
