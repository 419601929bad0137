"""Real pelvises with and without painted tumours: what is found and what is found wrongly, always side by side."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from models.manifest import Manifest, load_manifest
from models.research.documents.blocks import Block, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.evaluation.operating_point import share
from models.research.evaluation.pelvis.cases import Pelvis, pelvis_of
from models.research.evaluation.pelvis.judging import Method, Row, cases_in_all, evaluate
from models.research.evaluation.pelvis.patients import pelvic_patients
from models.research.evaluation.pelvis.plan import COUNT, SIZES_ML, implants
from models.sequence import Sequence
from models.spreadsheet import write_mappings

PAGE, TABLE, PICTURE = "implants.md", "implants.csv", "implants.png"
TRUE_COLOUR = "#2f9e6e"
_HALF_MM = 45.0
_PALETTE = 128

HOW = (
    "Real pelvic series without a known rectal tumour, as they are and with tumours painted into them: along the wall "
    "that was outlined by hand ([rectum-outlines.md](rectum-outlines.md)), with a signal between that of muscle and "
    "that of the patient's own wall, or by the ADC on DWI, noise and its correlation as the image's own, voxels at the "
    "surface filled in part, the slice profile along z. Site, form and contrast are drawn anew for each and were "
    "committed with their seeds before any training (`models/research/evaluation/pelvis/implants.csv`)."
)
MEASURES = (
    "The networks read the acquired images. Found: intersection over union of 0.1 or more in any sequence. False: a "
    "part of a mask that touches no tumour. Intervals: Wilson, 95 %; tumours in one patient are no independent cases. "
    "No image information: where the rectum of the other patients lies in their fields of view. Largest bright DWI: "
    "Otsu's threshold within 10 mm of the outlined rectum. Dice: mean over all tumours, 0 where nothing is found."
)
_HEAD = (
    "tumour-free with a finding", *(f"{size:g} ml {what}" for size in SIZES_ML for what in ("found", "Dice")),
    "painted with a false finding",
)  # fmt: skip


def write_implant_report(
    data: Path,
    bundle: Path,
    cache: Path,
    output: Path,
    count: int,
    tell: Callable[[str], None],
    minutes: float | None = None,
) -> None:
    """Judge the bundle on all real series and the first `count` tumours of each size and patient; write the page.

    What `cache` holds is not judged again; after some `minutes` the page is written of what is judged.
    Raises BundleError and VolumeError when the bundle or a series is missing.
    """
    rows: list[Row] = []
    for number, judged in enumerate(evaluate(data, bundle, cache, count, minutes), start=1):
        rows += judged
        if judged:
            tell(f"{number} of {cases_in_all(count)}: {judged[0].patient} {judged[0].size_ml:g} ml")
    output.mkdir(parents=True, exist_ok=True)
    write_rows(output / TABLE, rows)
    (output / PAGE).write_text(report(rows, load_manifest(bundle)), "utf-8")
    (output / PICTURE).write_bytes(picture([pelvis_of(patient, data) for patient in pelvic_patients()]))


def write_rows(path: Path, rows: SequenceOf[Row]) -> None:
    """All rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_mappings(stream, [field.name for field in fields(Row)], map(asdict, rows))


def report(rows: SequenceOf[Row], manifest: Manifest) -> str:
    """The tables in Markdown: by set of sequences and method, then by patient."""
    name = f"{manifest.name} {manifest.version}"
    return markdown(Document(f"Real pelvises: {name}", HOW, (Paragraph(MEASURES), *_blocks(rows))))


def _blocks(rows: SequenceOf[Row]) -> Iterator[Block]:
    numbers = {(row.patient, row.size_ml, row.number) for row in rows if row.size_ml}
    yield Paragraph(
        f"{len({row.patient for row in rows})} patients, {len(numbers)} painted tumours judged of "
        f"{len(pelvic_patients()) * len(SIZES_ML) * COUNT} that are committed."
    )
    yield Heading("By set of sequences")
    yield Table("", ("sequences", "method", "patients", *_HEAD), tuple(_by_set(rows)), labels=2)
    yield Heading("By patient, network alone and with the node's gate")
    yield Table("", ("patient", "sequences", "method", *_HEAD), tuple(_by_patient(rows)), labels=3)
    yield Heading("Painted tumours")
    yield Paragraph(f"![Each patient as acquired and with the first tumour of each size, its border green]({PICTURE})")


def _by_set(rows: SequenceOf[Row]) -> Iterator[tuple[str, ...]]:
    for names in sorted({row.sequences for row in rows}, key=lambda it: (it.count("+"), it)):
        for method in Method:
            part = [row for row in rows if (row.sequences, row.method) == (names, method.value)]
            if part:
                yield names, method.value, str(len({row.patient for row in part})), *figures(part)


def _by_patient(rows: SequenceOf[Row]) -> Iterator[tuple[str, ...]]:
    for patient in dict.fromkeys(row.patient for row in rows):
        own = [row for row in rows if row.patient == patient]
        for names in dict.fromkeys(row.sequences for row in own):
            for method in (Method.NETWORK, Method.GATED):
                part = [row for row in own if (row.sequences, row.method) == (names, method.value)]
                yield patient, names, method.value, *figures(part)


def figures(rows: SequenceOf[Row]) -> tuple[str, ...]:
    """The cells of one line, in the order of `_HEAD`."""
    free, painted = [row for row in rows if not row.size_ml], [row for row in rows if row.size_ml]
    cells = [_share([row.false_findings > 0 for row in free])]
    for size in SIZES_ML:
        part = [row for row in painted if row.size_ml == size]
        cells += [_share([row.found for row in part]), f"{np.mean([row.dice for row in part]):.2f}" if part else ""]
    return (*cells, _share([row.false_findings > 0 for row in painted]))


def _share(hits: SequenceOf[bool]) -> str:
    found = share(sum(hits), len(hits))
    if found is None:
        return ""
    return f"{sum(hits)} of {len(hits)} ({found.low:.0%} to {found.high:.0%})"


def picture(pelvises: SequenceOf[Pelvis]) -> bytes:
    """A row a patient: the slice with most of the first tumour of each size, as acquired and painted (PNG)."""
    panels = [list(_panels(pelvis)) for pelvis in pelvises]
    columns = max(len(row) for row in panels)
    figure = Figure(figsize=(1.7 * columns, 1.85 * len(panels)), dpi=72, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, row in zip(grid, panels, strict=True):
        for axes, (title, image, mask) in zip(line, row, strict=False):
            _draw(axes, title, image, mask)
    stream, made = io.BytesIO(), io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    Image.open(stream).convert("RGB").quantize(_PALETTE).save(made, "PNG", optimize=True)
    return made.getvalue()


_Plane = npt.NDArray[np.float32]


def _panels(pelvis: Pelvis) -> Iterator[tuple[str, _Plane, _Plane | None]]:
    """Title, slice (y, x) and mask, of T2WI."""
    name = pelvis.patient.name
    for size in SIZES_ML:
        first = next(it for it in implants(name) if (it.size_ml, it.number) == (size, 0))
        painted = pelvis.with_tumour(first)[Sequence.T2WI]
        mask = sitk.GetArrayFromImage(painted.mask)
        place = _around(mask, painted.image.GetSpacing()[0])
        before, after = (sitk.GetArrayFromImage(it)[place] for it in (pelvis.images[Sequence.T2WI], painted.image))
        yield name, before, None
        yield f"{size:g} ml", after, None
        yield first.form.growth.value, after, mask[place].astype(np.float32)


def _around(mask: npt.NDArray[np.uint8], step_mm: float) -> tuple[int, slice, slice]:
    number = int(mask.sum(axis=(1, 2)).argmax())
    row, column = np.argwhere(mask[number]).mean(axis=0)
    half = _HALF_MM / step_mm
    y, x = (slice(max(0, int(middle - half)), int(middle + half)) for middle in (row, column))
    return number, y, x


def _draw(axes: Axes, title: str, image: _Plane, mask: _Plane | None) -> None:
    low, high = np.percentile(image, (1, 99))
    axes.imshow(np.clip((image - low) / (high - low), 0, 1) ** 0.7, cmap="gray", vmin=0, vmax=1)
    if mask is not None:
        axes.contour(mask, levels=[0.5], colors=[TRUE_COLOUR], linewidths=1)
    axes.set_title(title, fontsize=7)
