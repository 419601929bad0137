"""The same held-out patients under true and under found masks, and what the models of a bundle say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.prediction.predictor import Predictor, probabilities
from models.prediction.records import ModelCard
from models.research.statistics.estimates import Floats
from models.research.training.prediction.cases import MeasuredCase
from models.research.training.prediction.own_masks.cases import OwnMaskCase


class Masks(StrEnum):
    """Masks that the features of a case were measured under."""

    TRUE = "true"
    """The true masks and the images that the models were trained on, which hold the surroundings of the tumour."""
    SAME_IMAGES = "true, same images"
    """The true masks on the images that the others were found on: whole fields of view, other noise."""
    NODE = "the node's"
    """One mask a sequence, found on the super-resolved images."""
    EACH = "each resolution's own"


@dataclass(frozen=True, slots=True)
class Subset:
    """The same patients under each of `Masks`.

    Attributes:
        cards: of the models.
        labels, scanners: (cases,).
        features: a mapping a case; a feature that was not measured is missing.
        probabilities: (cases,) by masks and model's name; NaN where a feature is missing.
        prevalence: share of the positive class among the cases that the models were fitted on.
    """

    cards: tuple[ModelCard, ...]
    labels: NDArray[np.int64]
    scanners: NDArray[np.str_]
    features: Mapping[Masks, SequenceOf[Mapping[str, float]]]
    probabilities: Mapping[Masks, Mapping[str, Floats]]
    prevalence: float

    @property
    def inputs(self) -> dict[str, tuple[ModelCard, ModelCard]]:
        """The models at normal and at super resolution of every input that has both."""
        names = {card.name: card for card in self.cards}
        labels = dict.fromkeys(card.name.removesuffix(f" {card.resolution}") for card in self.cards)
        pairs = {label: (names.get(f"{label} normal"), names.get(f"{label} super")) for label in labels}
        return {label: (normal, refined) for label, (normal, refined) in pairs.items() if normal and refined}


def subset(
    measured: Iterable[MeasuredCase], own: Iterable[OwnMaskCase], predictor: Predictor, cohort: SequenceOf[int]
) -> Subset:
    """The predictions of a bundle's models for the patients of `own`, whose true masks are among `measured`.

    `cohort` holds the seeds of the patients that the bundle was fitted on, in their order, and of any after them.

    Raises `ModelError` when there is no case, when one is not among the measured, is another there or is one that the
    bundle was fitted on, or when its features are not those that the models take.
    """
    cases = sorted(own, key=lambda case: case.seed)
    if not cases:
        raise ModelError("no case was measured under the node's own masks")
    held_out = _held_out(measured, predictor, cohort)
    true = [_true(case, held_out) for case in cases]
    _require_same_bundles(cases, predictor)
    features: dict[Masks, list[Mapping[str, float]]] = {
        Masks.TRUE: [case.features for case in true],
        Masks.SAME_IMAGES: [case.features_true for case in cases],
        Masks.NODE: [case.features for case in cases],
        Masks.EACH: [case.features_each for case in cases],
    }
    metrics = predictor.manifest.metrics
    return Subset(
        cards=predictor.catalogue.models,
        labels=np.array([case.label for case in cases]),
        scanners=np.array([case.scanner for case in cases]),
        features=features,
        probabilities={masks: _probabilities(each, predictor) for masks, each in features.items()},
        prevalence=metrics["positive_cases"] / metrics["cases"],
    )


def fitted_cases(predictor: Predictor) -> int:
    """How many patients, the first of their cohort, a bundle was fitted on, those left out as incomplete among them.

    Raises `ModelError` when its manifest does not say.
    """
    metrics = predictor.manifest.metrics
    if "cases" not in metrics or "positive_cases" not in metrics:
        raise ModelError(f"{predictor.manifest.name}: its manifest does not say how many cases it was fitted on")
    return int(metrics["cases"] + metrics.get("cases_left_out_as_incomplete", 0))


def _held_out(
    measured: Iterable[MeasuredCase], predictor: Predictor, cohort: SequenceOf[int]
) -> dict[int, MeasuredCase]:
    """The measured cases that the bundle was not fitted on, by seed: a training holds out the last."""
    fitted = frozenset(cohort[: fitted_cases(predictor)])
    return {case.seed: case for case in measured if case.seed not in fitted}


def _true(case: OwnMaskCase, held_out: Mapping[int, MeasuredCase]) -> MeasuredCase:
    found = held_out.get(case.seed)
    if found is None:
        raise ModelError(
            f"case {case.seed} is not among the {len(held_out)} held-out cases that were measured under true masks"
        )
    if (found.scanner, found.label) != (case.scanner, case.label):
        raise ModelError(f"case {case.seed}: scanner or label differ between true and own masks; measure both again")
    return found


def _require_same_bundles(cases: SequenceOf[OwnMaskCase], predictor: Predictor) -> None:
    """All cases from the same bundles, super-resolution and features as the models were trained on."""
    made_with = cases[0].made_with
    if any(case.made_with != made_with for case in cases):
        raise ModelError("the cases were measured with different bundles; measure them again with the same")
    trained_on = predictor.manifest.settings.get("super_resolution", made_with["super_resolution"])
    if trained_on["digest"] != made_with["super_resolution"]["digest"]:
        raise ModelError(
            f"the models were trained on {trained_on['name']} {trained_on['version']}, the cases were super-resolved "
            "by other weights; measure them again"
        )
    if predictor.radiomics.digest != made_with["radiomics"]["digest"]:
        raise ModelError("the models take features of other radiomics settings than the cases; measure them again")


def _probabilities(features: Iterable[Mapping[str, float]], predictor: Predictor) -> dict[str, Floats]:
    answers = [probabilities(each, predictor) for each in features]
    return {
        card.name: np.array([answer.get(card.name, np.nan) for answer in answers])
        for card in predictor.catalogue.models
    }
