"""Cautions that a reader must know before believing a figure, from the table itself."""

from __future__ import annotations

from collections.abc import Iterator

from models.research.evaluation.predictions import CohortPart, Predictions, TrainingProbabilities
from models.research.evaluation.results import Evaluation

SIMULATED = (
    "Simulated data. The figures show how the methods behave in a simulation; they say nothing about patients and are "
    "not for diagnosis."
)
#: Collins, Ogundimu & Altman, Statistics in Medicine 2016;35:214-226.
ENOUGH_A_CLASS = 100
_TRAINING = {
    TrainingProbabilities.OUT_OF_FOLD: (
        "Training probabilities are out of fold: each comes from a model that has not seen the case. The cut-off is "
        "still fixed on them."
    ),
    TrainingProbabilities.RESUBSTITUTION: (
        "Training probabilities come from models that have seen the cases: every figure of the training cohort is a "
        "resubstitution figure, and too good."
    ),
    TrainingProbabilities.UNKNOWN: (
        "The table does not say whether the models had seen the training cases. Read every figure of the training "
        "cohort as a resubstitution figure, which is too good."
    ),
}


def cautions(evaluation: Evaluation) -> tuple[str, ...]:
    """Short statements, the gravest first."""
    return tuple(_cautions(evaluation))


def _cautions(evaluation: Evaluation) -> Iterator[str]:
    predictions = evaluation.predictions
    if predictions.about.simulated is None:
        yield "The table does not say whether its data are simulated or of patients."
    yield _TRAINING[predictions.about.training_probabilities]
    present = list(predictions.cohorts_present())
    if present == [CohortPart.TRAINING]:
        yield "There is no validation or test cohort: nothing here says how the models do on new cases."
    for cohort in present:
        labels = predictions.cohort(cohort).labels
        fewest = min(int(labels.sum()), int(labels.size - labels.sum()))
        if cohort is not CohortPart.TRAINING and fewest < ENOUGH_A_CLASS:
            yield (
                f"{cohort.capitalize()} cohort: {fewest} cases in the smaller class; calibration of a new cohort wants "
                f"about {ENOUGH_A_CLASS} of each."
            )
    yield from _strange_scanners(predictions)
    patients = len(set(predictions.patients.tolist()))
    if patients < predictions.cases.size:
        yield (
            f"{predictions.cases.size} cases are of {patients} patients; the intervals take cases as independent and "
            "are too narrow."
        )
    if evaluation.comparisons:
        yield f"{len(evaluation.comparisons)} comparisons are made; p-values are not adjusted for their number."


def _strange_scanners(predictions: Predictions) -> Iterator[str]:
    known = set(predictions.cohort(CohortPart.TRAINING).scanners.tolist())
    for cohort in predictions.cohorts_present():
        cases = predictions.cohort(cohort)
        if strange := sorted(set(cases.scanners.tolist()) - known):
            count = sum(scanner in strange for scanner in cases.scanners.tolist())
            yield (
                f"{cohort.capitalize()} cohort: {count} of {cases.labels.size} cases are of scanners that no training "
                f"case is of: {', '.join(strange)}."
            )
