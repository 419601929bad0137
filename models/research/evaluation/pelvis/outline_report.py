"""The outlines as people look them over: both readings on every outlined slice, and how well they agree."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from models.research.documents.blocks import Block, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.evaluation.pelvis.agreement import Agreement, agreement, wall_dice
from models.research.evaluation.pelvis.outlines import READINGS, Contour, Structure, contours, indices_on
from models.research.evaluation.pelvis.patients import PelvicPatient, pelvic_patients
from models.sequence import Sequence
from models.volume import Grid, grid_of

PAGE, FOLDER = "rectum-outlines.md", "rectum-outlines"
MARGIN_MM = 8.0
COLUMNS = 6
#: Of the first and the second reading.
COLOURS = ("#ff9d2e", "#35c9ff")
#: Shades and colours of a picture; more would make files that nobody wants in a repository.
_PALETTE = 96
_HEAD = (
    "patient", "endorectal coil", "structure", "slices", "Dice", "HD95 mm", "centre, mean mm", "centre, largest mm",
)  # fmt: skip

HOW = (
    "Lumen and outer wall (outer border of the muscularis propria) of the rectum on the axial T2WI of ten real "
    "patients without a known rectal tumour, read twice. Every slice without an endorectal coil, every second or third "
    "with one, where the balloon is taken for lumen; from the lowest slice above the puborectal sling to the top of "
    "the stack or of the balloon. No contour of the lumen where the walls touch."
)
CAUTION = (
    "Read from pictures of the slices by no radiologist; both readings by the same reader within one day, the slices "
    "to read fixed by the first. For the second the pictures were mirrored, windowed and ordered otherwise (highest "
    "slice first), and its coordinates counted from an origin drawn at random and not shown, so that no figure of the "
    "first could be taken over; its contours were looked at on the image before they were compared, and none was "
    "changed after. So the table says how well one reader repeats himself: two radiologists agree less. Thin walls "
    "around a balloon, the levator beside the lowest slices and stool against wall are least certain."
)


def write_outline_report(data: Path, output: Path, tell: Callable[[str], None]) -> None:
    """The page and one picture a patient in `output`; `data`: folder of the series in series.csv.

    Raises VolumeError when a series is missing or another one.
    """
    rows: list[tuple[str, ...]] = []
    pictures: list[Block] = []
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    for patient in pelvic_patients():
        image = patient.images(data)[Sequence.T2WI]
        rows += _rows(patient, grid_of(image))
        (output / FOLDER / f"{patient.name}.png").write_bytes(sheet(patient, image))
        pictures += [Paragraph(f"![{patient.name}]({FOLDER}/{patient.name}.png)")]
        tell(f"{patient.name}: {rows[-2][4]} outer wall, {rows[-3][4]} lumen")
    document = Document(
        "The rectum outlined on real T2WI",
        HOW,
        (Paragraph(CAUTION), Table("", _HEAD, tuple(rows), labels=3), Heading("Both readings"), *pictures),
    )
    (output / PAGE).write_text(markdown(document), "utf-8")


def _rows(patient: PelvicPatient, grid: Grid) -> list[tuple[str, ...]]:
    first = (patient.name, "yes" if patient.endorectal_coil else "no")
    lines = [(*first, *_figures(agreement(patient.name, structure, grid))) for structure in Structure]
    return [*lines, (*first, "wall alone", lines[1][3], f"{wall_dice(patient.name, grid):.3f}", "", "", "")]


def _figures(found: Agreement) -> tuple[str, ...]:
    return (
        found.structure.value,
        str(found.slices),
        f"{found.dice:.3f}",
        f"{found.hausdorff_95_mm:.1f}",
        f"{found.centre_mm:.1f}",
        f"{found.centre_largest_mm:.1f}",
    )


def sheet(patient: PelvicPatient, image: sitk.Image) -> bytes:
    """All outlined slices of a patient with both readings (PNG)."""
    grid = grid_of(image)
    drawn = {reading: contours(patient.name, reading) for reading in READINGS}
    every = np.vstack([indices_on(it.points, grid) for found in drawn.values() for it in found])
    margin = MARGIN_MM / np.asarray(grid.spacing[:2])
    low, high = every[:, :2].min(axis=0) - margin, every[:, :2].max(axis=0) + margin
    slices = sorted({it.slice for it in drawn[1]})
    rows = -(-len(slices) // COLUMNS)
    width, height = (high - low) * np.asarray(grid.spacing[:2])
    figure = Figure(figsize=(2 * COLUMNS, 2 * rows * height / width + 0.35), dpi=72)
    figure.subplots_adjust(0, 0, 1, 1 - 0.35 / float(figure.get_figheight()), 0.01, 0.01)
    for axes in (panels := figure.subplots(rows, COLUMNS, squeeze=False)).flat:
        axes.set_axis_off()
    values = sitk.GetArrayViewFromImage(image)
    for axes, number in zip(panels.flat, slices, strict=False):
        _slice(axes, values[number], [it for found in drawn.values() for it in found if it.slice == number], grid)
        axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
        axes.text(0.03, 0.94, str(number), transform=axes.transAxes, color="white", fontsize=8)
    figure.suptitle(f"{patient.name}: first reading orange, second blue; slices from the lowest", fontsize=9)
    return _small(figure)


def _slice(
    axes: Axes, values: np.ndarray[tuple[int, int], np.dtype[np.float32]], drawn: list[Contour], grid: Grid
) -> None:
    low, high = np.percentile(values, (1, 99))
    shown = np.clip((values - low) / (high - low), 0, 1) ** 0.7
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, aspect=grid.spacing[1] / grid.spacing[0])
    for contour in drawn:
        x, y, _ = indices_on(np.vstack([contour.curve(), contour.curve()[:1]]), grid).T
        axes.plot(x, y, color=COLOURS[contour.reading - 1], linewidth=0.9)


def _small(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    made = io.BytesIO()
    Image.open(stream).convert("RGB").quantize(_PALETTE).save(made, "PNG", optimize=True)
    return made.getvalue()
