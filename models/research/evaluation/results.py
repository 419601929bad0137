"""Findings of an evaluation, one row each, as they stand in the CSV files and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.research.evaluation.calibration import Calibration, Group
from models.research.evaluation.operating_point import OperatingPoint
from models.research.evaluation.predictions import CohortPart, Model, Predictions, Resolution
from models.research.evaluation.reclassification import IntegratedDiscrimination, NetReclassification
from models.research.statistics.estimates import Estimate, Floats


@dataclass(frozen=True, slots=True)
class Options:
    """How an evaluation is done.

    Attributes:
        draws, seed: of the bootstrap.
        threshold: probability from which one would act, for net benefit as a figure; None: the training prevalence.
        categories: limits of the risk categories of the categorical NRI; empty: below and above each model's cut-off.
        groups: scanners of a subgroup by its name; every scanner is a subgroup of its own besides.
    """

    draws: int
    seed: int
    threshold: float | None
    categories: tuple[float, ...]
    groups: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Performance:
    """One model on one cohort; `net_benefit` at the threshold."""

    cohort: CohortPart
    model: Model
    cases: int
    events: int
    auc: Estimate
    net_benefit: Estimate
    calibration: Calibration
    point: OperatingPoint


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same input at two resolutions on one cohort; differences are `resolution` minus `reference`.

    Attributes:
        difference: of the AUCs, with DeLong's interval; z, p: DeLong's test.
        bootstrap: the same difference with its bootstrap interval.
        net_benefit: difference at the threshold.
    """

    cohort: CohortPart
    input: str
    resolution: Resolution
    reference: Resolution
    auc: float
    reference_auc: float
    difference: Estimate
    z: float
    p: float
    bootstrap: Estimate
    net_benefit: Estimate
    category_free: NetReclassification
    categorical: NetReclassification
    idi: IntegratedDiscrimination


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One model on the cases of one scanner or group of scanners; no AUC where a class has too few cases.

    `trained_on`: whether training cases come from it.
    """

    cohort: CohortPart
    group: str
    trained_on: bool
    model: Model
    cases: int
    events: int
    auc: Estimate | None


@dataclass(frozen=True, slots=True)
class OracleGap:
    """A model beside the drawn parameters of simulated cases; `difference` is oracle minus model, DeLong's interval."""

    cohort: CohortPart
    model: Model
    auc: float
    oracle_auc: float
    difference: Estimate
    p: float
    bootstrap: Estimate


@dataclass(frozen=True, slots=True)
class Band:
    """A curve with its 95 % bootstrap band, (points,) each."""

    x: Floats
    y: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Curves:
    """Of one model on one cohort.

    Attributes:
        false_positive, sensitivity, cutoffs: (points,) of the ROC curve.
        calibration: observed share of events over predicted probability; `groups` are its points.
        decision: net benefit over the threshold.
    """

    cohort: CohortPart
    model: Model
    false_positive: Floats
    sensitivity: Floats
    cutoffs: Floats
    calibration: Band
    groups: tuple[Group, ...]
    decision: Band


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found; `cutoffs` are those of the training cohort, `threshold` the one used."""

    predictions: Predictions
    options: Options
    threshold: float
    cutoffs: Mapping[Model, float]
    performances: tuple[Performance, ...]
    comparisons: tuple[Comparison, ...]
    subgroups: tuple[Subgroup, ...]
    oracle_gaps: tuple[OracleGap, ...]
    curves: tuple[Curves, ...]

    def performance(self, cohort: CohortPart, model: Model) -> Performance:
        """The row of a model on a cohort."""
        return next(row for row in self.performances if (row.cohort, row.model) == (cohort, model))

    def curves_of(self, cohort: CohortPart, model: Model) -> Curves:
        """The curves of a model on a cohort."""
        return next(row for row in self.curves if (row.cohort, row.model) == (cohort, model))

    @property
    def main_input(self) -> str:
        """All sequences together where there is such a model, else the last input of the table."""
        inputs = self.predictions.inputs
        return "All-sequence" if "All-sequence" in inputs else inputs[-1]
