"""From predictions to every figure of the evaluation; cut-offs and threshold come from the training cohort alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from models.research.errors import CohortError
from models.research.evaluation.calibration import calibration, calibration_groups, smooth_curve
from models.research.evaluation.decision_curve import net_benefit
from models.research.evaluation.discrimination import auc_difference_samples, auc_interval, delong_test
from models.research.evaluation.operating_point import at_cutoff, youden
from models.research.evaluation.predictions import CohortPart, Model, Predictions, Resolution
from models.research.evaluation.reclassification import (
    category_movement,
    integrated_discrimination,
    movement,
    net_reclassification,
)
from models.research.evaluation.results import (
    Band,
    Comparison,
    Curves,
    Evaluation,
    Options,
    OracleGap,
    Performance,
    Subgroup,
)
from models.research.evaluation.table_consistency import LEAST_A_CLASS
from models.research.statistics.estimates import Estimate, Floats, percentile, resample

#: What is compared with what: super-resolution first, then its controls.
PAIRS = (
    (Resolution.SUPER, Resolution.NORMAL),
    (Resolution.SUPER, Resolution.CUBIC),
    (Resolution.SUPER, Resolution.NONE),
    (Resolution.CUBIC, Resolution.NORMAL),
)
THRESHOLDS = np.round(np.arange(1, 100) / 100, 2)
CURVE_POINTS = 60


@dataclass(frozen=True, slots=True)
class _Cohort:
    """The cases of one cohort and its bootstrap: draws within the classes, and of all cases alike."""

    name: CohortPart
    cases: Predictions
    by_class: Floats
    of_all: Floats


def evaluate(predictions: Predictions, options: Options) -> Evaluation:
    """Evaluate every model on every cohort. The same predictions and options give the same figures.

    Raises:
        CohortError: a subgroup names a scanner that is not in the table.
    """
    scanners = set(predictions.scanners.tolist())
    if unknown := [
        f"subgroup {group}: {name} is no scanner of the table; known are {', '.join(sorted(scanners))}"
        for group, names in options.groups.items()
        for name in names
        if name not in scanners
    ]:
        raise CohortError(tuple(unknown))
    training = predictions.cohort(CohortPart.TRAINING)
    cutoffs = {model: youden(training.labels, training.of(model)) for model in predictions.models}
    threshold = options.threshold or float(training.labels.mean())
    cohorts = [_drawn(predictions, cohort, options) for cohort in predictions.cohorts_present()]
    return Evaluation(
        predictions=predictions,
        options=options,
        threshold=threshold,
        cutoffs=cutoffs,
        performances=tuple(row for each in cohorts for row in _performances(each, cutoffs, threshold)),
        comparisons=tuple(row for each in cohorts for row in _comparisons(each, cutoffs, threshold, options)),
        subgroups=tuple(row for each in cohorts for row in _subgroups(each, training, options.groups)),
        oracle_gaps=tuple(row for each in cohorts for row in _oracle_gaps(each)),
        curves=tuple(_curves(each, model) for each in cohorts for model in predictions.models),
    )


def _drawn(predictions: Predictions, cohort: CohortPart, options: Options) -> _Cohort:
    cases = predictions.cohort(cohort)
    seed = options.seed + tuple(CohortPart).index(cohort)
    return _Cohort(
        cohort,
        cases,
        resample(cases.labels, options.draws, seed),
        resample(np.zeros_like(cases.labels), options.draws, seed),
    )


def _performances(cohort: _Cohort, cutoffs: Mapping[Model, float], threshold: float) -> Iterator[Performance]:
    labels = cohort.cases.labels
    for model in cohort.cases.models:
        probabilities = cohort.cases.of(model)
        yield Performance(
            cohort=cohort.name,
            model=model,
            cases=labels.size,
            events=int(labels.sum()),
            auc=_auc(cohort.cases, model),
            net_benefit=_benefit(cohort, [probabilities], threshold),
            calibration=calibration(labels, probabilities, cohort.of_all),
            point=at_cutoff(labels, probabilities, cutoffs[model]),
        )


def _comparisons(
    cohort: _Cohort, cutoffs: Mapping[Model, float], threshold: float, options: Options
) -> Iterator[Comparison]:
    labels, models = cohort.cases.labels, cohort.cases.models
    for looks_at in cohort.cases.inputs:
        for resolution, reference in PAIRS:
            first, second = Model(looks_at, resolution), Model(looks_at, reference)
            if first not in models or second not in models:
                continue
            new, old = cohort.cases.of(first), cohort.cases.of(second)
            test = delong_test(labels, new, old)
            limits = [options.categories or (cutoffs[model],) for model in (second, first)]
            yield Comparison(
                cohort=cohort.name,
                input=looks_at,
                resolution=resolution,
                reference=reference,
                auc=test.first_auc,
                reference_auc=test.second_auc,
                difference=Estimate(test.difference, test.low, test.high),
                z=test.z,
                p=test.p,
                bootstrap=percentile(test.difference, auc_difference_samples(labels, new, old, cohort.by_class)),
                net_benefit=_benefit(cohort, [new, old], threshold),
                category_free=net_reclassification(labels, movement(old, new), cohort.by_class),
                categorical=net_reclassification(labels, category_movement(old, new, *limits), cohort.by_class),
                idi=integrated_discrimination(labels, old, new),
            )


def _subgroups(cohort: _Cohort, training: Predictions, named: Mapping[str, tuple[str, ...]]) -> Iterator[Subgroup]:
    every = {scanner: (scanner,) for scanner in sorted(set(cohort.cases.scanners.tolist()))}
    for group, scanners in {**every, **named}.items():
        cases = cohort.cases.where(np.isin(cohort.cases.scanners, scanners))
        events = int(cases.labels.sum())
        for model in cases.models:
            yield Subgroup(
                cohort=cohort.name,
                group=group,
                trained_on=bool(np.isin(training.scanners, scanners).any()),
                model=model,
                cases=cases.labels.size,
                events=events,
                auc=_auc(cases, model) if min(events, cases.labels.size - events) >= LEAST_A_CLASS else None,
            )


def _oracle_gaps(cohort: _Cohort) -> Iterator[OracleGap]:
    labels, oracle = cohort.cases.labels, cohort.cases.oracle
    if oracle is None:
        return
    for model in cohort.cases.models:
        found = cohort.cases.of(model)
        test = delong_test(labels, oracle, found)
        yield OracleGap(
            cohort=cohort.name,
            model=model,
            auc=test.second_auc,
            oracle_auc=test.first_auc,
            difference=Estimate(test.difference, test.low, test.high),
            p=test.p,
            bootstrap=percentile(test.difference, auc_difference_samples(labels, oracle, found, cohort.by_class)),
        )


def _curves(cohort: _Cohort, model: Model) -> Curves:
    labels, probabilities = cohort.cases.labels, cohort.cases.of(model)
    false_positive, sensitivity, cutoffs = roc_curve(labels, probabilities, drop_intermediate=False)
    at = np.linspace(probabilities.min(), probabilities.max(), CURVE_POINTS)
    observed, samples = smooth_curve(labels, probabilities, at, cohort.of_all)
    benefit = net_benefit(labels, probabilities, THRESHOLDS)
    return Curves(
        cohort=cohort.name,
        model=model,
        false_positive=false_positive,
        sensitivity=sensitivity,
        cutoffs=cutoffs,
        calibration=_band(at, observed, samples),
        groups=tuple(calibration_groups(labels, probabilities)),
        decision=_band(THRESHOLDS, benefit, net_benefit(labels, probabilities, THRESHOLDS, cohort.of_all)),
    )


def _band(x: Floats, y: Floats, samples: Floats) -> Band:
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    return Band(x, y, low, high)


def _auc(cases: Predictions, model: Model) -> Estimate:
    area = auc_interval(cases.labels, cases.of(model))
    return Estimate(area.auc, area.low, area.high)


def _benefit(cohort: _Cohort, probabilities: list[Floats], threshold: float) -> Estimate:
    """Net benefit at one threshold; of two models first minus second, seen on the same draws."""
    labels, at = cohort.cases.labels, [threshold]
    values = [float(net_benefit(labels, each, at)[0]) for each in probabilities]
    samples = [net_benefit(labels, each, at, cohort.of_all)[:, 0] for each in probabilities]
    if len(values) == 1:
        return percentile(values[0], samples[0])
    return percentile(values[0] - values[1], samples[0] - samples[1])
