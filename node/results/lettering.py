"""Text on the summary page: lines and paragraphs in parts of a figure, in what the fonts can draw."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from node.results.fonts import drawable, lettering
from node.results.panels import INK

AMBER, RULE = "#f2b134", "#26313d"
#: Margins of a column, in parts of its width.
LEFT, RIGHT = 0.055, 0.955
#: Height of a row, in parts of the size of its letters.
_LEADING = 1.3
_SMALLEST, _STEP = 2.5, 0.25
#: East Asian letters, between which a line may end everywhere.
_WIDE = "\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60"
_TOKEN = re.compile(rf"\s+|[{_WIDE}]|[^\s{_WIDE}]+")


def paragraph(
    part: SubFigure, top: float, lines: Sequence[str], width: int, line: float, room: int, colour: str = INK
) -> None:
    """Text in `room` lines of `width` columns, `line` (parts of the height) apart; what is cut off is said."""
    wrapped = [row for text in lines for row in in_columns(text, width, "  ")]
    if len(wrapped) > room:
        wrapped = [*wrapped[: room - 1], "… more in the structured report"]
    for index, row in enumerate(wrapped):
        write(part, LEFT, top - line * index, row, size=7.4, colour=colour)


def filling(part: SubFigure, top: float, bottom: float, text: str, size: float, margin: float, colour: str) -> None:
    """Text from margin to margin between two heights (parts of the figure), in smaller letters where it is long.

    Nothing of it is cut off.
    """
    box = part.bbox.transformed(part.dpi_scale_trans.inverted())
    width, height = 72 * box.width * (1 - 2 * margin), 72 * box.height * (top - bottom)
    rows = _rows_of_size(text, size, width)
    while len(rows) * size * _LEADING > height and size > _SMALLEST:
        size -= _STEP
        rows = _rows_of_size(text, size, width)
    middle, step = (top + bottom) / 2, size * _LEADING / (72 * box.height)
    for number, row in enumerate(rows):
        write(part, margin, middle + step * ((len(rows) - 1) / 2 - number), row, size=size, colour=colour)


def in_columns(text: str, width: int, indent: str = "") -> list[str]:
    """Rows of at most `width` columns of a text as it is drawn; an East Asian letter takes two."""
    return _rows(
        drawable(text), lambda row: sum(1 + (unicodedata.east_asian_width(it) in "WF") for it in row) <= width, indent
    )


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
    shown = drawable(text)
    part.text(
        x, y, shown, fontsize=size, color=colour, ha=ha, va="center", parse_math=False, **lettering(shown, weight)
    )


def frame_only(axes: Axes) -> None:
    """Axes without ticks, in the colour of rules."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color(RULE)


def _rows(text: str, fits: Callable[[str], bool], indent: str = "") -> list[str]:
    """The text in rows that fit, as many words a row as go; `indent` begins those after the first."""
    done, row = [], ""
    for token in _TOKEN.findall(text):
        if fits(row + token.rstrip()):
            row += token
            continue
        if row.strip():
            done.append(row.rstrip())
            row = indent
        for character in token.strip():  # one by one, because a word may be longer than a row
            if row.strip() and not fits(row + character):
                done.append(row)
                row = indent
            row += character
    return [*done, row.rstrip()] if row.strip() else done


def _rows_of_size(text: str, size: float, width: float) -> list[str]:
    """Rows of at most `width` points in letters of a size."""
    return _rows(drawable(text), lambda row: size * sum(map(_advance, row)) <= width)


@cache
def _advance(character: str) -> float:
    """Width of a letter in parts of its size, with some room for what the renderer rounds."""
    font = FontProperties(family=lettering(character)["family"], size=100)
    width, _, _ = text_to_path.get_text_width_height_descent(character, font, ismath=False)
    return 1.05 * float(width) / 100
