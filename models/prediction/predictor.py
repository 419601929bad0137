"""The prediction bundle: eight boosted-trees models, loaded strictly, and what they say of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from catboost import CatBoostClassifier, CatBoostError
from pydantic import ValidationError

from models.errors import BundleError, ModelError
from models.manifest import Manifest, manifest_of
from models.prediction.calibration import calibrate
from models.prediction.explanation import Floats, explain
from models.prediction.records import Catalogue, ModelCard, ModelPrediction, Prediction, Unanswered
from models.radiomics.settings import RadiomicsSettings, load_settings
from models.sequence import ANALYSED, Sequence

KIND = "prediction"
CATALOGUE_NAME = "models.json"
RADIOMICS_NAME = "radiomics.yaml"


@dataclass(frozen=True, slots=True)
class Predictor:
    """A loaded bundle; `classifiers` in the order of `catalogue.models`, `radiomics` the settings of their features."""

    manifest: Manifest
    catalogue: Catalogue
    radiomics: RadiomicsSettings
    classifiers: tuple[CatBoostClassifier, ...]


def load_predictor(folder: Path) -> Predictor:
    """The bundle in `folder`, with the settings that its features must be measured with.

    Raises `BundleError` when a file is missing, changed, or not what it claims, or when the models were trained on
    features of other settings.
    """
    manifest, catalogue = load_catalogue(folder)
    settings = _radiomics(folder, manifest)
    if catalogue.radiomics_digest != settings.digest:
        raise BundleError(
            f"bundle {folder.name}: trained on features of radiomics settings {catalogue.radiomics_digest[:12]}…, "
            f"the settings in the bundle are {settings.digest[:12]}…"
        )
    classifiers = tuple(_classifier(folder, manifest, card) for card in catalogue.models)
    return Predictor(manifest, catalogue, settings, classifiers)


def load_catalogue(folder: Path) -> tuple[Manifest, Catalogue]:
    """Reads the catalogue of the bundle in `folder`: what it says of itself and of its models, without the models.

    Raises `BundleError` when a file is missing, changed, or not what it claims.
    """
    manifest = manifest_of(folder, KIND, CATALOGUE_NAME)
    try:
        catalogue = Catalogue.model_validate_json((folder / CATALOGUE_NAME).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"bundle {folder.name}: {CATALOGUE_NAME}, {where}: {first['msg']}") from error
    return manifest, catalogue


def predict(features: Mapping[str, float], predictor: Predictor) -> Prediction | None:
    """Predicts with every model whose features are all there; None when there is no such model.

    `features` are named ``<sequence>|<resolution>|<pyradiomics name>``. A model never sees a gap: one missing
    feature takes the model out, because trees would read the gap as a very small value. The main answer is
    that of all sequences at super resolution, which holds best under masks that were found (docs/models), else of the
    model with the best cross-validated AUC.
    """
    answers = [
        _answer(features, card, classifier, predictor.manifest.version)
        for card, classifier in zip(predictor.catalogue.models, predictor.classifiers, strict=True)
        if not _lacking(features, card)
    ]
    if not answers:
        return None
    main = max(answers, key=_preference)
    first = max(predictor.catalogue.models, key=_preference)
    lacking = _lacking(features, first)
    return Prediction(
        main,
        tuple(answer for answer in answers if answer is not main),
        predictor.catalogue.target,
        Unanswered(first.name, lacking) if lacking else None,
    )


def probabilities(features: Mapping[str, float], predictor: Predictor) -> dict[str, float]:
    """The probability of each model, by its name, whose features are all there: as `predict` has it, without reasons.

    Reasons take most of the time of a prediction.
    """
    return {
        card.name: _probability(_row(features, card), card, classifier)
        for card, classifier in zip(predictor.catalogue.models, predictor.classifiers, strict=True)
        if not _lacking(features, card)
    }


def _lacking(features: Mapping[str, float], card: ModelCard) -> tuple[Sequence, ...]:
    """The sequences of which a feature that the model needs is missing, in the order of its inputs."""
    missing = {it.name.split("|")[0] for it in card.features if not np.isfinite(features.get(it.name, np.nan))}
    return tuple(sequence for sequence in ANALYSED if sequence in missing)


def _preference(answer: ModelPrediction | ModelCard) -> tuple[bool, float]:
    whole = set(answer.inputs) == set(ANALYSED) and answer.resolution == "super"
    return whole, answer.cross_validated_auc


def _answer(
    features: Mapping[str, float], card: ModelCard, classifier: CatBoostClassifier, version: str
) -> ModelPrediction:
    row = _row(features, card)
    base, contributions = explain(row, card, classifier)
    return ModelPrediction(
        name=card.name,
        version=version,
        inputs=card.inputs,
        resolution=card.resolution,
        probability=_probability(row, card, classifier),
        cutoff=card.cutoff,
        cross_validated_auc=card.cross_validated_auc,
        base=base,
        contributions=contributions,
    )


def _row(features: Mapping[str, float], card: ModelCard) -> Floats:
    """The features that a model takes, (features,), in the order of its card."""
    return np.array([features[feature.name] for feature in card.features], dtype=np.float64)


def _probability(row: Floats, card: ModelCard, classifier: CatBoostClassifier) -> float:
    raw = classifier.predict_proba(row[None], thread_count=1)[:, 1]
    return float(calibrate(raw, card.intercept, card.slope)[0])


def _radiomics(folder: Path, manifest: Manifest) -> RadiomicsSettings:
    """The bundle's settings; bundles before the file had them in the manifest."""
    try:
        if RADIOMICS_NAME in manifest.files:
            return load_settings(folder / RADIOMICS_NAME)
        return RadiomicsSettings.model_validate(manifest.settings.get("radiomics"))
    except (ModelError, ValidationError) as error:
        raise BundleError(f"bundle {folder.name}: its radiomics settings cannot be used: {error}") from error


def _classifier(folder: Path, manifest: Manifest, card: ModelCard) -> CatBoostClassifier:
    if card.file not in manifest.files:
        raise BundleError(f"bundle {folder.name}: the manifest does not name {card.file}")
    try:
        classifier = CatBoostClassifier().load_model(str(folder / card.file), format="cbm")
    except CatBoostError as error:
        raise BundleError(f"bundle {folder.name}: {card.file} is not a CatBoost model") from error
    expected = [feature.name for feature in card.features]
    if classifier.feature_names_ != expected:
        raise BundleError(f"bundle {folder.name}: {card.file} was trained on other features than its card names")
    return classifier
