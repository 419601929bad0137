"""Answers of a run to the items of CLEAR and TRIPOD+AI, as far as it knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from models.manifest import Manifest, digest
from models.prediction.records import Catalogue
from models.research.evaluation.predictions import CohortPart, TrainingProbabilities
from models.research.evaluation.report.cautions import SIMULATED, cautions
from models.research.evaluation.report.checklist import Answer
from models.research.evaluation.results import Evaluation

Bundle = tuple[Manifest, Catalogue]

_METRICS = (
    "AUC; calibration intercept, slope, curve, Brier score and calibration error; net benefit; sensitivity, "
    "specificity, PPV and NPV at a cut-off fixed on the training cohort; NRI and IDI. Definitions: section Methods."
)
_UNCERTAINTY = (
    "95 % intervals: DeLong for AUC, bootstrap for differences, curves and net benefit, Wilson for shares, normal "
    "theory for calibration, NRI and IDI."
)
_COMPARISON = "DeLong's test of correlated AUCs, with NRI and IDI; super-resolution beside its controls."


def clear_answers(evaluation: Evaluation, bundle: Bundle | None) -> dict[str, Answer]:
    """Answers by item of CLEAR."""
    about = evaluation.predictions.about
    answers = {
        "7": Answer("CLEAR and TRIPOD+AI, filled by the run as far as it can.", "the items left open"),
        "9": Answer(_sizes(evaluation), "how the size was arrived at"),
        "15": Answer(
            f"{_sizes(evaluation)} No case and no patient stands in two cohorts (checked).", "how cases were assigned"
        ),
        "29": Answer(
            "No case of the table lacks a label or a probability (checked).", "which cases were left out, why"
        ),
        "30": Answer(_sizes(evaluation), "how training handled it"),
        "38": Answer(_testing(evaluation), "whether the test cohort is of another centre"),
        "39": Answer(_METRICS, "why these"),
        "40": Answer(_UNCERTAINTY),
        "41": Answer(_COMPARISON),
        "47": Answer(
            "Discrimination, calibration and net benefit of every model and cohort: tables and figures of this report."
        ),
        "52": Answer(" ".join(cautions(evaluation)), "everything that the table does not show"),
        "56": Answer("Analysis: rectal-node evaluate, open source.", "the code of the training"),
    }
    if about.simulated is not None:
        source = SIMULATED if about.simulated else "Patients, says the table."
        answers["13"] = Answer(source, "where the data come from")
    if about.target:
        answers["18"] = Answer(_outcome(evaluation), "how and by whom it was determined")
    return answers | (_clear_of_bundle(*bundle) if bundle else {})


def tripod_answers(evaluation: Evaluation, bundle: Bundle | None) -> dict[str, Answer]:
    """Answers by item of TRIPOD+AI."""
    about = evaluation.predictions.about
    none = "None: the probabilities are evaluated as they stand in the table."
    answers = {
        "10": Answer(_sizes(evaluation), "how the size was arrived at, and whether it suffices"),
        "11": Answer(
            "No case of the table lacks a label or a probability (checked).", "which cases were left out, why"
        ),
        "12a": Answer(f"{_sizes(evaluation)} Cut-offs come from training cases alone.", "how cases were assigned"),
        "12d": Answer("By scanner, and by groups of scanners named beforehand: AUC with its interval in each."),
        "12e": Answer(f"{_METRICS} {_UNCERTAINTY}", "their rationale"),
        "12f": Answer(none),
        "12g": Answer(f"Read from {about.name}, SHA-256 {about.digest}.", "how the models made them"),
        "15": Answer(
            "Probability, and a class from the cut-off on: Youden's index on the training cohort.", "why a class"
        ),
        "16": Answer(_testing(evaluation), "setting, eligibility, outcome and predictors"),
        "18f": Answer("Analysis: rectal-node evaluate, open source.", "the code of the training"),
        "20a": Answer(_sizes(evaluation), "the flow up to this table"),
        "20b": Answer("Cases and positive cases by cohort and scanner: table Cases.", "everything clinical"),
        "20c": Answer("Outcome and scanners by cohort: table Cases.", "demographics and predictors"),
        "21": Answer(_sizes(evaluation)),
        "23a": Answer("Every model and cohort, with intervals, and by scanner.", "sociodemographic subgroups"),
        "23b": Answer("AUC by scanner: table and figure Subgroups."),
        "24": Answer(none),
        "26": Answer(" ".join(cautions(evaluation)), "everything that the table does not show"),
    }
    if about.simulated is not None:
        source = SIMULATED if about.simulated else "Patients, says the table."
        answers["5a"] = Answer(source, "where the data come from, and whom they represent")
    if about.target:
        answers["8a"] = Answer(_outcome(evaluation), "how and when it was assessed")
    if bundle:
        answers["22"] = Answer(_identity(bundle[0]), "where the files can be had")
        answers["12c"] = Answer(_algorithm(bundle[0]), "rationale and tuning")
    return answers


def _clear_of_bundle(manifest: Manifest, catalogue: Catalogue) -> dict[str, Answer]:
    answers = {
        "34": Answer(_algorithm(manifest), "its characteristics"),
        "43": Answer("Weights of the chosen features: figure Feature weights.", "what they mean"),
        "46": Answer(
            f"Features chosen: {', '.join(f'{card.name} {len(card.features)}' for card in catalogue.models)}.",
            "their reproducibility",
        ),
        "57": Answer(_identity(manifest), "where the files can be had"),
    }
    settings = manifest.settings.get("radiomics")
    if isinstance(settings, Mapping):
        spacing = settings.get("resampled_spacing_mm")
        width, count = settings.get("bin_width"), settings.get("bin_count")
        answers["22"] = Answer(
            f"Spacing {spacing} mm (x, y, z; 0 keeps the axis), {settings.get('interpolator')}.",
            "resampling of the mask",
        )
        answers["23"] = Answer(f"Fixed bin width {width}." if width else f"{count} bins.")
        answers["24"] = Answer(f"{'; '.join(_image_types(settings.get('image_types')))}.")
        answers["55"] = Answer("Settings of the feature extraction: in the manifest of the bundle.", "other scripts")
    return answers


def _image_types(types: object) -> Iterator[str]:
    for name, options in (types if isinstance(types, Mapping) else {}).items():
        yield f"{name} ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else str(name)


def _algorithm(manifest: Manifest) -> str:
    return f"{', '.join(f'{name}: {value}' for name, value in manifest.architecture.items())}."


def _identity(manifest: Manifest) -> str:
    return f"Bundle {manifest.name} {manifest.version}, SHA-256 {digest(manifest)}."


def _outcome(evaluation: Evaluation) -> str:
    about = evaluation.predictions.about
    return f"{about.target}; positive class: {about.positive_class or 'not named'}."


def _sizes(evaluation: Evaluation) -> str:
    parts = []
    for cohort in evaluation.predictions.cohorts_present():
        labels = evaluation.predictions.cohort(cohort).labels
        parts.append(f"{cohort} {labels.size} cases, {int(labels.sum())} positive")
    return f"{'; '.join(parts).capitalize()}."


def _testing(evaluation: Evaluation) -> str:
    predictions = evaluation.predictions
    known = set(predictions.cohort(CohortPart.TRAINING).scanners.tolist())
    parts = [f"Scanners of training: {', '.join(sorted(known))}."]
    for cohort in predictions.cohorts_present():
        if strange := sorted(set(predictions.cohort(cohort).scanners.tolist()) - known):
            parts.append(f"Only in {cohort}: {', '.join(strange)}.")
    if predictions.about.training_probabilities is not TrainingProbabilities.UNKNOWN:
        parts.append(f"Training probabilities: {predictions.about.training_probabilities}.")
    return " ".join(parts)
