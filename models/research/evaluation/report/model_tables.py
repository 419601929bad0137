"""Tables of what each model does: cases, performance, cut-offs, subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from models.research.documents.blocks import Table
from models.research.evaluation.feature_stability import FeatureStability
from models.research.evaluation.predictions import CohortPart, Model
from models.research.evaluation.report.numbers import NOTHING, interval, number, percent, signed_interval
from models.research.evaluation.results import Evaluation, Performance


def cases(evaluation: Evaluation) -> Table:
    """Cases and events by cohort and scanner."""
    predictions = evaluation.predictions
    cohorts = list(predictions.cohorts_present())
    rows = []
    for scanner in (None, *sorted(set(predictions.scanners.tolist()))):
        cells = []
        for cohort in cohorts:
            found = predictions.cohort(cohort)
            labels = found.labels if scanner is None else found.labels[found.scanners == scanner]
            cells += [str(labels.size), percent(int(labels.sum()), labels.size)]
        rows.append((scanner or "all", *cells))
    header = [f"{cohort}\n{what}" for cohort in cohorts for what in ("cases", "positive")]
    return Table("Cases", ("scanner", *header), tuple(rows))


def performance(evaluation: Evaluation) -> Table:
    """Discrimination and calibration of every model."""
    rows = tuple(
        (
            row.model.input,
            row.model.resolution.value,
            row.cohort.value,
            interval(row.auc),
            interval(row.calibration.brier),
            signed_interval(row.calibration.intercept, 2),
            interval(row.calibration.slope, 2) if row.calibration.slope else NOTHING,
            number(row.calibration.calibration_error),
            signed_interval(row.net_benefit),
        )
        for row in _by_model(evaluation)
    )
    return Table(
        "Discrimination, calibration and net benefit",
        (
            *("input", "resolution", "cohort", "AUC\n(95 %)", "Brier score\n(95 %)", "calibration\nintercept (95 %)"),
            *("calibration\nslope (95 %)", "calibration\nerror", f"net benefit at {evaluation.threshold:.2f}\n(95 %)"),
        ),
        rows,
        labels=3,
        note=(
            "Intercept: 0 is right, above 0 the risk is predicted too low. Slope: 1 is right, below 1 the predictions "
            "are too extreme. – : cannot be estimated."
        ),
    )


def operating_points(evaluation: Evaluation) -> Table:
    """Table of the operating point that the cut-off of the training cohort gives on every cohort."""
    rows = []
    for row in _by_model(evaluation):
        point = row.point
        shares = (
            point.sensitivity,
            point.specificity,
            point.positive_predictive_value,
            point.negative_predictive_value,
        )
        rows.append(
            (
                row.model.input,
                row.model.resolution.value,
                row.cohort.value,
                number(point.cutoff),
                *(interval(each, 2) if each else NOTHING for each in shares),
                *map(str, (point.true_positive, point.false_positive, point.true_negative, point.false_negative)),
            )
        )
    return Table(
        "At the cut-off fixed on the training cohort",
        (
            *("input", "resolution", "cohort", "cut-off", "sensitivity\n(95 %)", "specificity\n(95 %)"),
            *("PPV\n(95 %)", "NPV\n(95 %)", "TP", "FP", "TN", "FN"),
        ),
        tuple(rows),
        labels=3,
        note="Cut-off: Youden’s index on the training cohort. On that cohort itself the figures are optimistic.",
    )


def subgroups(evaluation: Evaluation) -> Table:
    """AUC by scanner and named group; a row a group and cohort, a column a resolution of the main input."""
    looks_at = evaluation.main_input
    resolutions = evaluation.predictions.resolutions
    named = evaluation.options.groups
    chosen = [row for row in evaluation.subgroups if row.model.input == looks_at]
    keys = dict.fromkeys((row.group, row.cohort, row.trained_on, row.cases, row.events) for row in chosen)
    order = sorted(keys, key=lambda key: (key[0] in named, key[0], tuple(CohortPart).index(key[1])))
    rows = []
    for group, cohort, trained_on, count, events in order:
        found = {r.model.resolution: r.auc for r in chosen if (r.group, r.cohort) == (group, cohort)}
        areas = (found.get(resolution) for resolution in resolutions)
        name = group if trained_on else f"{group} *"
        rows.append(
            (name, cohort.value, str(count), percent(events, count), *(interval(a) if a else NOTHING for a in areas))
        )
    return Table(
        f"Subgroups by scanner, {looks_at}",
        ("subgroup", "cohort", "cases", "positive", *(f"AUC {each}\n(95 %)" for each in resolutions)),
        tuple(rows),
        labels=2,
        note=(
            "– : fewer than five cases of a class. * : no training case is of this scanner. Every input stands in "
            "subgroups.csv."
        ),
    )


def feature_stability(stability: Sequence[FeatureStability]) -> Table:
    """Agreement with normal resolution by sequence and resolution."""
    rows = []
    for sequence, resolution in dict.fromkeys((row.sequence, row.resolution) for row in stability):
        found = [row for row in stability if (row.sequence, row.resolution) == (sequence, resolution)]
        icc = [row.icc.value for row in found]
        counts = (percent(sum(value >= limit for value in icc), len(icc)) for limit in (0.75, 0.9))
        medians = (number(median(icc)), number(median(row.ccc.value for row in found)))
        rows.append((sequence, resolution.value, str(len(found)), *medians, *counts))
    return Table(
        "Agreement of features with themselves at normal resolution",
        (
            "sequence",
            "resolution",
            "features",
            "ICC\nmedian",
            "CCC\nmedian",
            "ICC ≥ 0.75\nfeatures",
            "ICC ≥ 0.90\nfeatures",
        ),
        tuple(rows),
        labels=2,
        note="Every feature with its intervals stands in feature-stability.csv.",
    )


def _by_model(evaluation: Evaluation) -> list[Performance]:
    """The rows by input, then by resolution, then by cohort."""
    inputs, resolutions = evaluation.predictions.inputs, evaluation.predictions.resolutions
    places = [Model(looks_at, resolution) for looks_at in inputs for resolution in resolutions]
    return sorted(evaluation.performances, key=lambda row: places.index(row.model))
