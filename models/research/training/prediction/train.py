"""Training of the prediction bundle on a cohort (`--data`) or on simulated patients.

Each patient is simulated on one of the six scanners, its sequences are super-resolved by the shipped bundle, the
true tumour is measured at every resolution, and models are cross-validated and fitted. The label and the
cohort are simulated; the printed oracle is the AUC of the tissue parameters that the label was drawn with. Of a cohort,
volumes, masks, labels and scanners are those on disk; cases of its test split are only tested on.

The bundle holds eight models of CatBoost. Other classifiers, the controls of super-resolution and ComBat across
scanners are for comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

import models
from models.manifest import Manifest, digest, load_manifest
from models.prediction.predictor import KIND
from models.prediction.records import Catalogue, ModelCard, Target
from models.radiomics.settings import load_settings
from models.research.evaluation.predictions import CohortPart
from models.research.training.bundles import save_predictor
from models.research.training.loop import command_line
from models.research.training.prediction.figures import Results, cards, metrics, shipped_keys
from models.research.training.prediction.fitting.classifiers import CLASSIFIERS, MAIN
from models.research.training.prediction.fitting.harmonisation import load_combat
from models.research.training.prediction.fitting.selection import Method
from models.research.training.prediction.page import write_page
from models.research.training.prediction.report import report
from models.research.training.prediction.sources import Measured, of_cohort, simulated, target_of
from models.research.training.prediction.study import (
    TrainingPlan,
    classifiers_of,
    models_after_combat,
    models_of,
    study,
)
from models.research.training.prediction.tables import complete_cases, resolutions_of, write_features, write_predictions
from models.sequence import ANALYSED

WEIGHTS = Path(models.__file__).parent / "weights"
ALL = "all"

app = typer.Typer(add_completion=False)
console = Console()


@app.command()
def train(
    data: Annotated[Path | None, typer.Option(help="cohort to train on (docs/training.md); else simulated")] = None,
    target: Annotated[str, typer.Option(help="what the cohort's label says")] = "",
    positive_class: Annotated[str, typer.Option(help="what label 1 of the cohort means")] = "",
    out: Annotated[Path, typer.Option(help="folder of the bundle")] = WEIGHTS / "prediction",
    super_resolution: Annotated[Path, typer.Option(help="super-resolution bundle")] = WEIGHTS / "super-resolution",
    cases: Annotated[int, typer.Option(min=20, help="simulated patients, a sixth on each scanner")] = 300,
    first_seed: Annotated[int, typer.Option(help="seed of the first patient; others than the networks saw")] = 700_000,
    test_cases: Annotated[int, typer.Option(min=0, help="of the simulated patients, the last, only to test on")] = 0,
    measured: Annotated[Path | None, typer.Option(help="simulated patients measured before, a JSON each")] = None,
    cache: Annotated[Path, typer.Option(help="where cases, evidence and tables are kept")] = Path("runs/prediction"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    folds: Annotated[int, typer.Option(min=2, help="of the cross-validation")] = 10,
    seed: Annotated[int, typer.Option(help="of folds and classifiers")] = 11,
    classifiers: Annotated[str, typer.Option(help=f"parted by commas, or {ALL}: {', '.join(CLASSIFIERS)}")] = MAIN,
    selection: Annotated[str, typer.Option(help="last step of the selection: lasso or mrmr")] = "lasso",
    search: Annotated[bool, typer.Option(help="hyper-parameters by an inner cross-validation; else the first")] = True,
    controls: Annotated[bool, typer.Option(help="models on cubic interpolation and on voxels as acquired")] = True,
    combat: Annotated[bool, typer.Option(help="All-sequence models after ComBat across scanners, too")] = False,
    report_file: Annotated[Path | None, typer.Option("--report", help="report, Markdown; else in the cache")] = None,
    version: Annotated[str, typer.Option(help="of the bundle")] = "0.1.0",
) -> None:
    """Simulate the cohort (or read it from the cache), cross-validate, fit, and write bundle, tables and report."""
    compared = classifiers_named(classifiers)
    plan = TrainingPlan(seed, folds, _method(selection), search)
    if combat:
        load_combat()  # said before hours of measuring, not after
    if data is None:
        found = simulated(cases, first_seed, test_cases, measured, super_resolution, cache, workers)
    else:
        found = of_cohort(data, target_of(target, positive_class), folds, super_resolution, cache)
    results = _results(found, plan, compared, controls, combat, cache / "evidence", workers)
    trees = classifiers_of(results.table, results.held_out, shipped_keys(), plan, cache / "evidence")
    catalogue = Catalogue(target=found.target, radiomics_digest=load_settings().digest, models=cards(results, trees))
    manifest = _manifest(found, results, plan, version, super_resolution)
    save_predictor(out, manifest, catalogue, trees, load_settings())
    _write_tables(cache, found.target, results)
    table, probabilities = results.table, results.probabilities()
    shipped = {card.name: probabilities[card.name] for card in catalogue.models}
    write_page(cache, manifest, catalogue, table.labels, table.scanners, shipped)
    command = command_line("models.research.training.prediction")
    path = report_file or cache / "prediction.md"
    path.write_text(report(results, catalogue.models, found.target, plan, found.statement, command), encoding="utf-8")
    _print(results, catalogue.models, found.target)


def classifiers_named(text: str) -> tuple[str, ...]:
    """The main classifier and the others that `text` names.

    Raises:
        BadParameter: one is not known.
    """
    wanted = list(CLASSIFIERS) if text == ALL else [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in CLASSIFIERS]:
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {', '.join(CLASSIFIERS)}")
    return tuple(dict.fromkeys((MAIN, *wanted)))


def _method(text: str) -> Method:
    if text == "lasso":
        return "lasso"
    if text == "mrmr":
        return "mrmr"
    raise typer.BadParameter(f"--selection {text}: known are lasso, mrmr")


def _results(
    found: Measured,
    plan: TrainingPlan,
    compared: tuple[str, ...],
    controls: bool,
    combat: bool,
    evidence: Path,
    workers: int,
) -> Results:
    resolutions = resolutions_of(found.fitted, controls)
    table = complete_cases(found.fitted, resolutions, found.names)
    held_out = complete_cases(found.held_out, resolutions, found.names) if found.held_out else None
    if table.perturbed is None:
        console.print("no case was measured under other masks: selection goes without stability")
    keys = [*models_of(resolutions, compared), *(models_after_combat() if combat else ())]
    made = study(table, held_out, keys, plan, evidence, workers)
    kept = dict(track(made, "models", total=len(keys), console=console))
    return Results(table, len(found.fitted) - len(table.cases), held_out, {key: kept[key] for key in keys}, plan.folds)


def _manifest(found: Measured, results: Results, plan: TrainingPlan, version: str, super_resolution: Path) -> Manifest:
    resolver = load_manifest(super_resolution)
    return Manifest(
        name="rectal-prediction",
        version=version,
        kind=KIND,
        input_sequences=ANALYSED,
        architecture={"trees": "CatBoost", "models": len(shipped_keys())},
        settings={
            "radiomics": load_settings().model_dump(mode="json"),
            "super_resolution": {"name": resolver.name, "version": resolver.version, "digest": digest(resolver)},
            "selection": {"last_step": plan.method, "folds": plan.folds, "search": plan.search},
        },
        protocol=found.protocol,
        training_data=f"{len(results.table.cases)} {found.statement}",
        intended_use=found.use,
        metrics=metrics(results),
        seed=plan.seed,
        command=command_line("models.research.training.prediction"),
    )


def _write_tables(folder: Path, target: Target, results: Results) -> None:
    parts = {CohortPart.TRAINING: (results.table, results.probabilities())}
    if results.held_out is not None:
        parts[CohortPart.TEST] = (results.held_out, results.probabilities(held_out=True))
    write_predictions(folder / "predictions.csv", target, parts)
    write_features(folder / "features.csv", [table for table, _ in parts.values()])


def _print(results: Results, models: tuple[ModelCard, ...], target: Target) -> None:
    table = results.table
    console.print(
        f"{len(table.cases)} cases, {int(table.labels.sum())} {target.positive_class}, {results.left_out} left out"
    )
    shown = RichTable("model", "classifier", "AUC", "95 %", "scanner left out", "cut-off", "features")
    for key, evidence in results.study.items():
        area, across = results.area(key), results.area_across_scanners(key)
        areas = (f"{area.auc:.3f}", f"{area.low:.3f}-{area.high:.3f}", f"{across.auc:.3f}")
        shown.add_row(key.name, key.classifier, *areas, f"{evidence.cutoff:.3f}", str(len(evidence.features)))
    console.print(shown)
    for key, test in results.against_oracle().items():
        console.print(
            f"oracle AUC {test.first_auc:.3f}, {key.name} with a scanner left out {test.second_auc:.3f}, "
            f"difference {test.difference:.3f} ({test.low:.3f} to {test.high:.3f})"
        )
