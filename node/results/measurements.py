"""Measurements of a tumour as NUM content items (TID 300), each with the algorithm that made it (TID 4019)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from importlib import metadata

from highdicom.sr import AlgorithmIdentification, CodedConcept, Measurement
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.prediction.records import ModelPrediction, Prediction
from models.radiomics.codes import REPORTED
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

#: The volume on the acquired grid is reported as well where it differs by more than this.
VOLUME_DIFFERENCE = 0.05


def tumour_measurements(result: SequenceResult, acquired_ml: float, identity: Identity) -> Iterator[Measurement]:
    """Volume and the radiomics features that have an IBSI code; values that are not finite are left out."""
    segmenter = _by_segmentation(identity)
    unit = codes.UCUM.CubicCentimeter
    yield from _number(codes.SCT.Volume, result.volume_ml, unit, segmenter, ON_SUPER_RESOLVED_GRID)
    if abs(acquired_ml - result.volume_ml) > VOLUME_DIFFERENCE * max(result.volume_ml, 1e-9):
        yield from _number(codes.SCT.Volume, acquired_ml, unit, segmenter, ON_ACQUIRED_GRID)
    extractor = _by_radiomics(identity)
    for feature in REPORTED:
        if feature.name in result.features:
            yield from _number(
                Code(feature.value, "IBSI", feature.meaning),
                result.features[feature.name],
                Code(feature.unit, "UCUM", feature.unit_meaning),
                extractor,
                ON_SUPER_RESOLVED_GRID,
            )


def predicted_probability(prediction: Prediction, identity: Identity) -> Iterator[Measurement]:
    """Probability of the target's positive class by the main model, 0 to 1."""
    concept = prediction.target.concept
    yield from _number(
        Code(concept.value, concept.scheme, clipped(concept.meaning, 64)),
        prediction.main.probability,
        codes.UCUM.NoUnits,
        _by_prediction(prediction, identity),
    )


def describe_prediction(prediction: Prediction) -> str:
    """What was predicted, from what, and where its cut-off lies, for a reader."""
    main, target = prediction.main, prediction.target
    side = "above or at" if main.probability >= main.cutoff else "below"
    return (
        f"Predicted probability of {target.positive_class} ({target.name}): {main.probability:.2f}, {side} the "
        f"cut-off of {main.cutoff:.2f}; model {main.name} {main.version} on {inputs_of(main)}. The target is a label "
        "of the cohort that the model was trained on, named above as the model's bundle names it."
    )


def inputs_of(model: ModelPrediction) -> str:
    """Sequences and resolution of a model."""
    resolution = "super-resolved" if model.resolution == "super" else "acquired"
    return f"{', '.join(model.inputs)} ({resolution})"


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
    return AlgorithmIdentification("pyradiomics", metadata.version("pyradiomics"), parameters=parameters)


def _by_prediction(prediction: Prediction, identity: Identity) -> AlgorithmIdentification:
    bundle, main, target = identity.algorithm(PREDICTION), prediction.main, prediction.target
    return _algorithm(
        f"{bundle.name}: {main.name}",
        main.version,
        {
            "bundle": describe(bundle),
            "inputs": inputs_of(main),
            "target": f"{target.name}; positive class {target.positive_class}",
            "cut-off": f"{main.cutoff:.6g}",
            "cross-validated AUC": f"{main.cross_validated_auc:.3f}",
        },
    )


def _algorithm(name: str, version: str, parameters: Mapping[str, str]) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=name,
        version=version,
        parameters=[f"{key}: {value}" for key, value in parameters.items()] + [RESEARCH_STATEMENT],
        family=codes.DCM.ArtificialIntelligence,
    )
