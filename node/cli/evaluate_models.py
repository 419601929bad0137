"""`rectal-node evaluate-models`: the bundles in use on held-out cases; tables and pictures for docs/models."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import track

from models.manifest import load_manifest
from models.research.evaluation.pelvis.implant_report import PAGE as IMPLANTS
from models.research.evaluation.pelvis.implant_report import write_implant_report
from models.research.evaluation.pelvis.outline_report import PAGE as OUTLINES
from models.research.evaluation.pelvis.outline_report import write_outline_report
from models.research.phantom.cohort import HELD_OUT_SCANNERS, TEST, TEST_TRAINED_SCANNERS
from models.research.phantom.scanners import find_scanner
from models.research.training.segmentation.evaluation import Bundles, SegmentationRow, evaluate
from models.research.training.segmentation.report import draw_worst, report, write_table
from models.research.training.simulated_cases import case_keys
from models.research.training.super_resolution.report import SuperResolutionEvaluation, write_report
from node.settings import Settings

FIRST_REFINED_CASE = 960_000
"""Seed of the first simulated patient whose super-resolved volumes are judged."""


def segmentation(settings: Settings, output: Path, cases: int, cache: Path, workers: int, out: Console) -> None:
    """Judge the segmentation on `cases` patients of the scanners never trained on, and half as many of the others.

    Raises:
        BundleError: a bundle is missing or damaged.
    """
    bundles = Bundles(settings.analysis.segmentation, settings.analysis.super_resolution)
    cohorts = ((TEST, cases), (TEST_TRAINED_SCANNERS, cases // 2))
    judged = evaluate(cohorts, bundles, cache, workers)
    rows: list[SegmentationRow] = []
    for found in track(judged, "segmentation", total=cases + cases // 2, console=out):
        rows += found
    rows.sort(key=lambda row: (row.cohort, row.seed))
    output.mkdir(parents=True, exist_ok=True)
    write_table(output / "segmentation.csv", rows)
    text = report(rows, load_manifest(bundles.segmentation))
    (output / "segmentation.md").write_text(text, "utf-8")
    draw_worst(output / "segmentation-worst.png", (row for row in rows if row.cohort == TEST.name), bundles)
    out.print(f"{output / 'segmentation.md'} written", highlight=False)


def super_resolution(
    settings: Settings, output: Path, cases: int, real: Path | None, without_adversarial: Path | None, out: Console
) -> None:
    """Judge the super-resolution on simulated patients of the scanners never trained on, and on the real series.

    Beside it the bundle `without_adversarial`, when it is given.

    Raises:
        BundleError: the bundle is missing or damaged.
        VolumeError: a volume of `real` is missing.
    """
    keys = case_keys(FIRST_REFINED_CASE, cases, [find_scanner(name) for name in HELD_OUT_SCANNERS])
    evaluation = SuperResolutionEvaluation(settings.analysis.super_resolution, keys, real, without_adversarial)
    write_report(evaluation, output, out.print)
    out.print(f"{output / 'super-resolution.md'} written", highlight=False)


def outlines(output: Path, real: Path, out: Console) -> None:
    """Draw the rectum of the real pelvises as it was outlined, and say how well both readings agree.

    Raises:
        VolumeError: a series of `real` is missing.
    """
    write_outline_report(real, output, out.print)
    out.print(f"{output / OUTLINES} written", highlight=False)


def implants(
    settings: Settings, output: Path, real: Path, count: int, cache: Path, minutes: float | None, out: Console
) -> None:
    """Judge the segmentation on the real pelvises, tumour-free and with `count` painted tumours of each size in each.

    After some `minutes` what is judged is reported, and a later call goes on.

    Raises:
        BundleError: the bundle is missing or damaged.
        VolumeError: a series of `real` is missing.
    """
    write_implant_report(real, settings.analysis.segmentation, cache / "pelvis", output, count, out.print, minutes)
    out.print(f"{output / IMPLANTS} written", highlight=False)
