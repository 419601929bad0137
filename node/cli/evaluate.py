"""`rectal-node evaluate`: from a table of probabilities and labels to everything that a reviewer asks for."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

out = Console()

_PACKAGES = ("rectal-node", "numpy", "scipy", "scikit-learn", "matplotlib", "python-docx")


def evaluate(
    table: Annotated[Path, typer.Argument(help="Probabilities and labels as CSV (docs/evaluation.md).")],
    folder: Annotated[Path, typer.Option("--out", help="Where the result set is written.")],
    group: Annotated[
        list[str] | None, typer.Option(help="A subgroup: 'NAME=SCANNER+SCANNER'; repeatable.", metavar="GROUP")
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=0.99, help="Probability from which one would act; 0: share positive in training."),
    ] = 0,
    categories: Annotated[
        str, typer.Option(help="Limits of risk categories for the NRI, such as 0.2,0.4; else each model's cut-off.")
    ] = "",
    bundle: Annotated[Path | None, typer.Option(help="Prediction bundle: shows the weights of its features.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="Table of features: shows how alike they are at the resolutions.")
    ] = None,
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1,
) -> None:
    """Evaluate predictions on training, validation and test cohorts: tables, figures, report, check-lists."""
    groups, limits = dict(map(_group, group or ())), _limits(categories)
    # scikit-learn, CatBoost and matplotlib take seconds to import.
    from models.manifest import file_digest
    from models.prediction.predictor import load_catalogue
    from models.research.evaluation.feature_stability import feature_stability
    from models.research.evaluation.prediction_table import read_predictions
    from models.research.evaluation.report.comparison_tables import by_input, sentence
    from models.research.evaluation.report.files import PAGE, write_report
    from models.research.evaluation.results import Options
    from models.research.evaluation.study import PAIRS
    from models.research.evaluation.study import evaluate as judge

    options = Options(draws, seed, threshold or None, limits, groups)
    loaded = load_catalogue(bundle) if bundle else None
    stability = feature_stability(features) if features else ()
    found = judge(read_predictions(table), options)
    provenance = {
        "table": f"{found.predictions.about.name}, SHA-256 {found.predictions.about.digest}",
        "bundle": f"{loaded[0].name} {loaded[0].version}" if loaded else "none",
        "features": f"{features.name}, SHA-256 {file_digest(features)}" if features else "none",
        "bootstrap": f"{draws} draws, seed {seed}",
        "threshold": f"{found.threshold:.4g}" + ("" if threshold else ", the share of positive cases in training"),
        "risk categories": categories or "below and above each model's cut-off",
        "subgroups": "; ".join(f"{name}: {', '.join(scanners)}" for name, scanners in groups.items()) or "none",
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }
    written = write_report(found, folder, loaded, provenance, stability)
    last = list(found.predictions.cohorts_present())[-1]
    for row in by_input(found):
        if row.cohort is last and (row.resolution, row.reference) == PAIRS[0]:
            out.print(sentence(row), highlight=False, markup=False, soft_wrap=True)
    out.print(f"{len(written)} files in {folder}; read {folder / PAGE} first", highlight=False, soft_wrap=True)


def _group(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, scanners = text.partition("=")
    members = tuple(each.strip() for each in scanners.split("+") if each.strip())
    if not name.strip() or not members:
        raise typer.BadParameter(f"{text!r}: 'NAME=SCANNER+SCANNER' is wanted", param_hint="--group")
    return name.strip(), members


def _limits(text: str) -> tuple[float, ...]:
    try:
        limits = tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: numbers parted by commas are wanted", param_hint="--categories") from error
    if sorted(set(limits)) != list(limits) or any(not 0 < limit < 1 for limit in limits):
        raise typer.BadParameter(f"{text!r}: rising numbers between 0 and 1 are wanted", param_hint="--categories")
    return limits
