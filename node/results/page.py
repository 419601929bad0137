"""The one-page summary: findings in the images, measurements, prediction with its explanation, limits.

It is drawn once and leaves twice: as pixels and as PDF. Its first line names patient and study as the objects around
it do, so that a print is not taken for another patient's; without a named caption it names nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure, SubFigure

from models import interruption
from node.recognition.record import StudyPlan
from node.results.caption import Caption
from node.results.clock import pdf_date
from node.results.explanation import substitution
from node.results.figures import millilitres, selection, slice_number
from node.results.findings import SequenceResult, StudyResults
from node.results.fonts import drawable
from node.results.identity import PRODUCT, RESEARCH_STATEMENT, bundle_statements, product_version
from node.results.lettering import AMBER, LEFT, RIGHT, filling, frame_only, in_columns, paragraph, write
from node.results.narrative import conclusion, found_nothing, warnings
from node.results.panels import (
    BACKGROUND,
    INK,
    MUTED,
    OUTLINE,
    acquired_plane,
    centre_of,
    cropped,
    draw,
    through_plane,
)
from node.results.prediction_panel import draw_prediction, draw_reasons
from node.results.set_aside import not_reported
from node.results.window import grey_range

SEQUENCES = ("T2WI", "DWI", "PVP")
SIZE_INCH, DPI = (11.6, 8.2), 150
TITLE = "Rectal MRI · AI analysis"
#: Height of a line at the foot, in parts of it.
_LINE = 0.062
#: Width by height of the pictures across the slices.
_PROPORTION = 1.55
_ON_AMBER = "#1b1300"
_STRIP = "#1a222c"
_MARGIN = 0.02
_NO_GLYPH = "A letter that no font of the node has stands as its Unicode number, such as [U+13000]."


class Page:
    """The page of some results, drawn once for all objects that show it under the same caption."""

    def __init__(self, results: StudyResults) -> None:
        self._results = results
        self._drawn: tuple[Caption, Figure] | None = None

    def pixels(self, caption: Caption) -> np.ndarray:
        """The page as pixels; uint8, rows × columns × RGB, the same for the same results and libraries.

        Args:
            caption: whose page it is, and when it was made.
        """
        buffer = BytesIO()
        self._figure(caption).savefig(buffer, format="rgba", dpi=DPI, facecolor=BACKGROUND)
        columns, rows = (round(length * DPI) for length in SIZE_INCH)
        pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(rows, columns, 4)
        return np.ascontiguousarray(pixels[:, :, :3])

    def pdf(self, caption: Caption) -> bytes:
        """The page as PDF, with text that can be searched."""
        buffer = BytesIO()
        facts = {"Title": TITLE, "Creator": PRODUCT, "Producer": None, "CreationDate": None}
        with PdfPages(buffer, metadata=facts) as document:
            # matplotlib would write the offset of a date with the wrong sign, and its minutes as seconds.
            document.infodict()["CreationDate"] = pdf_date(caption.made_at)
            document.savefig(self._figure(caption), dpi=DPI, facecolor=BACKGROUND)
        return buffer.getvalue()

    def _figure(self, caption: Caption) -> Figure:
        if self._drawn is None or self._drawn[0] != caption:
            self._drawn = caption, page_figure(self._results, caption)
        interruption.check()
        return self._drawn[1]


def page_figure(results: StudyResults, caption: Caption) -> Figure:
    """The page as a figure of `SIZE_INCH`."""
    figure = Figure(figsize=SIZE_INCH, dpi=DPI, facecolor=BACKGROUND)
    heights = (0.55, 0.95, 4.1, 2.6) if caption.patient else (1.0, 4.5, 2.7)
    *strip, head, body, foot = _divided(figure, rows=heights)
    for part in strip:
        _patient(part, caption)
    _head(head, results, caption)
    by_name = {result.sequence: result for result in results.sequences}
    for name, column in zip(SEQUENCES, _divided(body, columns=(1, 1, 1)), strict=True):
        interruption.check()
        if name in by_name:
            _sequence(column, by_name[name], results.plan)
        else:
            _absent(column, name, results)
    _foot(foot, results, caption)
    return figure


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


def _patient(part: SubFigure, caption: Caption) -> None:
    part.set_facecolor(_STRIP)
    filling(part, 0.95, 0.42, caption.patient, 13, _MARGIN, INK)
    filling(part, 0.42, 0.05, caption.study, 9, _MARGIN, INK)


def _head(part: SubFigure, results: StudyResults, caption: Caption) -> None:
    write(part, 0.02, 0.74, TITLE, size=15, weight="bold")
    write(part, 0.02, 0.38, conclusion(results), size=10.5)
    write(part, 0.98, 0.74, f"{PRODUCT} {product_version()}", size=8, colour=MUTED, ha="right")
    write(part, 0.98, 0.54, f"{caption.made_at:%Y-%m-%d %H:%M %z}", size=8, colour=MUTED, ha="right")
    if results.supersedes is not None:
        text = f"supersedes revision {results.supersedes.revision}"
        write(part, 0.98, 0.36, text, size=8, colour=AMBER, ha="right")
    _banner(part.add_axes((0.0, 0.0, 1.0, 0.26), facecolor=AMBER), results)


def _banner(banner: Axes, results: StudyResults) -> None:
    """The statement on every result and, beside it, the statements of the bundles in use."""
    banner.set(xticks=[], yticks=[])
    for spine in banner.spines.values():
        spine.set_visible(False)
    write(banner, 0.02, 0.47, RESEARCH_STATEMENT.upper(), size=8.5, weight="bold", colour=_ON_AMBER)
    rows = in_columns(bundle_statements(results.algorithms), 132)
    if len(rows) > 2:
        rows = [rows[0], f"{rows[1][:108]} … (structured report)"]
    for number, row in enumerate(rows):
        write(banner, 0.27, 0.47 + 0.22 * (len(rows) - 1) - 0.44 * number, row, size=7, colour=_ON_AMBER)


def _sequence(column: SubFigure, result: SequenceResult, plan: StudyPlan) -> None:
    x, y, z = centre_of(result.mask)
    grey = grey_range(sitk.GetArrayViewFromImage(result.acquired))
    write(column, LEFT, 0.955, result.sequence, size=11, weight="bold")
    found = f"tumour {millilitres(result.volume_ml)}" if result.has_tumour else found_nothing(result.sequence, plan)
    write(column, RIGHT, 0.955, found, size=9.5, colour=OUTLINE if result.has_tumour else MUTED, ha="right")
    draw(column.add_axes((LEFT, 0.36, RIGHT - LEFT, 0.565)), acquired_plane(result.acquired, result.mask, z), grey)
    taken = " · ".join(filter(None, (slice_number(z, result.mask), selection(result.stack))))
    write(column, LEFT, 0.33, taken, size=7, colour=MUTED)
    write(column, RIGHT, 0.33, "bar 2 cm", size=7, colour=MUTED, ha="right")
    for left, image, mask, title in (
        (LEFT, result.acquired, result.mask, "across slices, acquired"),
        (0.52, result.super_resolved, result.mask_super, "across slices, super-resolved"),
    ):
        at_column, at_row = _index_at(image, result.acquired, x, y)
        # Of the slices no more is looked at than this column, so no more is carried over.
        section = image[at_column : at_column + 1, :, :]
        outlined = (
            sitk.Resample(result.mask, section, sitk.Transform(), sitk.sitkNearestNeighbor)
            if mask is None
            else mask[at_column : at_column + 1, :, :]
        )
        across = through_plane(section, outlined, 0)
        shown = cropped(across, at_row, _PROPORTION * across.size_mm[1])
        draw(column.add_axes((left, 0.045, 0.43, 0.255)), shown, grey, smooth=False)
        write(column, left, 0.015, title, size=7, colour=MUTED)


def _index_at(image: sitk.Image, acquired: sitk.Image, x: int, y: int) -> tuple[int, int]:
    """Column and row of `image` at the place of a pixel of the acquired grid."""
    point = acquired.TransformContinuousIndexToPhysicalPoint((float(x), float(y), 0.0))
    index = image.TransformPhysicalPointToContinuousIndex(point)
    column, row = (int(np.clip(round(i), 0, size - 1)) for i, size in zip(index[:2], image.GetSize()[:2], strict=True))
    return column, row


def _absent(column: SubFigure, name: str, results: StudyResults) -> None:
    write(column, LEFT, 0.955, name, size=11, weight="bold", colour=MUTED)
    axes = column.add_axes((LEFT, 0.36, RIGHT - LEFT, 0.565), facecolor="#121922")
    frame_only(axes)
    reasons = [it.reason for it in results.plan.refusals if it.role in (name, "STUDY")]
    lines = ["not analysed", "", *in_columns("; ".join(reasons), 44)]
    for number, line in enumerate(lines):
        write(axes, 0.5, 0.5 + 0.075 * ((len(lines) - 1) / 2 - number), line, size=8.5, colour=MUTED, ha="center")


def _foot(part: SubFigure, results: StudyResults, caption: Caption) -> None:
    columns = _divided(part, columns=(1, 1.35, 1.05))
    for column in columns:
        frame_only(column.add_axes((LEFT, 0.95, RIGHT - LEFT, 0.001)))
    draw_prediction(columns[0], results)
    draw_reasons(columns[1], results)
    write(columns[2], LEFT, 0.88, "Warnings and refusals", size=9.5, weight="bold")
    paragraph(columns[2], 0.79, _cautions(results, caption) or ["none"], width=56, line=_LINE, room=6)
    write(columns[2], LEFT, 0.39, "Models", size=9.5, weight="bold")
    paragraph(columns[2], 0.305, list(_models(results)), width=56, line=_LINE, room=5, colour=MUTED)


def _cautions(results: StudyResults, caption: Caption) -> list[str]:
    refused = [f"{it.role} not analysed: {it.reason}" for it in results.plan.refusals]
    said_beside_it = substitution(results.prediction) if results.prediction else ""
    warned = [warning for warning in warnings(results) if warning != said_beside_it]
    not_established = [str(location) for location in results.plan.locations if not location.established]
    cautions = [*not_reported(results.plan), *not_established, *refused, *warned]
    texts = [caption.patient, caption.study, *cautions]
    return [_NO_GLYPH, *cautions] if any(drawable(text) != text for text in texts) else cautions


def _models(results: StudyResults) -> Iterator[str]:
    for kind, algorithm in sorted(results.algorithms.items()):
        yield f"{kind}: {algorithm.name} {algorithm.version} ({algorithm.digest[:12]})"
    yield "Full measurements: structured report of this study."
