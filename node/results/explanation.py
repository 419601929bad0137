"""A prediction in words: what was predicted, by which model, and which features moved it."""

from __future__ import annotations

from collections.abc import Iterator

from models.prediction.records import Contribution, ModelPrediction, Prediction
from models.radiomics.words import in_words

#: So many features are named as the reason of an answer.
SHOWN = 4
_UNITS = {"1": "", "mm2": " mm²", "mm3": " mm³"}


def describe_prediction(prediction: Prediction) -> str:
    """A sentence on the prediction: of what, from what, and where its cut-off lies."""
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


def substitution(prediction: Prediction) -> str:
    """Why another model than the bundle's first choice answers; empty where none had to."""
    if prediction.unanswered is None:
        return ""
    lacking = ", ".join(prediction.unanswered.lacking)
    return (
        f"Predicted without {lacking}: {prediction.unanswered.name} needs features of {lacking} that could not be "
        f"measured; {prediction.main.name} is the best model for what is there."
    )


def other_answers(prediction: Prediction) -> str:
    """The probabilities of the models beside the main one; empty where there are none."""
    if not prediction.others:
        return ""
    return f"Other models: {'; '.join(_brief(other) for other in prediction.others)}."


def reasons(model: ModelPrediction) -> tuple[Contribution, ...]:
    """The features to name: those that moved the answer most, and all whose values the training cohort did not hold."""
    return (*model.contributions[:SHOWN], *(it for it in model.contributions[SHOWN:] if it.outside))


def explanation(model: ModelPrediction) -> Iterator[str]:
    """One line a feature that is named, the strongest first, then what they add up to."""
    named = reasons(model)
    for feature in named:
        cohort = f"{'OUTSIDE the ' if feature.outside else ''}training cohort {training_range(feature)}"
        yield (
            f"{direction(feature).capitalize()} the probability ({feature.log_odds:+.3f}): {title(feature)} "
            f"{measured(feature)} ({cohort}) [{technical_name(feature)}]."
        )
    rest = sum(it.log_odds for it in model.contributions) - sum(it.log_odds for it in named)
    total = model.base + sum(it.log_odds for it in model.contributions)
    yield (
        f"These figures are exact Shapley values of the trees in log odds, scaled by the model's calibration: base "
        f"{model.base:+.3f}, all other features {rest:+.3f}, together {total:+.3f}, the log odds of the probability. "
        "They explain the model, not the disease."
    )


def direction(feature: Contribution) -> str:
    """Which way a feature moves the probability of the positive class."""
    if feature.log_odds == 0:
        return "leaves"
    return "raises" if feature.log_odds > 0 else "lowers"


def title(feature: Contribution) -> str:
    """Sequence and feature in plain words."""
    words = in_words(feature.name)
    return f"{words.sequence} {words.words}{f', {words.filter}' if words.filter else ''}"


def technical_name(feature: Contribution) -> str:
    """Name and code of IBSI where it has them, else the name of pyradiomics."""
    words = in_words(feature.name)
    if not words.ibsi:
        return f"pyradiomics {words.name}"
    code = f" ({words.code})" if words.code else ""
    return f"IBSI {words.ibsi}{code}"


def measured(feature: Contribution) -> str:
    """Value with its unit."""
    return _figure(feature.value) + _unit(feature)


def training_range(feature: Contribution) -> str:
    """Least to greatest value in the training cohort, with its unit."""
    return f"{_figure(feature.low)} to {_figure(feature.high)}{_unit(feature)}"


def _brief(model: ModelPrediction) -> str:
    outside = len(model.out_of_range)
    flag = f", {outside} feature(s) outside the training range" if outside else ""
    return f"{model.name} {model.probability:.2f} (cut-off {model.cutoff:.2f}{flag})"


def _unit(feature: Contribution) -> str:
    unit = in_words(feature.name).unit
    return _UNITS.get(unit, f" {unit}")


def _figure(value: float) -> str:
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"
