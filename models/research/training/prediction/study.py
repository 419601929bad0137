"""The models of a study with their evidence, kept model by model so that an interrupted run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from catboost import CatBoostClassifier

from models.research.evaluation.predictions import Resolution
from models.research.source_digest import source_digest
from models.research.training.prediction.fitting.classifiers import AFTER_COMBAT, MAIN, RECIPES, ClassifierRecipe
from models.research.training.prediction.fitting.cross_validation import (
    ChosenFeature,
    ModelEvidence,
    Unharmonised,
    cross_validate,
)
from models.research.training.prediction.fitting.feature_table import FeatureTable
from models.research.training.prediction.fitting.selection import Method
from models.research.training.prediction.tables import SHIPPED
from models.research.training.processes import in_processes
from models.sequence import ANALYSED, Sequence

INPUTS: dict[str, tuple[Sequence, ...]] = {
    **{str(sequence): (sequence,) for sequence in ANALYSED},
    "All-sequence": ANALYSED,
}
_LIBRARIES = ("catboost", "numpy", "scikit-learn", "scipy")
_COMBAT_LIBRARIES = (*_LIBRARIES, "combatlearn", "pandas")


class ModelKey(NamedTuple):
    """One model of a study."""

    input: str
    resolution: Resolution
    classifier: str

    @property
    def name(self) -> str:
        """As a column of predictions is called."""
        return f"{self.input} {self.resolution}"

    @property
    def file(self) -> str:
        """As its files are called, without suffix."""
        return f"{self.input}-{self.resolution}-{self.classifier}".lower().replace(" ", "-")


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Settings that all models of a study share: seed, folds, last step of selection, search or not."""

    seed: int
    folds: int
    method: Method = "lasso"
    search: bool = True

    def recipe(self, classifier: str) -> ClassifierRecipe:
        """How a classifier is made, with or without a search of hyper-parameters."""
        recipe = RECIPES[classifier]
        return recipe if self.search else recipe.without_search


Study = dict[ModelKey, ModelEvidence]


def models_of(resolutions: Iterable[Resolution], classifiers: Iterable[str]) -> Iterator[ModelKey]:
    """Every input at every resolution; of the controls the main classifier alone."""
    resolutions = tuple(resolutions)
    for classifier in classifiers:
        for label in INPUTS:
            for resolution in resolutions:
                if resolution in SHIPPED or classifier == MAIN:
                    yield ModelKey(label, resolution, classifier)


def models_after_combat() -> Iterator[ModelKey]:
    """The main classifier on all sequences after ComBat across scanners, at the resolutions of the bundle."""
    for resolution in SHIPPED:
        yield ModelKey("All-sequence", resolution, AFTER_COMBAT)


def study(
    table: FeatureTable,
    held_out: FeatureTable | None,
    keys: Iterable[ModelKey],
    plan: TrainingPlan,
    folder: Path,
    workers: int,
) -> Iterator[tuple[ModelKey, ModelEvidence]]:
    """Evidence of each model as it gets ready, first those that `folder` holds.

    What is kept is bound to features, labels, plan, code and libraries: a change of any makes the model anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for key in keys:
        call = _call(key, table, held_out, plan, folder)
        if call.path.is_file():
            yield key, load_evidence(call.path)
        else:
            missing.append(call)
    if workers == 1:
        yield from (_make_and_keep(*call) for call in missing)
    else:
        yield from in_processes(_make_and_keep, missing, workers)


def classifiers_of(
    table: FeatureTable, held_out: FeatureTable | None, keys: Iterable[ModelKey], plan: TrainingPlan, folder: Path
) -> tuple[CatBoostClassifier, ...]:
    """The boosted trees of models whose evidence is kept in `folder`."""
    paths = [_call(key, table, held_out, plan, folder).path.with_suffix(".cbm") for key in keys]
    return tuple(CatBoostClassifier().load_model(str(path), format="cbm") for path in paths)


def digest(table: FeatureTable, held_out: FeatureTable | None, plan: TrainingPlan, classifier: str) -> str:
    """Of everything that a model's evidence depends on."""
    recipe = plan.recipe(classifier)
    key = hashlib.sha256(repr((plan, classifier, table.names, recipe.grid)).encode())
    libraries = _COMBAT_LIBRARIES if recipe.combat else _LIBRARIES
    key.update(repr([(name, version(name)) for name in libraries]).encode())
    arrays = [table.values, table.labels, None if held_out is None else held_out.values]
    if table.perturbed is not None:
        arrays += [table.perturbed.rows, table.perturbed.values]
    for array in arrays:
        key.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    unseen = [] if held_out is None else held_out.scanners.tolist()
    key.update("\n".join([*table.scanners.tolist(), *table.patients.tolist(), *unseen]).encode())
    key.update(source_digest(cross_validate.__module__).encode())
    return key.hexdigest()[:16]


def load_evidence(path: Path) -> ModelEvidence:
    """Evidence that `study` has kept."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    arrays = {name: np.array(kept[name], dtype=np.float64) for name in ("out_of_fold", "across_scanners", "held_out")}
    features = tuple(ChosenFeature(**feature) for feature in kept["features"])
    unharmonised = Unharmonised(**kept["unharmonised"]) if kept["unharmonised"] else None
    return ModelEvidence(**(kept | arrays | {"features": features, "unharmonised": unharmonised}))


class _Call(NamedTuple):
    """Arguments that one model is made from: the columns of its input, and where it is kept."""

    key: ModelKey
    table: FeatureTable
    held_out: FeatureTable | None
    plan: TrainingPlan
    path: Path


def _call(key: ModelKey, table: FeatureTable, held_out: FeatureTable | None, plan: TrainingPlan, folder: Path) -> _Call:
    own = table.of(INPUTS[key.input], key.resolution)
    unseen = held_out.of(INPUTS[key.input], key.resolution) if held_out is not None else None
    return _Call(key, own, unseen, plan, folder / f"{key.file}-{digest(own, unseen, plan, key.classifier)}.json")


def _make_and_keep(
    key: ModelKey, table: FeatureTable, held_out: FeatureTable | None, plan: TrainingPlan, path: Path
) -> tuple[ModelKey, ModelEvidence]:
    recipe = plan.recipe(key.classifier)
    evidence, model = cross_validate(table, recipe, plan.seed, plan.folds, held_out, plan.method)
    if key.classifier == MAIN:
        trees = model.pipeline["classifier"]
        trees.set_feature_names([feature.name for feature in evidence.features])
        trees.save_model(str(path.with_suffix(".cbm")), format="cbm")
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_plain(asdict(evidence))), encoding="utf-8")
    part.replace(path)
    return key, evidence


def _plain(kept: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in kept.items()}
