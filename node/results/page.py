"""The one-page summary as a picture: what was seen, what was measured, by which models, with which limits.

Nothing on it identifies the patient: no names, numbers, dates of the study or descriptions typed by people.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO

import numpy as np
import SimpleITK as sitk
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from models.prediction.records import Prediction
from node.results.findings import SequenceResult, StudyResults
from node.results.identity import PRODUCT, RESEARCH_STATEMENT, product_version
from node.results.measurements import inputs_of
from node.results.narrative import conclusion, warnings
from node.results.panels import (
    BACKGROUND,
    FONT,
    INK,
    MUTED,
    OUTLINE,
    acquired_plane,
    centre_of,
    cropped,
    draw,
    through_plane,
)
from node.results.window import grey_range

SEQUENCES = ("T2WI", "DWI", "PVP")
SIZE_INCH, DPI = (11.6, 8.2), 150
#: Margins of a column and the height of a line, in parts of the column.
_LEFT, _RIGHT, _LINE = 0.055, 0.955, 0.085
#: Width by height of the pictures across the slices.
_PROPORTION = 1.55
AMBER, RULE = "#f2b134", "#26313d"


def render(results: StudyResults) -> np.ndarray:
    """Draw the page; uint8, rows × columns × RGB, the same pixels for the same results and libraries."""
    figure = Figure(figsize=SIZE_INCH, dpi=DPI, facecolor=BACKGROUND)
    head, body, foot = _divided(figure, rows=(0.95, 4.9, 2.35))
    _head(head, results)
    by_name = {result.sequence: result for result in results.sequences}
    for name, column in zip(SEQUENCES, _divided(body, columns=(1, 1, 1)), strict=True):
        if name in by_name:
            _sequence(column, by_name[name])
        else:
            _absent(column, name, results)
    _foot(foot, results)
    buffer = BytesIO()
    figure.savefig(buffer, format="rgba", dpi=DPI, facecolor=BACKGROUND)
    columns, rows = (round(length * DPI) for length in SIZE_INCH)
    pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(rows, columns, 4)
    return np.ascontiguousarray(pixels[:, :, :3])


def _divided(
    part: Figure | SubFigure, rows: Sequence[float] = (1,), columns: Sequence[float] = (1,)
) -> list[SubFigure]:
    """Parts of a figure, row by row."""
    parts = part.subfigures(
        len(rows), len(columns), squeeze=False, height_ratios=list(rows), width_ratios=list(columns)
    )
    divided: list[SubFigure] = np.ravel(np.asarray(parts, dtype=object)).tolist()
    for each in divided:
        each.set_facecolor(BACKGROUND)
    return divided


def _head(part: SubFigure, results: StudyResults) -> None:
    _write(part, 0.02, 0.74, "Rectal MRI · AI analysis", size=15, weight="bold")
    _write(part, 0.02, 0.38, conclusion(results), size=10.5)
    _write(part, 0.98, 0.74, f"{PRODUCT} {product_version()}", size=8, colour=MUTED, ha="right")
    _write(part, 0.98, 0.54, f"{results.created_at:%Y-%m-%d %H:%M %Z}", size=8, colour=MUTED, ha="right")
    if results.supersedes is not None:
        text = f"supersedes revision {results.supersedes.revision}"
        _write(part, 0.98, 0.36, text, size=8, colour=AMBER, ha="right")
    banner = part.add_axes((0.0, 0.0, 1.0, 0.22), facecolor=AMBER)
    banner.set_xticks([])
    banner.set_yticks([])
    for spine in banner.spines.values():
        spine.set_visible(False)
    banner.text(
        0.02, 0.47, RESEARCH_STATEMENT.upper(), color="#1b1300", fontsize=8.5, weight="bold", family=FONT, va="center"
    )


def _sequence(column: SubFigure, result: SequenceResult) -> None:
    x, y, z = centre_of(result.mask)
    grey = grey_range(sitk.GetArrayViewFromImage(result.acquired))
    _write(column, _LEFT, 0.955, result.sequence, size=11, weight="bold")
    found = f"tumour {result.volume_ml:.1f} ml" if result.has_tumour else "no tumour found"
    _write(column, _RIGHT, 0.955, found, size=9.5, colour=OUTLINE if result.has_tumour else MUTED, ha="right")
    draw(column.add_axes((_LEFT, 0.36, _RIGHT - _LEFT, 0.565)), acquired_plane(result.acquired, result.mask, z), grey)
    _write(column, _LEFT, 0.33, f"slice {z + 1} of {result.acquired.GetSize()[2]}", size=7, colour=MUTED)
    _write(column, _RIGHT, 0.33, "bar 2 cm", size=7, colour=MUTED, ha="right")
    for left, image, mask, title in (
        (_LEFT, result.acquired, result.mask, "across slices, acquired"),
        (0.52, result.super_resolved, _mask_super(result), "across slices, super-resolved"),
    ):
        across = through_plane(image, mask, _index_at(image, result.acquired, x, y)[0])
        shown = cropped(across, _index_at(image, result.acquired, x, y)[1], _PROPORTION * across.size_mm[1])
        draw(column.add_axes((left, 0.045, 0.43, 0.255)), shown, grey, smooth=False)
        _write(column, left, 0.015, title, size=7, colour=MUTED)


def _mask_super(result: SequenceResult) -> sitk.Image:
    """Mask on the super-resolved grid: its own, else the acquired one carried over."""
    if result.mask_super is not None:
        return result.mask_super
    return sitk.Resample(result.mask, result.super_resolved, sitk.Transform(), sitk.sitkNearestNeighbor)


def _index_at(image: sitk.Image, acquired: sitk.Image, x: int, y: int) -> tuple[int, int]:
    """Column and row of `image` at the place of a pixel of the acquired grid."""
    point = acquired.TransformContinuousIndexToPhysicalPoint((float(x), float(y), 0.0))
    index = image.TransformPhysicalPointToContinuousIndex(point)
    column, row = (int(np.clip(round(i), 0, size - 1)) for i, size in zip(index[:2], image.GetSize()[:2], strict=True))
    return column, row


def _absent(column: SubFigure, name: str, results: StudyResults) -> None:
    _write(column, _LEFT, 0.955, name, size=11, weight="bold", colour=MUTED)
    axes = column.add_axes((_LEFT, 0.36, _RIGHT - _LEFT, 0.565), facecolor="#121922")
    _frame_only(axes)
    reasons = [it.reason for it in results.plan.refusals if it.role in (name, "STUDY")]
    lines = ["not analysed", "", *textwrap.wrap(_drawable("; ".join(reasons)), 44)]
    axes.text(
        0.5, 0.5, "\n".join(lines), color=MUTED, fontsize=8.5, family=FONT, ha="center", va="center", linespacing=1.5
    )


def _foot(part: SubFigure, results: StudyResults) -> None:
    columns = _divided(part, columns=(1, 1, 1))
    for column in columns:
        _frame_only(column.add_axes((_LEFT, 0.93, _RIGHT - _LEFT, 0.001)))
    _prediction(columns[0], results)
    _list(columns[1], "Warnings and refusals", _cautions(results) or ["none"])
    _list(columns[2], "Models", list(_models(results)))


def _prediction(part: SubFigure, results: StudyResults) -> None:
    _write(part, _LEFT, 0.84, "Prediction", size=9.5, weight="bold")
    if results.prediction is None:
        _write(part, _LEFT, 0.68, "none: " + _why_no_prediction(results), size=8.5, colour=MUTED)
        return
    prediction = results.prediction
    _paragraph(part, 0.72, [f"{prediction.target.positive_class} ({prediction.target.name})"], width=52)
    _write(part, _LEFT, 0.44, f"{prediction.main.probability:.2f}", size=17, weight="bold")
    _gauge(part.add_axes((0.24, 0.40, 0.66, 0.10)), prediction)
    _paragraph(
        part,
        0.19,
        [f"{prediction.main.name} {prediction.main.version}, from {inputs_of(prediction.main)}"],
        width=60,
        colour=MUTED,
    )


def _gauge(axes: Axes, prediction: Prediction) -> None:
    """Probability on a line from 0 to 1 with the cut-off marked."""
    axes.set_facecolor(BACKGROUND)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(0, 1)
    axes.set_axis_off()
    axes.plot([0, 1], [0.5, 0.5], color=RULE, linewidth=6, solid_capstyle="round")
    axes.plot([0, prediction.main.probability], [0.5, 0.5], color=AMBER, linewidth=6, solid_capstyle="round")
    axes.plot([prediction.main.cutoff] * 2, [0.0, 1.0], color=INK, linewidth=1.6)
    for x, text in ((0.0, "0"), (1.0, "1"), (prediction.main.cutoff, f"cut-off {prediction.main.cutoff:.2f}")):
        axes.text(x, -0.55, text, color=MUTED, fontsize=7, family=FONT, ha="center", va="center")


def _why_no_prediction(results: StudyResults) -> str:
    if not any(result.has_tumour for result in results.sequences):
        return "no tumour to measure"
    return "no model has all of its inputs"


def _cautions(results: StudyResults) -> list[str]:
    refused = [f"{it.role} not analysed: {it.reason}" for it in results.plan.refusals]
    return refused + warnings(results)


def _models(results: StudyResults) -> Iterator[str]:
    for kind, algorithm in sorted(results.algorithms.items()):
        yield f"{kind}: {algorithm.name} {algorithm.version} ({algorithm.digest[:12]}); {algorithm.statement}"
    yield "Full measurements: structured report of this study."


def _list(part: SubFigure, title: str, lines: Sequence[str]) -> None:
    _write(part, _LEFT, 0.84, title, size=9.5, weight="bold")
    _paragraph(part, 0.72, lines, width=60)


def _paragraph(part: SubFigure, top: float, lines: Sequence[str], width: int, colour: str = INK) -> None:
    """Text in lines of `width` characters, as many as there is room for."""
    wrapped = [row for line in lines for row in textwrap.wrap(_drawable(line), width, subsequent_indent="  ")]
    room = max(1, int(top / _LINE))
    if len(wrapped) > room:
        wrapped = [*wrapped[: room - 1], "… more in the structured report"]
    for index, row in enumerate(wrapped):
        _write(part, _LEFT, top - _LINE * index, row, size=7.6, colour=colour)


def _write(
    part: SubFigure,
    x: float,
    y: float,
    text: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    ha: str = "left",
) -> None:
    part.text(x, y, _drawable(text), fontsize=size, color=colour, weight=weight, family=FONT, ha=ha, va="center")


def _frame_only(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(RULE)


def _drawable(text: str) -> str:
    """The text with a question mark for what the font cannot draw; `$` would start mathematics."""
    return "".join(c if _has_glyph(c) and c != "$" else "?" for c in text)


@cache
def _has_glyph(character: str) -> bool:
    font = font_manager.get_font(font_manager.findfont(FONT, fallback_to_default=False))
    return bool(font.get_char_index(ord(character)))
