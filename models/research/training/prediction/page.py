"""The page at the end of a prediction training: ROC and calibration out of fold, model cards, feature weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from models.manifest import Manifest
from models.prediction.records import Catalogue, ModelCard
from models.research.evaluation.predictions import (
    About,
    CohortPart,
    Model,
    Predictions,
    Resolution,
    TrainingProbabilities,
)
from models.research.evaluation.report.figures import curves_of_input, roc_by_resolution
from models.research.evaluation.results import Evaluation, Options
from models.research.evaluation.study import evaluate
from models.research.training import page

Floats = NDArray[np.float64]

#: Of the bootstrap that the bands of the curves come from; `rectal-node evaluate` draws more.
DRAWS = 200
#: Features of each model that are listed, the heaviest first.
LISTED = 10


def write_page(
    folder: Path,
    manifest: Manifest,
    catalogue: Catalogue,
    labels: NDArray[np.int64],
    scanners: NDArray[np.str_],
    out_of_fold: Mapping[str, Floats],
) -> None:
    """`training.html` in `folder`. (cases,): `labels`, `scanners`, and `out_of_fold` probabilities by model's name."""
    record = page.TrainingRecord(
        title=f"{manifest.name} {manifest.version}",
        statement=manifest.intended_use,
        command=manifest.command,
        curves={},
        pictures=[],
        figures={**manifest.metrics, "models": {card.name: _figures(card) for card in catalogue.models}},
        recipe={"training data": manifest.training_data, "seed": manifest.seed, "settings": manifest.settings},
        environment=page.environment(),
        key={},
        drawings=drawings(_evaluated(catalogue, labels, scanners, out_of_fold, manifest.seed)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.html").write_text(page.training_page(record), "utf-8")


def drawings(evaluation: Evaluation) -> dict[str, Figure]:
    """ROC of all inputs at each resolution; ROC, calibration and decision curve of each input."""
    predictions = evaluation.predictions
    roc = {f"ROC, {it} resolution": roc_by_resolution(evaluation, it) for it in predictions.resolutions}
    return roc | {f"{it}, out of fold": curves_of_input(evaluation, it) for it in predictions.inputs}


def _evaluated(
    catalogue: Catalogue,
    labels: NDArray[np.int64],
    scanners: NDArray[np.str_],
    out_of_fold: Mapping[str, Floats],
    seed: int,
) -> Evaluation:
    cards, target = catalogue.models, catalogue.target
    numbers = np.arange(len(labels)).astype(np.str_)
    predictions = Predictions(
        about=About("", "", target.name, target.positive_class, None, TrainingProbabilities.OUT_OF_FOLD),
        cases=numbers,
        patients=numbers,
        cohorts=np.full(len(labels), CohortPart.TRAINING.value),
        scanners=scanners,
        labels=labels,
        models=tuple(
            Model(card.name.removesuffix(f" {card.resolution}"), Resolution(card.resolution)) for card in cards
        ),
        probabilities=np.stack([out_of_fold[card.name] for card in cards]),
        oracle=None,
    )
    return evaluate(predictions, Options(DRAWS, seed, None, (), {}))


def _figures(card: ModelCard) -> dict[str, Any]:
    heaviest = sorted(card.features, key=lambda feature: -feature.weight)[:LISTED]
    return {
        "AUC": f"{card.cross_validated_auc:.3f} ({card.cross_validated_auc_interval[0]:.3f} to "
        f"{card.cross_validated_auc_interval[1]:.3f}), {card.leave_one_scanner_out_auc:.3f} with a scanner left out",
        "cut-off": card.cutoff,
        "calibration": f"intercept {card.intercept:.3f}, slope {card.slope:.3f}",
        "cases, features": f"{card.cases}, {len(card.features)}",
        "weights": {feature.name: feature.weight for feature in heaviest},
    }
