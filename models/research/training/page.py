"""The page at the end of a training: curves, pictures, figures, recipe, in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import importlib.metadata
import io
import platform
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Curve = SequenceOf[tuple[int, float]]

TRUTH_COLOUR, FOUND_COLOUR, LINE_COLOUR = "#2f9e6e", "#e0662f", "#2b5f9e"
_PACKAGES = ("torch", "monai", "lightning-fabric", "numpy", "SimpleITK")
_STYLE = """
:root { color-scheme: light; --ink: #1d2730; --soft: #66727d; --line: #dfe4e8; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
p.statement { margin: .3rem 0 0; color: var(--soft); }
.curves, .pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
.drawings { display: flex; flex-wrap: wrap; gap: 1rem; } .drawings figure img { width: auto; max-width: 100%; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: .25rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td { border-top: 1px solid var(--line); padding: .3rem .75rem .3rem 0; vertical-align: top; }
td:first-child { color: var(--soft); width: 16rem; }
pre { background: #f5f7f8; border-radius: 4px; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.key i { display: inline-block; width: .8rem; height: .2rem; margin: 0 .35rem .2rem 1rem; }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One slice: `image` (rows, columns), and masks on it that are drawn as contours, by colour.

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
    pictures: SequenceOf[Picture]
    figures: Mapping[str, object]
    recipe: Mapping[str, object]
    environment: Mapping[str, object]
    key: Mapping[str, str]
    drawings: Mapping[str, Figure] = field(default_factory=dict)


def training_page(record: TrainingRecord) -> str:
    """The page as HTML; the same record gives the same text."""
    curves = "".join(_figure(name, _curve(name, curve)) for name, curve in record.curves.items() if curve)
    pictures = "".join(_figure(picture.caption, _slice(picture)) for picture in record.pictures)
    drawings = "".join(_figure(caption, _embedded(drawing, "svg")) for caption, drawing in record.drawings.items())
    key = "".join(f'<i style="background:{colour}"></i>{_text(name)}' for colour, name in record.key.items())
    sections = (
        ("Curves", f'<div class="curves">{curves}</div>' if curves else ""),
        ("Models", f'<div class="drawings">{drawings}</div>' if drawings else ""),
        (f'Examples <span class="key">{key}</span>', f'<div class="pictures">{pictures}</div>' if pictures else ""),
        ("Figures", _table(record.figures)),
        ("Recipe", _table(record.recipe)),
        ("Command", f"<pre>{_text(record.command)}</pre>"),
        ("Environment", _table(record.environment)),
    )
    body = "".join(f"<section><h2>{title}</h2>{content}</section>\n" for title, content in sections if content)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(record.title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>'
        f'<h1>{_text(record.title)}</h1><p class="statement">{_text(record.statement)}</p>\n{body}</body></html>\n'
    )


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
    return _saved(figure, "svg").decode()


def environment() -> dict[str, object]:
    """Versions and processor of this process."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **versions, "processor": platform.machine(), "GPU": gpu}


def _table(values: Mapping[str, object]) -> str:
    rows = "".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in _rows(values))
    return f"<table>{rows}</table>" if rows else ""


def _rows(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{name} › ")
        elif isinstance(value, (list, tuple)):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(name: str, curve: Curve) -> str:
    figure = Figure(figsize=(4.6, 2.7), layout="constrained")
    _draw(figure.add_subplot(), curve)
    return _embedded(figure, "svg")


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


def _slice(picture: Picture) -> str:
    rows, columns = picture.image.shape
    figure = Figure(figsize=(2.8, 2.8 * rows / columns))
    axes = figure.add_axes((0, 0, 1, 1))
    low, high = picture.window or np.percentile(picture.image, (1, 99))
    axes.imshow(picture.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="bilinear")
    for colour, mask in picture.contours.items():
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.4)
    axes.set_axis_off()
    return _embedded(figure, "png")


def _embedded(figure: Figure, form: str) -> str:
    """The figure as a data URL."""
    kind = "svg+xml" if form == "svg" else form
    return f"data:image/{kind};base64,{base64.b64encode(_saved(figure, form)).decode()}"


def _saved(figure: Figure, form: str) -> bytes:
    """Without a date and with fixed identifiers, so that it is the same every time."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "rectal-node", "font.family": "DejaVu Sans"}):
        figure.savefig(stream, format=form, dpi=160, metadata={"Date": None} if form == "svg" else {"Software": None})
    return stream.getvalue()


def _figure(caption: str, source: str) -> str:
    text = _text(caption)
    return f'<figure><img alt="{text}" src="{source}"><figcaption>{text}</figcaption></figure>'


def _text(value: object) -> str:
    return html.escape(str(value))
