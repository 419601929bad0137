"""Train the prediction bundle on simulated patients: `python -m models.training.prediction --help`.

Each patient is simulated on one of the six scanners, its sequences are super-resolved by the shipped bundle, the
true tumour is measured at both resolutions, and eight models are cross-validated and fitted. The label and the
cohort are simulated; the printed oracle is the AUC of the tissue parameters that the label was drawn with.
"""

from __future__ import annotations

import csv
import shlex
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, get_args

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table as RichTable

from models.errors import ModelError
from models.evaluation.discrimination import AucInterval, auc_interval, delong_test
from models.manifest import Manifest, digest, load_manifest
from models.phantom.scanners import load_scanners
from models.prediction.fit import FittedModel, fit
from models.prediction.predictor import KIND, save_predictor
from models.prediction.records import Catalogue, CodedConcept, FeatureCard, ModelCard, Resolution, Target
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.training.prediction_cases import Case, cohort
from models.training.protocol_range import protocol_range
from models.volume import Sequence

WEIGHTS = Path(__file__).parents[1] / "weights"
TARGET = Target(
    name="Simulated histologic grade",
    positive_class="high grade",
    concept=CodedConcept("SIM-GRADE-HIGH", "99RECTALNODE", "Probability of high histologic grade (simulated)"),
)
INPUTS: dict[str, tuple[Sequence, ...]] = {
    **{str(sequence): (sequence,) for sequence in Sequence},
    "All-sequence": tuple(Sequence),
}
RESOLUTIONS: tuple[Resolution, ...] = get_args(Resolution)

Fitted = dict[tuple[str, Resolution], FittedModel]

app = typer.Typer(add_completion=False)
console = Console()


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Complete cases: `values` is (cases, columns), columns as `names`."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    scanners: NDArray[np.str_]
    oracle: NDArray[np.float64]


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="folder of the bundle")] = WEIGHTS / "prediction",
    super_resolution: Annotated[Path, typer.Option(help="super-resolution bundle")] = WEIGHTS / "super-resolution",
    cases: Annotated[int, typer.Option(min=20, help="simulated patients, a sixth on each scanner")] = 180,
    first_seed: Annotated[int, typer.Option(help="seed of the first patient; others than the networks saw")] = 700_000,
    cache: Annotated[Path, typer.Option(help="where finished cases are kept")] = Path("runs/prediction"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    folds: Annotated[int, typer.Option(min=2, help="of the cross-validation")] = 10,
    seed: Annotated[int, typer.Option(help="of folds and trees")] = 11,
    version: Annotated[str, typer.Option(help="of the bundle")] = "0.1.0",
) -> None:
    """Simulate the cohort (or read it from the cache), cross-validate, fit, and write the bundle."""
    made = cohort(cases, first_seed, super_resolution, cache, workers)
    collected = sorted(track(made, "cases", total=cases, console=console), key=lambda case: case.seed)
    table = complete_cases(collected)
    fitted = {
        (label, resolution): _fit(table, inputs, resolution, seed, folds)
        for (label, inputs), resolution in track(list(product(INPUTS.items(), RESOLUTIONS)), "models", console=console)
    }
    cards = tuple(_card(label, resolution, model, table) for (label, resolution), model in fitted.items())
    oracle = oracle_auc(table)
    metrics = _metrics(table, collected, fitted, cards, oracle)
    resolver = load_manifest(super_resolution)
    manifest = Manifest(
        name="rectal-prediction",
        version=version,
        kind=KIND,
        input_sequences=tuple(Sequence),
        architecture={"trees": "CatBoost", "models": len(cards)},
        settings={
            "radiomics": load_settings().model_dump(mode="json"),
            "super_resolution": {"name": resolver.name, "version": resolver.version, "digest": digest(resolver)},
        },
        protocol=protocol_range(scanner for scanner in load_scanners() if scanner.name in set(table.scanners)),
        training_data=f"{len(table.labels)} simulated patients on {len(set(table.scanners))} simulated scanners, "
        f"seeds from {first_seed}; true tumour masks; label: {TARGET.name} ({TARGET.positive_class})",
        metrics=metrics,
        seed=seed,
        command="python -m models.training.prediction " + shlex.join(sys.argv[1:]),
    )
    catalogue = Catalogue(target=TARGET, radiomics_digest=load_settings().digest, models=cards)
    save_predictor(out, manifest, catalogue, tuple(model.classifier for model in fitted.values()))
    _write_out_of_fold(cache / "out_of_fold.csv", table, fitted)
    _print(cards, metrics)


def complete_cases(cases: list[Case]) -> FeatureTable:
    """The cases in which every feature of every sequence and resolution could be computed.

    Completeness does not look at the label, so it may precede the folds. Raises `ModelError` when none is left.
    """
    features = sorted(expected_names(load_settings()))
    names = tuple(f"{s}|{r}|{name}" for s, r, name in product(Sequence, RESOLUTIONS, features))
    kept = [case for case in cases if all(name in case.features for name in names)]
    if not kept:
        raise ModelError(f"none of {len(cases)} cases has all {len(names)} features")
    return FeatureTable(
        values=np.array([[case.features[name] for name in names] for case in kept]),
        names=names,
        labels=np.array([case.label for case in kept]),
        scanners=np.array([case.scanner for case in kept]),
        oracle=np.array([case.oracle["oracle_probability"] for case in kept]),
    )


def oracle_auc(table: FeatureTable) -> AucInterval:
    """AUC of the label's probability given the drawn tissue parameters: no reading of the images can do better."""
    return auc_interval(table.labels, table.oracle)


def _fit(
    table: FeatureTable, inputs: tuple[Sequence, ...], resolution: Resolution, seed: int, folds: int
) -> FittedModel:
    wanted = {(str(sequence), resolution) for sequence in inputs}
    columns = [index for index, name in enumerate(table.names) if tuple(name.split("|")[:2]) in wanted]
    names = tuple(table.names[index] for index in columns)
    return fit(table.values[:, columns], names, table.labels, table.scanners, seed, folds)


def _card(label: str, resolution: Resolution, model: FittedModel, table: FeatureTable) -> ModelCard:
    area = auc_interval(table.labels, model.out_of_fold)
    weights = np.asarray(model.classifier.get_feature_importance()) / 100
    columns = [table.values[:, table.names.index(name)] for name in model.names]
    return ModelCard(
        name=f"{label} {resolution}",
        file=f"{label.lower()}-{resolution}.cbm",
        inputs=INPUTS[label],
        resolution=resolution,
        features=tuple(
            FeatureCard(name=name, low=float(column.min()), high=float(column.max()), weight=float(weight))
            for name, column, weight in zip(model.names, columns, weights, strict=True)
        ),
        intercept=model.intercept,
        slope=model.slope,
        cutoff=model.cutoff,
        cross_validated_auc=area.auc,
        cross_validated_auc_interval=(area.low, area.high),
        leave_one_scanner_out_auc=auc_interval(table.labels, model.across_scanners).auc,
        cases=len(table.labels),
    )


def _metrics(
    table: FeatureTable, collected: list[Case], fitted: Fitted, cards: tuple[ModelCard, ...], oracle: AucInterval
) -> dict[str, Any]:
    tests = {label: _super_against_normal(table, fitted, label) for label in INPUTS}
    return {
        "cases": len(table.labels),
        "cases_left_out_as_incomplete": len(collected) - len(table.labels),
        "positive_cases": int(table.labels.sum()),
        "oracle_auc": round(oracle.auc, 4),
        "oracle_auc_interval": [round(oracle.low, 4), round(oracle.high, 4)],
        "cross_validated_auc": {card.name: round(card.cross_validated_auc, 4) for card in cards},
        "leave_one_scanner_out_auc": {card.name: round(card.leave_one_scanner_out_auc, 4) for card in cards},
        "super_minus_normal": tests,
    }


def _super_against_normal(table: FeatureTable, fitted: Fitted, label: str) -> dict[str, float]:
    """DeLong's test on out-of-fold probabilities: does super-resolution help the prediction?"""
    test = delong_test(table.labels, fitted[label, "super"].out_of_fold, fitted[label, "normal"].out_of_fold)
    values = {"difference": test.difference, "low": test.low, "high": test.high, "p": test.p}
    return {name: round(value, 4) for name, value in values.items()}


def _write_out_of_fold(path: Path, table: FeatureTable, fitted: Fitted) -> None:
    """Every case with its label and out-of-fold probabilities, for the evaluation."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["scanner", "label", *(f"{label} {resolution}" for label, resolution in fitted)])
        columns = [model.out_of_fold for model in fitted.values()]
        for row in zip(table.scanners, table.labels, *columns, strict=True):
            writer.writerow(row)


def _print(cards: tuple[ModelCard, ...], metrics: dict[str, Any]) -> None:
    low, high = metrics["oracle_auc_interval"]
    console.print(
        f"{metrics['cases']} cases, {metrics['positive_cases']} {TARGET.positive_class}, "
        f"{metrics['cases_left_out_as_incomplete']} left out; "
        f"oracle AUC {metrics['oracle_auc']:.3f} ({low:.3f}-{high:.3f})"
    )
    shown = RichTable("model", "AUC", "95 %", "scanner left out", "cut-off", "features")
    for card in cards:
        interval = "{:.3f}-{:.3f}".format(*card.cross_validated_auc_interval)
        areas = (f"{card.cross_validated_auc:.3f}", interval, f"{card.leave_one_scanner_out_auc:.3f}")
        shown.add_row(card.name, *areas, f"{card.cutoff:.3f}", str(len(card.features)))
    console.print(shown)


if __name__ == "__main__":
    app()
