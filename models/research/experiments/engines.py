"""Engines and precisions of both networks on simulated cases that no network saw: what a bundle's manifest may name.

Super-resolution: PSNR against the phantom's noise-free thin slices, in the middle of rows and columns. Segmentation:
Dice of what the node would report, against the true masks, on images that torch refined in float32; and, as a chain,
on those that the same engine and precision refined. Each is compared with torch in float32. Cases that the table holds
are not measured again, those of other bundles are dropped from it.

    python -m models.research.experiments.engines --cases 6
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import chain, islice, product, zip_longest
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
import torch
import typer

import models
from models.analysis import mask_on
from models.bundle import weights_of
from models.engines.execution import Engine, Execution, Installation, Precision
from models.findings import find_tumours
from models.research.evaluation.image_quality import compare_images
from models.research.evaluation.overlap import compare
from models.research.phantom.cohort import TEST, TEST_TRAINED_SCANNERS
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import high_resolution, simulate_case
from models.research.training.simulated_cases import slice_thickness_mm
from models.segmentation.inference import load_segmenter
from models.sequence import Sequence
from models.spreadsheet import write_mappings
from models.super_resolution.inference import load_super_resolver, super_resolve
from models.volume import grid_of

WEIGHTS = Path(models.__file__).parent / "weights"
REFERENCE = Execution(engine=Engine.TORCH, precision=Precision.FLOAT32)
EXECUTIONS = tuple(Execution(engine=engine, precision=precision) for engine, precision in product(Engine, Precision))
#: Those that may run both networks on a CPU.
CHAINED = tuple(execution for execution in EXECUTIONS if execution.engine is Engine.OPENVINO)
#: What another engine or precision may cost.
PSNR_LIMIT_DB, DICE_LIMIT = 0.05, 0.002
#: What the table on the page stands between.
BEGIN, END = "<!-- measured -->", "<!-- end -->"
SUPER_RESOLUTION, SEGMENTATION, CHAIN = "super-resolution", "segmentation", "chain"
Images = Mapping[Sequence, sitk.Image]


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One sequence of one case by one engine in one precision.

    Attributes:
        part: super-resolution, segmentation or chain.
        weights: of the bundles, shortened.
        value: PSNR in dB, or Dice, against the truth.
        difference: of the value from that of torch in float32.
        deviation: of the result from that of torch in float32: largest difference of an intensity as a share of the
            0.5 to 99.5 percentile range, or 1 - Dice of both masks.
    """

    part: str
    weights: str
    seed: int
    scanner: str
    sequence: str
    execution: str
    value: float
    difference: float
    deviation: float


def main(
    cases: Annotated[int, typer.Option(min=1, help="simulated cases, of trained and of other scanners in turn")] = 6,
    super_resolution: Annotated[Path, typer.Option(help="bundle")] = WEIGHTS / "super-resolution",
    segmentation: Annotated[Path, typer.Option(help="bundle")] = WEIGHTS / "segmentation",
    table: Annotated[Path, typer.Option(help="rows of all cases")] = Path("docs/models/engines.csv"),
    page: Annotated[Path, typer.Option(help="that holds the summary")] = Path("docs/models/engines.md"),
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure the cases that the table lacks, then write what may be chosen."""
    torch.set_num_threads(threads)
    places = _Networks(super_resolution, segmentation, threads)
    rows = [row for row in read_rows(table) if row.weights == places.weights] if table.exists() else []
    turns = zip_longest(TEST.patients(), TEST_TRAINED_SCANNERS.patients())
    for patient in islice(chain.from_iterable(turns), cases):
        if patient is None or patient[0] in {row.seed for row in rows}:
            continue
        rows += places.measured(patient[0], patient[1].model)
        write_rows(sorted(rows, key=lambda row: (row.part, row.seed)), table)
        typer.echo(f"{patient[0]} ({patient[1].model}): measured")
    lines = summary(rows)
    typer.echo("\n".join(lines))
    write_summary(lines, page)


@dataclass(frozen=True, slots=True)
class _Networks:
    """Both bundles, and how many threads they are run on."""

    super_resolution: Path
    segmentation: Path
    threads: int

    @property
    def weights(self) -> str:
        """Of both, shortened."""
        manifests = [load_super_resolver(self.super_resolution).manifest, load_segmenter(self.segmentation).manifest]
        return " ".join(weights_of(manifest).rpartition(" ")[2][:12] for manifest in manifests)

    def measured(self, seed: int, model: str) -> Iterator[EngineRow]:
        """The rows of one case."""
        scanner = find_scanner(model)
        case = simulate_case(seed, scanner)
        thickness = slice_thickness_mm(scanner)
        fine = {sequence: high_resolution(case, sequence) for sequence in case.images}
        made = {execution: self._refined(case.images, thickness, execution) for execution in EXECUTIONS}
        for execution, sequence in product(EXECUTIONS, case.images):
            yield self._row(SUPER_RESOLUTION, seed, model, sequence, execution, *_psnr(made, execution, fine, sequence))
        true = {it: mask_on(mask, grid_of(made[REFERENCE][it])) for it, mask in case.masks.items()}
        found = {execution: self._found(case.images, made[REFERENCE], execution) for execution in EXECUTIONS}
        chained = {execution: self._found(case.images, made[execution], execution) for execution in CHAINED}
        for part, masks in ((SEGMENTATION, found), (CHAIN, chained)):
            for execution, sequence in product(masks, case.images):
                values = _dice(masks[execution][sequence], found[REFERENCE][sequence], true[sequence])
                yield self._row(part, seed, model, sequence, execution, *values)

    def _refined(self, images: Images, thickness: Mapping[Sequence, float], execution: Execution) -> Images:
        resolver = load_super_resolver(self.super_resolution, self._installation(execution))
        return {it: super_resolve(image, resolver, thickness_mm=thickness[it]) for it, image in images.items()}

    def _found(self, acquired: Images, refined: Images, execution: Execution) -> Images:
        segmenter = load_segmenter(self.segmentation, self._installation(execution))
        found = find_tumours(acquired, refined, segmenter).tumours
        return {sequence: tumour.mask_super for sequence, tumour in found.items()}

    def _installation(self, execution: Execution) -> Installation:
        return Installation(execution.engine, execution.precision, self.threads)

    def _row(
        self, part: str, seed: int, scanner: str, sequence: Sequence, execution: Execution, *values: float
    ) -> EngineRow:
        rounded = (float(f"{value:.6g}") for value in values)
        return EngineRow(part, self.weights, seed, scanner, sequence.value, str(execution), *rounded)


def _psnr(
    made: Mapping[Execution, Images], execution: Execution, fine: Images, sequence: Sequence
) -> tuple[float, float, float]:
    """PSNR, its difference from the reference's, and the largest difference of an intensity."""
    true, found, reference = (
        sitk.GetArrayFromImage(images[sequence]) for images in (fine, made[execution], made[REFERENCE])
    )
    _, rows, columns = true.shape
    middle = np.s_[:, rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    value, expected = (compare_images(it[middle], true[middle]).psnr_db for it in (found, reference))
    low, high = np.percentile(reference, (0.5, 99.5))
    return value, value - expected, float(np.abs(found - reference).max() / (high - low))


def _dice(mask: sitk.Image, reference: sitk.Image, true: sitk.Image) -> tuple[float, float, float]:
    """Dice, its difference from the reference's, and how far the mask is from the reference's."""
    value, expected = compare(mask, true).dice, compare(reference, true).dice
    return value, value - expected, 1 - compare(mask, reference).dice


def summary(rows: list[EngineRow]) -> list[str]:
    """A Markdown table: mean and largest difference by part and execution, and whether it stays within the limit."""
    lines = [
        "| part | engine and precision | mean | mean difference | largest difference | largest deviation | within |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for part, execution in dict.fromkeys((row.part, row.execution) for row in rows):
        found = [row for row in rows if (row.part, row.execution) == (part, execution)]
        mean = float(np.mean([row.value for row in found]))
        difference = float(np.mean([row.difference for row in found]))
        largest = max((row.difference for row in found), key=abs)
        deviation = max(row.deviation for row in found)
        limit = PSNR_LIMIT_DB if part == SUPER_RESOLUTION else DICE_LIMIT
        lines.append(
            f"| {part} | {execution} | {mean:.4f} | {difference:+.5f} | {largest:+.5f} | {deviation:.2g} | "
            f"{'yes' if abs(difference) <= limit else 'no'} |"
        )
    return lines


def write_summary(lines: list[str], page: Path) -> None:
    """Put the table in the place of the one on the page."""
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    table = "\n".join(lines)
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", "utf-8")


def read_rows(table: Path) -> list[EngineRow]:
    """The rows of a table."""
    with table.open(newline="") as file:
        return [
            EngineRow(
                **{
                    field.name: {"int": int, "float": float}.get(str(field.type), str)(line[field.name])
                    for field in fields(EngineRow)
                }
            )
            for line in csv.DictReader(file)
        ]


def write_rows(rows: list[EngineRow], table: Path) -> None:
    """Write a table anew."""
    partial = table.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        write_mappings(file, [field.name for field in fields(EngineRow)], map(asdict, rows))
    partial.replace(table)


if __name__ == "__main__":
    typer.run(main)
