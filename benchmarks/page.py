"""The page of the measurements, `docs/performance.md`, with its plots."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.comparison import NODE, Compared, compare
from benchmarks.record import Row

_HEAD = """# Performance

Written by `make bench`. Receivers, senders and variants took turns within one run and on the same processors; medians
of the runs, smallest and largest in brackets. "node is" tells how many times as good as the other the node was in the
same run (median of the runs' ratios): above 1 the node is better. The raw values are in
[measurements.csv](performance/measurements.csv); a later `make bench` says what became over 25 % slower. What was aimed
at, and what was tried where that is missed: [goals](performance/goals.md).
"""

_TITLES = {
    "receiving": "Receiving by C-STORE",
    "delivery": "Sending by C-STORE",
    "networks": "Super-resolution and segmentation",
    "radiomics": "Radiomics",
    "encoding": "Encoding of results",
    "growth": "Growth",
    "turnaround": "Turnaround of one study",
}
_WATERFALL = re.compile(r"waterfall: (?P<step>.+) (?P<edge>begins|ends)")
_SENDERS = re.compile(r"(?P<what>.+), (?P<senders>\d+) senders?$")


def write_page(rows: list[Row], folder: Path, origins: Mapping[str, str]) -> None:
    """Write `performance.md` beside the folder of the table, and the plots into the folder.

    `origins`: commit and machine of each part, which need not be the same.
    """
    compared = compare(rows)
    plots = {"receiving": _plot_rates(compared, folder), "turnaround": _plot_waterfall(compared, folder)}
    lines = [_HEAD]
    for part, entries in groupby(compared, key=lambda each: each.part):
        lines += [f"## {_TITLES[part]}", f"`python -m benchmarks.{part}` {origins[part]}", ""]
        lines += _table(each for each in entries if not _WATERFALL.match(each.case))
        if plot := plots.get(part):
            lines += ["", f"![{_TITLES[part]}](performance/{plot})"]
        lines.append("")
    (folder.parent / "performance.md").write_text("\n".join(lines).rstrip() + "\n")


def machine() -> str:
    """This one, in words."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} processors ({model}), {memory:.0f} GB memory, {system}"


def _table(entries: Iterable[Compared]) -> list[str]:
    lines = ["| case | variant | median | node is |", "| --- | --- | --- | --- |"]
    for each in entries:
        spread = f" ({each.smallest:.3g} to {each.largest:.3g})" if each.runs > 1 else ""
        ratio = "" if each.times_the_node is None else f"{each.times_the_node:.2f} ×"
        lines.append(f"| {each.case} | {each.variant} | {each.median:.4g} {each.unit}{spread} | {ratio} |")
    return lines


def _plot_rates(compared: list[Compared], folder: Path) -> str:
    """Rates over the number of senders; the name of the picture, empty where nothing was measured."""
    found = [(match, each) for each in compared if each.unit == "images/s" and (match := _SENDERS.match(each.case))]
    kinds = sorted({match["what"] for match, _ in found})
    if not kinds:
        return ""
    figure = Figure(figsize=(4.5 * len(kinds), 3.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        for variant in dict.fromkeys(each.variant for _, each in found):
            points = [(int(m["senders"]), e.median) for m, e in found if m["what"] == kind and e.variant == variant]
            axes.plot(*zip(*sorted(points), strict=True), marker="o", label=variant)
        axes.set(title=kind, xlabel="senders", ylabel="images/s", ylim=(0, None), xscale="log", xticks=[1, 4, 16])
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.legend(frameon=False, fontsize=8)
    return _save(figure, folder / "receiving.svg")


def _plot_waterfall(compared: list[Compared], folder: Path) -> str:
    """Begin and end of each step after the last C-STORE response; the name of the picture, or empty."""
    spans: dict[str, dict[str, float]] = {}
    for each in compared:
        if each.variant == NODE and (match := _WATERFALL.match(each.case)):
            spans.setdefault(match["step"], {})[match["edge"]] = each.median
    if not spans:
        return ""
    figure = Figure(figsize=(7, 0.35 * len(spans) + 0.9), layout="constrained")
    axes = figure.subplots()
    for place, span in enumerate(spans.values()):
        axes.barh(place, span["ends"] - span["begins"], left=span["begins"])
        axes.text(span["ends"], place, f" {span['ends'] - span['begins']:.1f} s", va="center", fontsize=8)
    axes.set(yticks=range(len(spans)), yticklabels=list(spans), xlabel="s after the last C-STORE response")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    return _save(figure, folder / "waterfall.svg")


def _save(figure: Figure, path: Path) -> str:
    with mpl.rc_context({"svg.hashsalt": "rectal-node", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
    return path.name
