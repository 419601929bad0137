"""Measurements of a tumour as NUM content items (TID 300), each with the algorithm that made it (TID 4019).

A feature that explains the prediction is followed by what it adds to the predicted log odds, a NUM of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Measurement,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.prediction.records import Contribution, ModelPrediction, Prediction
from models.radiomics.provenance import pyradiomics
from models.radiomics.words import REPORTED, in_words
from node.results.explanation import inputs_of
from node.results.findings import SequenceResult
from node.results.identity import (
    PREDICTION,
    RESEARCH_STATEMENT,
    SEGMENTATION,
    SUPER_RESOLUTION,
    Identity,
    clipped,
    describe,
)
from node.results.modules import LOCAL_SCHEME

ON_SUPER_RESOLVED_GRID = Code("AI-SR-GRID", LOCAL_SCHEME, "Measured on the super-resolved grid")
ON_ACQUIRED_GRID = Code("ACQ-GRID", LOCAL_SCHEME, "Measured on the acquired grid")
MAIN_MODEL = Code("AI-MAIN-MODEL", LOCAL_SCHEME, "Main model")
OTHER_MODEL = Code("AI-OTHER-MODEL", LOCAL_SCHEME, "Model beside the main one")
EXPLAINED_FEATURE = Code("AI-FEATURE", LOCAL_SCHEME, "Feature that it is the contribution of")
CONTRIBUTION = Code("AI-CONTRIBUTION", LOCAL_SCHEME, "Contribution to the calibrated log odds")


def tumour_measurements(
    result: SequenceResult, identity: Identity, told_apart: Collection[str] = ()
) -> Iterator[Measurement]:
    """Volume of each mask that is delivered, and the radiomics features that have an IBSI code.

    Values that are not finite are left out.

    Features `told_apart`, by full name, are left to `explaining_features`: no feature stands twice.
    """
    segmenter = _by_segmentation(identity)
    unit = codes.UCUM.CubicCentimeter
    if result.mask_super is not None:
        yield from _number(codes.SCT.Volume, result.volume_ml, unit, segmenter, ON_SUPER_RESOLVED_GRID)
    yield from _number(codes.SCT.Volume, result.acquired_ml, unit, segmenter, ON_ACQUIRED_GRID)
    extractor = _by_radiomics(identity)
    for words in (in_words(f"{result.sequence}|super|{name}") for name in REPORTED if name in result.features):
        if f"{result.sequence}|super|{words.name}" not in told_apart:
            yield from _number(
                Code(words.code, "IBSI", words.ibsi),
                result.features[words.name],
                Code(words.unit, "UCUM", words.unit_meaning),
                extractor,
                ON_SUPER_RESOLVED_GRID,
            )


def predicted_probabilities(prediction: Prediction, identity: Identity) -> Iterator[Measurement]:
    """Probability of the target's positive class, 0 to 1, by every model; the main one first and named as such."""
    concept = prediction.target.concept
    for model in (prediction.main, *prediction.others):
        yield from _number(
            Code(concept.value, concept.scheme, clipped(concept.meaning, 64)),
            model.probability,
            codes.UCUM.NoUnits,
            _by_prediction(model, prediction, identity),
            MAIN_MODEL if model is prediction.main else OTHER_MODEL,
        )


def explaining_features(
    features: Sequence[Contribution], prediction: Prediction, identity: Identity
) -> Iterator[Measurement]:
    """Features of the main model with their value, each followed by what it adds to the predicted log odds."""
    for feature in features:
        words = in_words(feature.name)
        unit = Code(words.unit, "UCUM", words.unit_meaning)
        # Of a feature that IBSI has no code for: always the same for a name of pyradiomics, which is its meaning.
        own = Code(f"F-{hashlib.sha256(words.name.encode()).hexdigest()[:12]}", LOCAL_SCHEME, clipped(words.name, 64))
        name = Code(words.code, "IBSI", words.ibsi) if words.code else own
        grid = ON_SUPER_RESOLVED_GRID if words.resolution == "super" else ON_ACQUIRED_GRID
        yield from _number(name, feature.value, unit, _by_radiomics(identity), grid)
        yield _contribution(feature, name, unit, prediction, identity)


def _contribution(
    feature: Contribution, name: Code, unit: Code, prediction: Prediction, identity: Identity
) -> Measurement:
    """What a feature adds, with the feature as a modifier (TID 1419 row 6) and its range in the training cohort.

    That range is what the figure is inferred from beside the value (row 13): how a tree divides the cohort decides it.
    As a property of the feature it would be a TID 311 item, and validators take any number below a measurement for
    one of row 13.
    """
    bundle = identity.algorithm(PREDICTION)
    measurement = Measurement(
        name=CodedConcept.from_code(CONTRIBUTION),
        value=feature.log_odds,
        unit=CodedConcept.from_code(codes.UCUM.NoUnits),
        algorithm_id=_by_prediction(prediction.main, prediction, identity),
    )
    concept = RelationshipTypeValues.HAS_CONCEPT_MOD
    limits = ((codes.SCT.Minimum, feature.low), (codes.SCT.Maximum, feature.high))
    cohort = f"Training cohort of {bundle.name} {bundle.version}"
    measurement[0].ContentSequence[:0] = [
        CodeContentItem(EXPLAINED_FEATURE, CodedConcept.from_code(name), concept),
        *(NumContentItem(limit, value, unit, None, RelationshipTypeValues.INFERRED_FROM) for limit, value in limits),
        TextContentItem(codes.DCM.PopulationDescription, cohort, RelationshipTypeValues.HAS_PROPERTIES),
    ]
    return measurement


def _number(
    name: Code, value: float, unit: Code, algorithm: AlgorithmIdentification, method: Code | None = None
) -> Iterator[Measurement]:
    if math.isfinite(value):
        yield Measurement(
            name=CodedConcept.from_code(name),
            value=float(value),
            unit=CodedConcept.from_code(unit),
            algorithm_id=algorithm,
            method=CodedConcept.from_code(method) if method else None,
        )


def _by_segmentation(identity: Identity) -> AlgorithmIdentification:
    model, generator = identity.algorithm(SEGMENTATION), identity.algorithm(SUPER_RESOLUTION)
    return _algorithm(
        model.name, model.version, {"digest": model.digest, "input": describe(generator), "statement": model.statement}
    )


def _by_radiomics(identity: Identity) -> AlgorithmIdentification:
    parameters = (f"segmentation: {describe(identity.algorithm(SEGMENTATION))}", RESEARCH_STATEMENT)
    return AlgorithmIdentification(*pyradiomics(), parameters=parameters)


def _by_prediction(model: ModelPrediction, prediction: Prediction, identity: Identity) -> AlgorithmIdentification:
    bundle, target, unanswered = identity.algorithm(PREDICTION), prediction.target, prediction.unanswered
    return _algorithm(
        f"{bundle.name}: {model.name}",
        model.version,
        {
            "bundle": describe(bundle),
            "inputs": inputs_of(model),
            "target": f"{target.name}; positive class {target.positive_class}",
            "cut-off": f"{model.cutoff:.6g}",
            "cross-validated AUC": f"{model.cross_validated_auc:.3f}",
            **({"in place of": unanswered.name} if unanswered and model is prediction.main else {}),
        },
    )


def _algorithm(name: str, version: str, parameters: Mapping[str, str]) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=name,
        version=version,
        parameters=[f"{key}: {value}" for key, value in parameters.items()] + [RESEARCH_STATEMENT],
        family=codes.DCM.ArtificialIntelligence,
    )
