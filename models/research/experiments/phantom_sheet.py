"""A sheet of simulated patients: the slice through the middle of the tumour in four series, with the true outline.

python -m models.research.experiments.phantom_sheet docs/images/phantom.png
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Annotated

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import typer
from matplotlib.axes import Axes
from PIL import Image

from models.research.phantom import SimulatedStudy, find_scanner, simulate_case, simulate_study
from models.sequence import Sequence

#: Patients and scanners: both sexes, all growths, one without a tumour, one with a prosthesis.
PATIENTS = (
    (13, "Multiva"),
    (20, "MR750"),
    (40, "uMR 770"),
    (17, "uMR 560"),
    (24, "uMR 570"),
    (37, "Skyra"),
    (9, "uMR 560"),
    (41, "MR750"),
    (11, "Skyra"),
    (18, "uMR 570"),
    (33, "Multiva"),
    (43, "uMR 770"),
)
SIDE_MM = 190.0
ACROSS = 2
Pixels = npt.NDArray[np.float32]


def main(
    path: Annotated[Path, typer.Argument(help="PNG to write.")] = Path("docs/images/phantom.png"),
    seeds: Annotated[str, typer.Option(help="seed:model, ... instead of the chosen ones.")] = "",
    dpi: Annotated[int, typer.Option()] = 150,
) -> None:
    """Simulate the patients and write the sheet."""
    wanted = tuple(_pair(text) for text in seeds.split(",")) if seeds else PATIENTS
    rows = -(-len(wanted) // ACROSS)
    figure, axes = plt.subplots(
        rows, 4 * ACROSS, figsize=(4 * ACROSS * 1.35, rows * 1.5), facecolor="black", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (seed, model) in enumerate(wanted):
        row, column = divmod(number, ACROSS)
        _show(axes[row, 4 * column : 4 * column + 4], seed, model)
    figure.subplots_adjust(left=0.002, right=0.998, top=0.985, bottom=0.002, wspace=0.02, hspace=0.12)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=dpi, facecolor="black")
    Image.open(drawn).convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE).save(path, optimize=True)


def _palette() -> Image.Image:
    """Greys, and the outline's colour laid thinly to thickly over them: keeps the file small."""
    greys = [(level, level, level) for level in np.linspace(0, 255, 40).round().astype(int).tolist()]
    outline = np.array([0xFF, 0xD0, 0x00])
    mixed = [
        tuple((share * outline + (1 - share) * grey).round().astype(int).tolist())
        for share in (0.4, 0.7, 1.0)
        for grey in np.linspace(0, 255, 8)
    ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in (*greys, *mixed) for value in colour])
    return palette


def _pair(text: str) -> tuple[int, str]:
    seed, model = text.split(":")
    return int(seed), model


def _show(axes: npt.NDArray[np.object_], seed: int, model: str) -> None:
    scanner = find_scanner(model)
    case, study = simulate_case(seed, scanner), simulate_study(seed, scanner)
    truth = study.truth
    place = _middle(truth.tumour_mask)
    what = "no tumour" if truth.form is None else f"{truth.form.growth}, {truth.tumour_volume_ml:.0f} ml"
    shown = (
        (Sequence.T2WI, "T2WI", case.images[Sequence.T2WI]),
        (Sequence.DWI, "DWI, high b", case.images[Sequence.DWI]),
        (Sequence.DWI, "ADC", _series(study, "ADC")),
        (Sequence.PVP, "portal-venous", case.images[Sequence.PVP]),
    )
    for axis, (sequence, name, image) in zip(axes, shown, strict=True):
        _slice(axis, image, case.masks[sequence], place, wide=name == "ADC")
        axis.text(0.02, 0.02, name, color="white", fontsize=5, transform=axis.transAxes)
    mucin = ", mucinous" if truth.oracle is not None and truth.oracle.mucinous else ""
    axes[0].set_title(f"{scanner.name}  {seed}{truth.sex}  {what}{mucin}", color="white", fontsize=6, loc="left", pad=2)


def _series(study: SimulatedStudy, kind: str) -> sitk.Image:
    return next(series.image for series in study.series if series.kind == kind)


def _middle(mask: sitk.Image) -> tuple[float, float, float]:
    """Centre (LPS, mm) of the slice with most tumour; of an empty mask its own centre."""
    array = sitk.GetArrayViewFromImage(mask)
    if not array.any():
        return mask.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in mask.GetSize()])
    z = int(array.sum(axis=(1, 2)).argmax())
    y, x = (float(index.mean()) for index in np.nonzero(array[z]))
    return mask.TransformContinuousIndexToPhysicalPoint((x, y, float(z)))


def _slice(axis: Axes, image: sitk.Image, mask: sitk.Image, place: tuple[float, ...], wide: bool) -> None:
    index = image.TransformPhysicalPointToContinuousIndex(place)
    z = int(np.clip(round(index[2]), 0, image.GetDepth() - 1))
    pixels = sitk.GetArrayFromImage(image)[z]
    low, high = (0.0, 2600.0) if wide else (0.0, float(np.percentile(pixels[pixels > 0], 99.3)))
    step = image.GetSpacing()[0]
    half = SIDE_MM / 2 / step
    centre = np.array(pixels.shape[::-1]) / 2
    axis.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
    outline = sitk.GetArrayFromImage(mask)[z]
    if outline.any():
        axis.contour(outline, levels=[0.5], colors="#ffd000", linewidths=0.5)
    axis.set_xlim(centre[0] - half, centre[0] + half)
    axis.set_ylim(centre[1] + half, centre[1] - half)


if __name__ == "__main__":
    typer.run(main)
