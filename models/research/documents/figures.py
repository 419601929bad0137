"""Figures as bytes that are the same each time."""

from __future__ import annotations

import io

import matplotlib
from matplotlib.figure import Figure

_DOTS_PER_INCH = 200


def svg(figure: Figure) -> bytes:
    """The figure as SVG, letters as outlines; no date, fixed identifiers."""
    return _saved(figure, "svg", {"Date": None})


def png(figure: Figure) -> bytes:
    """The figure as PNG, for images and for where SVG cannot go."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    if (layout := figure.get_layout_engine()) is not None:
        # The places of the panels are found once; each format would seek them anew, and one that is "none" still draws
        # the figure twice.
        layout.execute(figure)
        figure.set_layout_engine(None)
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "rectal-node", "font.family": "DejaVu Sans"}):
        figure.savefig(stream, format=form, dpi=_DOTS_PER_INCH, metadata=metadata)
    return stream.getvalue()
