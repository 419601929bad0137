"""Report of an evaluation of the segmentation: CSV of all cases, tables against the goals, pictures of the worst."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.manifest import Manifest
from models.research.documents.blocks import Block, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.evaluation.overlap import Overlap
from models.research.phantom.scanners import find_scanner
from models.research.training.page import FOUND_COLOUR, TRUTH_COLOUR
from models.research.training.segmentation.evaluation import Bundles, SegmentationRow, findings
from models.research.training.segmentation.held_out_dice import Finding, Method, summary
from models.research.training.simulated_cases import CaseKey
from models.spreadsheet import write_mappings

GOAL_DICE, GOAL_MM = 0.95, 3.0
SIZES_ML = ((0.0, 5.0), (5.0, 20.0), (20.0, 60.0), (60.0, 1000.0))
HEAD = ("cases", "Dice, mean", "median", "lowest", "HD95 mm", "within 3 mm", "missed", "tumour-free with a mask")


def write_table(path: Path, rows: Iterable[SegmentationRow]) -> None:
    """All rows as CSV, in a fixed order."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_mappings(stream, [field.name for field in fields(SegmentationRow)], map(asdict, sorted(rows, key=_order)))


def report(rows: SequenceOf[SegmentationRow], manifest: Manifest) -> str:
    """The tables in Markdown: means by method, and of the super-resolved images by scanner and tumour size."""
    return markdown(
        Document(
            f"Segmentation: {manifest.name} {manifest.version}",
            f"{manifest.training_data}. {manifest.intended_use}.",
            (Paragraph(_GOAL), *_cohorts(rows)),
        )
    )


_GOAL = (
    f"Goal on super-resolved images: mean Dice {GOAL_DICE} or more, mean 95 % Hausdorff distance (HD95) "
    f"{GOAL_MM:g} mm or less. The node segments the super-resolved image; cubic B-spline on the same grid and the "
    "acquired image are controls, the intensity band (fitted to training cases) and its largest component are "
    'baselines. The network reads all sequences of a case together, but for "others missing".'
)


def _cohorts(rows: SequenceOf[SegmentationRow]) -> Iterator[Block]:
    for cohort in dict.fromkeys(row.cohort for row in rows):
        part = [row for row in rows if row.cohort == cohort]
        yield Heading(f"Cohort {cohort}: {', '.join(sorted({row.scanner for row in part}))}")
        methods = [
            (sequence, method, *figures([row for row in part if (row.sequence, row.method) == (sequence, method)]))
            for sequence, method in _pairs(part)
        ]
        yield Table("", ("sequence", "image", *HEAD), tuple(methods), labels=2)
        served = [row for row in part if row.method == Method.SUPER]
        groups = [(name, *figures(chosen)) for name, chosen in _groups(served) if chosen]
        yield Table("", ("super-resolved, all sequences", *HEAD), tuple(groups))
        yield Paragraph(against_the_goal(served))


def figures(rows: SequenceOf[SegmentationRow]) -> tuple[str, ...]:
    """The cells of one line of a table, in the order of `HEAD`."""
    overlaps = [Overlap(row.dice, 0.0, row.hausdorff_95_mm, row.found_ml, row.true_ml) for row in rows]
    found = summary(overlaps)
    alarms = f"{found.get('false_alarms', 0):g} of {found.get('cases_without_tumour', 0):g}"
    if not found["cases"]:
        return ("0", *[""] * 6, alarms)
    distances = [row.hausdorff_95_mm for row in rows if row.true_ml and row.hausdorff_95_mm is not None]
    within = sum(distance <= GOAL_MM for distance in distances) / found["cases"]
    return (
        f"{found['cases']:g}",
        *(f"{found[f'dice_{name}']:.3f}" for name in ("mean", "median", "lowest")),
        f"{found['hausdorff_95_mm_mean']:.1f}" if distances else "",
        f"{within:.0%}",
        f"{found['missed']:g}",
        alarms,
    )


def against_the_goal(rows: SequenceOf[SegmentationRow]) -> str:
    """By how much the mean Dice and the mean HD95 of the tumours meet their goals, or do not."""
    tumours = [row for row in rows if row.true_ml]
    distances = [row.hausdorff_95_mm for row in tumours if row.hausdorff_95_mm is not None]
    if not distances:
        return "Goal: not judged, because no tumour was found."
    dice, distance = float(np.mean([row.dice for row in tumours])), float(np.mean(distances))
    verdicts = (
        f"Dice {dice:.3f}: " + ("reached" if dice >= GOAL_DICE else f"missed by {GOAL_DICE - dice:.3f}"),
        f"HD95 {distance:.1f} mm: " + ("reached" if distance <= GOAL_MM else f"missed by {distance - GOAL_MM:.1f} mm"),
    )
    return f"Goal: {'; '.join(verdicts)}. Why, and what was tried: [segmentation-log.md](segmentation-log.md)."


def draw_worst(path: Path, rows: Iterable[SegmentationRow], bundles: Bundles, count: int = 6) -> None:
    """The slice with most true tumour of the cases with the lowest Dice as served, and of two in the middle.

    Every case is simulated and segmented once more, and shown in the sequence in which it is worst.
    """
    worst: dict[int, SegmentationRow] = {}
    for row in rows:
        if row.method == Method.SUPER and row.true_ml and row.dice <= worst.get(row.seed, row).dice:
            worst[row.seed] = row
    cases = sorted(worst.values(), key=lambda row: row.dice)
    chosen = [*cases[:count], *cases[count:][len(cases[count:]) // 2 :][:2]]
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    for axis in (axes := figure.subplots(2, (len(chosen) + 1) // 2, squeeze=False)).flat:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, chosen, strict=False):
        _draw(axis, row, _again(row, bundles))
    figure.suptitle("Lowest Dice as served, and two from the middle: truth green, found orange", fontsize=10)
    figure.savefig(path, dpi=80, metadata={"Software": None})


def _draw(axis: Axes, row: SegmentationRow, finding: Finding) -> None:
    image, found, true = (sitk.GetArrayFromImage(it) for it in (finding.image, finding.found, finding.true))
    half = round(60 / finding.image.GetSpacing()[0])
    middle = tuple(slice(max(0, size // 2 - half), size // 2 + half) for size in image.shape[1:])
    part = (int(true.sum(axis=(1, 2)).argmax()), *middle)
    low, high = np.percentile(image[part], (1, 99.5))
    axis.imshow(image[part], cmap="gray", vmin=low, vmax=high)
    for mask, colour in ((true[part], TRUTH_COLOUR), (found[part], FOUND_COLOUR)):
        if mask.any():
            axis.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)
    volumes = f"{row.true_ml:.1f} ml, found {row.found_ml:.1f}"
    axis.set_title(f"{row.scanner} {row.seed} {row.sequence}\n{volumes}, Dice {row.dice:.2f}", fontsize=8)


def _again(row: SegmentationRow, bundles: Bundles) -> Finding:
    """The finding that the row was measured on, made once more."""
    key = CaseKey(row.seed, find_scanner(row.scanner))
    return next(
        finding
        for finding in findings(key, bundles, {})
        if (finding.sequence.value, finding.method.value) == (row.sequence, row.method)
    )


def _groups(rows: SequenceOf[SegmentationRow]) -> Iterator[tuple[str, list[SegmentationRow]]]:
    def those(wanted: Callable[[SegmentationRow], bool]) -> list[SegmentationRow]:
        return [row for row in rows if wanted(row)]

    yield "all", list(rows)
    for scanner in sorted({row.scanner for row in rows}):
        yield scanner, those(lambda row, name=scanner: row.scanner == name)  # type: ignore[misc]
    for low, high in SIZES_ML:
        name = f"{low:g} to {high:g} ml" if high < SIZES_ML[-1][1] else f"over {low:g} ml"
        yield name, those(lambda row, low=low, high=high: low < row.true_ml <= high)  # type: ignore[misc]


def _pairs(rows: SequenceOf[SegmentationRow]) -> Iterator[tuple[str, str]]:
    present = {(row.sequence, row.method) for row in rows}
    for sequence in sorted({row.sequence for row in rows}):
        yield from ((sequence, method) for method in Method if (sequence, method.value) in present)


def _order(row: SegmentationRow) -> tuple[str, int, str, str]:
    return row.cohort, row.seed, row.sequence, row.method
