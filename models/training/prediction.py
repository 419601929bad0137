"""Train the prediction bundle on a cohort (`--data`) or on simulated patients: `python -m models.training.prediction`.

Each patient is simulated on one of the six scanners, its sequences are super-resolved by the shipped bundle, the
true tumour is measured at both resolutions, and eight models are cross-validated and fitted. The label and the
cohort are simulated; the printed oracle is the AUC of the tissue parameters that the label was drawn with. Of a cohort,
volumes, masks, labels and scanners are those on disk; cases of its test split are only tested on.
"""

from __future__ import annotations

import csv
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

from models.cohort.records import Split
from models.errors import ModelError
from models.evaluation.discrimination import AucInterval, auc_interval, delong_test
from models.manifest import RESEARCH_STATEMENT, Manifest, digest, load_manifest
from models.phantom.scanners import load_scanners
from models.prediction.fit import FittedModel, calibrate, fit
from models.prediction.predictor import KIND, save_predictor
from models.prediction.records import Catalogue, CodedConcept, FeatureCard, ModelCard, Resolution, Target
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.training.cohort_cases import COHORT_USE
from models.training.loop import command_line
from models.training.measured_cohort import labelled_cohort, measured_cases
from models.training.prediction_cases import Case, cohort
from models.training.prediction_page import write_page
from models.training.protocol_range import protocol_range, protocol_range_of
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
    oracle: NDArray[np.float64] | None
    patients: NDArray[np.str_] | None


@app.command()
def train(
    data: Annotated[Path | None, typer.Option(help="cohort to train on (docs/training.md); else simulated")] = None,
    target: Annotated[str, typer.Option(help="what the cohort's label says")] = "",
    positive_class: Annotated[str, typer.Option(help="what label 1 of the cohort means")] = "",
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
    predicted = TARGET if data is None else target_of(target, positive_class)
    held_out: list[Case] = []
    if data is None:
        made = cohort(cases, first_seed, super_resolution, cache, workers)
        collected = sorted(track(made, "cases", total=cases, console=console), key=lambda case: case.seed)
    else:
        found = labelled_cohort(data, folds)
        measured = measured_cases(found, super_resolution, cache)
        pairs = list(zip(found.cases, track(measured, "cases", total=len(found.cases), console=console), strict=True))
        collected = [case for listed, case in pairs if listed.facts.split is not Split.TEST]
        held_out = [case for listed, case in pairs if listed.facts.split is Split.TEST]
    table = complete_cases(collected)
    fitted = {
        (label, resolution): _fit(table, inputs, resolution, seed, folds)
        for (label, inputs), resolution in track(list(product(INPUTS.items(), RESOLUTIONS)), "models", console=console)
    }
    cards = tuple(_card(label, resolution, model, table) for (label, resolution), model in fitted.items())
    metrics = _metrics(table, collected, fitted, cards, oracle_auc(table))
    if held_out:
        metrics["test_cohort"] = test_aucs(complete_cases(held_out), fitted)
    resolver = load_manifest(super_resolution)
    if data is None:
        ranges = protocol_range(scanner for scanner in load_scanners() if scanner.name in set(table.scanners))
        statement = (
            f"{len(table.labels)} simulated patients on {len(set(table.scanners))} simulated scanners, seeds from "
            f"{first_seed}; true tumour masks; label: {predicted.name} ({predicted.positive_class})"
        )
    else:
        ranges = protocol_range_of(found)
        statement = (
            f"cohort {data.resolve().name}: {len(table.labels)} cases on {', '.join(sorted(set(table.scanners)))}; "
            f"its tumour masks; label: {predicted.name} ({predicted.positive_class})"
        )
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
        protocol=ranges,
        training_data=statement,
        intended_use=RESEARCH_STATEMENT if data is None else COHORT_USE,
        metrics=metrics,
        seed=seed,
        command=command_line("models.training.prediction"),
    )
    catalogue = Catalogue(target=predicted, radiomics_digest=load_settings().digest, models=cards)
    save_predictor(out, manifest, catalogue, tuple(model.classifier for model in fitted.values()), load_settings())
    _write_out_of_fold(cache / "out_of_fold.csv", table, fitted)
    out_of_fold = {card.name: model.out_of_fold for card, model in zip(cards, fitted.values(), strict=True)}
    write_page(cache, manifest, catalogue, table.labels, table.scanners, out_of_fold)
    _print(cards, metrics, predicted)


def target_of(name: str, positive_class: str) -> Target:
    """What a cohort's label says, in the words of a report.

    Raises:
        BadParameter: one of them is missing: a prediction that nobody can name is of no use.
    """
    if not name or not positive_class:
        raise typer.BadParameter(
            "--data needs --target and --positive-class, such as 'Histologic grade' and 'high grade'"
        )
    return Target(
        name, positive_class, CodedConcept("POSITIVE-CLASS", "99RECTALNODE", f"Probability of {positive_class}")
    )


def test_aucs(table: FeatureTable, fitted: Fitted) -> dict[str, Any]:
    """AUC with its interval of every model on cases that no fold has seen; counts alone where a class is missing."""
    counts: dict[str, Any] = {"cases": len(table.labels), "positive_cases": int(table.labels.sum())}
    if len(set(table.labels.tolist())) < 2:
        return counts
    for (label, resolution), model in fitted.items():
        columns = [table.names.index(name) for name in model.names]
        raw = model.classifier.predict_proba(table.values[:, columns])[:, 1]
        area = auc_interval(table.labels, calibrate(raw, model.intercept, model.slope))
        counts[f"{label} {resolution}"] = [round(value, 4) for value in (area.auc, area.low, area.high)]
    return counts


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
        oracle=np.array([case.oracle["oracle_probability"] for case in kept]) if all(c.oracle for c in kept) else None,
        patients=np.array([case.patient for case in kept]) if all(case.patient for case in kept) else None,
    )


def oracle_auc(table: FeatureTable) -> AucInterval | None:
    """AUC of the label's probability given the drawn tissue parameters: no reading of the images can do better.

    None of a cohort, where nobody knows it.
    """
    return None if table.oracle is None else auc_interval(table.labels, table.oracle)


def _fit(
    table: FeatureTable, inputs: tuple[Sequence, ...], resolution: Resolution, seed: int, folds: int
) -> FittedModel:
    wanted = {(str(sequence), resolution) for sequence in inputs}
    columns = [index for index, name in enumerate(table.names) if tuple(name.split("|")[:2]) in wanted]
    names = tuple(table.names[index] for index in columns)
    return fit(table.values[:, columns], names, table.labels, table.scanners, seed, folds, table.patients)


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
    table: FeatureTable, collected: list[Case], fitted: Fitted, cards: tuple[ModelCard, ...], oracle: AucInterval | None
) -> dict[str, Any]:
    tests = {label: _super_against_normal(table, fitted, label) for label in INPUTS}
    return {
        "cases": len(table.labels),
        "cases_left_out_as_incomplete": len(collected) - len(table.labels),
        "positive_cases": int(table.labels.sum()),
        **(
            {"oracle_auc": round(oracle.auc, 4), "oracle_auc_interval": [round(oracle.low, 4), round(oracle.high, 4)]}
            if oracle
            else {}
        ),
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


def _print(cards: tuple[ModelCard, ...], metrics: dict[str, Any], target: Target) -> None:
    console.print(
        f"{metrics['cases']} cases, {metrics['positive_cases']} {target.positive_class}, "
        f"{metrics['cases_left_out_as_incomplete']} left out"
    )
    if "oracle_auc" in metrics:
        low, high = metrics["oracle_auc_interval"]
        console.print(f"oracle AUC {metrics['oracle_auc']:.3f} ({low:.3f}-{high:.3f})")
    shown = RichTable("model", "AUC", "95 %", "scanner left out", "cut-off", "features")
    for card in cards:
        interval = "{:.3f}-{:.3f}".format(*card.cross_validated_auc_interval)
        areas = (f"{card.cross_validated_auc:.3f}", interval, f"{card.leave_one_scanner_out_auc:.3f}")
        shown.add_row(card.name, *areas, f"{card.cutoff:.3f}", str(len(card.features)))
    console.print(shown)


if __name__ == "__main__":
    app()
