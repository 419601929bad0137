"""Comparison of the prediction under the node's own masks with that under the true ones, for its conclusion.

The models of a bundle are trained on true masks. Here they are applied to patients that they have not seen, measured
under the true masks and under those that the segmentation found (`measure_cases --own-masks`), and the
report says whether AUC and comparison of resolutions stay, with one mask for all resolutions and with one for each:

    python -m models.research.training.prediction.measure_cases --cases 780 --own-masks 40
    python -m models.research.training.prediction.measure_cases --cases 780 --last 40
    python -m models.research.training.prediction.own_masks --measured runs/prediction/KEY \
        --own-masks runs/prediction/KEY-own-masks-KEY
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import models
from models.prediction.predictor import load_predictor
from models.research.training.loop import command_line
from models.research.training.prediction.cases import patients, read_case
from models.research.training.prediction.own_masks.cases import read_own_mask_case
from models.research.training.prediction.own_masks.report import report
from models.research.training.prediction.own_masks.subset import fitted_cases, subset

WEIGHTS = Path(models.__file__).parent / "weights"

app = typer.Typer(add_completion=False)


@app.command()
def compare_masks(
    measured: Annotated[Path, typer.Option(help="cohort under true masks, a JSON a patient", exists=True)],
    own_masks: Annotated[Path, typer.Option(help="held-out patients under found masks, a JSON each", exists=True)],
    bundle: Annotated[Path, typer.Option(help="prediction bundle, fitted on the cohort's first cases")] = WEIGHTS
    / "prediction",
    first_seed: Annotated[int, typer.Option(help="seed of the first patient of that cohort")] = 700_000,
    report_file: Annotated[Path, typer.Option("--report", help="report, Markdown")] = Path("prediction-own-masks.md"),
) -> None:
    """Apply the models to the held-out patients under every mask, and write the report."""
    predictor = load_predictor(bundle)
    cases = [read_own_mask_case(path) for path in sorted(own_masks.glob("*.json"))]
    true = (read_case(path) for path in sorted(measured.glob("*.json")))
    fitted = [seed for seed, *_ in patients(fitted_cases(predictor), first_seed, 0)]
    found = subset(true, cases, predictor, fitted)
    text = report(found, cases, predictor, command_line("models.research.training.prediction.own_masks"))
    report_file.write_text(text, encoding="utf-8")
    typer.echo(next(line for line in text.splitlines() if line.startswith("**")).strip("*"))
