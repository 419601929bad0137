"""The page at the end of a training: curves, pictures, figures, recipe."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.research.documents.blocks import Block, Code, Document, Gallery, Heading, Picture, Table
from models.research.documents.figures import svg
from models.research.documents.page import page

Curve = SequenceOf[tuple[int, float]]

TRUTH_COLOUR, FOUND_COLOUR, LINE_COLOUR = "#2f9e6e", "#e0662f", "#2b5f9e"
_PACKAGES = ("torch", "monai", "lightning-fabric", "numpy", "SimpleITK")


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a volume: `image` (rows, columns), and masks on it that are drawn as contours, by colour.

    `window`: the intensities shown black and white; without it the image's own 1st and 99th percentile.
    """

    caption: str
    image: npt.NDArray[np.floating]
    contours: Mapping[str, npt.NDArray[np.integer]] = field(default_factory=dict)
    window: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Content of the page.

    Attributes:
        statement: what the weights may be used for.
        curves: (step, value) pairs by name.
        figures, recipe, environment: names and values; a value may be a mapping, which becomes rows of its own.
        key: meaning of the contours' colours, by colour.
        drawings: figures by caption, shown in their own size.
    """

    title: str
    statement: str
    command: str
    curves: Mapping[str, Curve]
    pictures: SequenceOf[Slice]
    figures: Mapping[str, object]
    recipe: Mapping[str, object]
    environment: Mapping[str, object]
    key: Mapping[str, str]
    drawings: Mapping[str, Figure] = field(default_factory=dict)


def training_page(record: TrainingRecord) -> str:
    """The page as HTML; the same record gives the same text."""
    return page(training_document(record))


def training_document(record: TrainingRecord) -> Document:
    """The page as a document; a section without content is left out."""
    curves = tuple(Picture(name, name, _curve(curve)) for name, curve in record.curves.items() if curve)
    slices = tuple(Picture(it.caption, it.caption, _slice(it), raster=True) for it in record.pictures)
    drawings = tuple(Picture(caption, caption, drawing) for caption, drawing in record.drawings.items())
    sections: tuple[tuple[str, Block | None], ...] = (
        ("Curves", Gallery(curves) if curves else None),
        ("Models", Gallery(drawings) if drawings else None),
        ("Examples", Gallery(slices, tuple(record.key.items())) if slices else None),
        ("Figures", _table(record.figures)),
        ("Recipe", _table(record.recipe)),
        ("Command", Code(record.command)),
        ("Environment", _table(record.environment)),
    )
    blocks = [part for title, content in sections if content is not None for part in (Heading(title), content)]
    return Document(record.title, record.statement, tuple(blocks))


def logged_curves(folder: Path) -> dict[str, Curve]:
    """All scalars of the TensorBoard event files in `folder`; of a step that was logged twice the later value."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    curves: dict[str, Curve] = {}
    for name in sorted(events.Tags()["scalars"]):
        latest = {event.step: event.value for event in sorted(events.Scalars(name), key=lambda event: event.wall_time)}
        curves[name] = sorted(latest.items())
    return curves


def curves_svg(curves: Mapping[str, Curve]) -> str:
    """All curves side by side as one SVG, for a document that shows them without the page."""
    figure = Figure(figsize=(4.6 * len(curves), 2.9), layout="constrained")
    for axes, (name, curve) in zip(figure.subplots(1, len(curves), squeeze=False).flat, curves.items(), strict=True):
        _draw(axes, curve)
        axes.set_title(name, fontsize=9)
    return svg(figure).decode()


def environment() -> dict[str, object]:
    """Versions and processor of this process."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **versions, "processor": platform.machine(), "GPU": gpu}


def _table(values: Mapping[str, object]) -> Table | None:
    rows = tuple(_rows(values))
    return Table("", ("", ""), rows, labels=2) if rows else None


def _rows(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{name} › ")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(curve: Curve) -> Figure:
    figure = Figure(figsize=(4.6, 2.7), layout="constrained")
    _draw(figure.add_subplot(), curve)
    return figure


def _draw(axes: Axes, curve: Curve) -> None:
    steps, values = zip(*curve, strict=True)
    axes.plot(steps, values, color=LINE_COLOUR, linewidth=1.6, marker="o" if len(steps) < 30 else "", markersize=3)
    axes.set_xlabel("epoch", fontsize=8, color="#66727d")
    axes.tick_params(labelsize=8, colors="#66727d")
    axes.grid(color="#eef1f3")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c9d0d6")


def _slice(picture: Slice) -> Figure:
    rows, columns = picture.image.shape
    figure = Figure(figsize=(2.8, 2.8 * rows / columns))
    axes = figure.add_axes((0, 0, 1, 1))
    low, high = picture.window or np.percentile(picture.image, (1, 99))
    axes.imshow(picture.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bilinear")
    for colour, mask in picture.contours.items():
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.4)
    axes.set_axis_off()
    return figure
