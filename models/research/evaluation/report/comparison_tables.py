"""Tables of one resolution against another, and of the models against the drawn parameters."""

from __future__ import annotations

from models.research.documents.blocks import Table
from models.research.evaluation.predictions import Resolution
from models.research.evaluation.report.numbers import number, one_line, p_value, signed, signed_interval
from models.research.evaluation.results import Comparison, Evaluation
from models.research.evaluation.study import PAIRS
from models.research.statistics.estimates import Estimate

MAIN_PAIR = PAIRS[0]


def super_against_normal(evaluation: Evaluation) -> Table:
    """The main question: super against normal resolution for every input."""
    rows = tuple(
        (
            row.input,
            row.cohort.value,
            number(row.reference_auc),
            number(row.auc),
            signed_interval(row.difference),
            p_value(row.p),
            _interval_alone(row.bootstrap),
            signed_interval(row.net_benefit),
            signed(row.categorical.nri.value),
            signed(row.category_free.nri.value),
            signed_interval(row.idi.idi),
            p_value(row.idi.p),
        )
        for row in by_input(evaluation)
        if (row.resolution, row.reference) == MAIN_PAIR
    )
    return Table(
        "Super-resolution against normal resolution",
        (
            *("input", "cohort", "AUC\nnormal", "AUC\nsuper", "difference\n(95 %, DeLong)", "p\nDeLong"),
            "\n(95 %, bootstrap)",
            *(f"net benefit at {evaluation.threshold:.2f}\n(95 %)", "NRI\ncategorical", "NRI\ncategory-free"),
            *("IDI\n(95 %)", "p\nIDI"),
        ),
        rows,
        labels=2,
        note="Differences are super minus normal. The parts of the NRI and their intervals stand in the next table.",
    )


def reclassification(evaluation: Evaluation) -> Table:
    """NRI in its parts, and its sum."""
    rows = tuple(
        (
            row.input,
            kind,
            row.cohort.value,
            signed_interval(nri.events),
            signed_interval(nri.others),
            signed_interval(nri.nri),
            p_value(nri.p),
        )
        for looks_at in evaluation.predictions.inputs
        for kind in ("categorical", "category-free")
        for row in evaluation.comparisons
        if row.input == looks_at and (row.resolution, row.reference) == MAIN_PAIR
        for nri in (row.categorical if kind == "categorical" else row.category_free,)
    )
    return Table(
        "Net reclassification in its parts, super against normal resolution",
        ("input", "NRI", "cohort", "events\n(95 %)", "non-events\n(95 %)", "sum\n(95 %)", "p"),
        rows,
        labels=3,
        note=(
            f"Categories: {_categories(evaluation)}. Events: share moved up minus share moved down; non-events: share "
            "moved down minus share moved up (bootstrap intervals). A sum hides a loss in one behind a gain in the "
            "other, and p-values of the NRI come out small too often."
        ),
    )


def controls(evaluation: Evaluation) -> Table:
    """Table of super-resolution against interpolation, and of interpolation against the acquired images."""
    rows = tuple(
        (
            f"{row.resolution} − {row.reference}",
            row.input,
            row.cohort.value,
            number(row.reference_auc),
            number(row.auc),
            signed_interval(row.difference),
            p_value(row.p),
            _interval_alone(row.bootstrap),
            signed_interval(row.net_benefit),
            signed_interval(row.idi.idi),
        )
        for pair in PAIRS[1:]
        for row in by_input(evaluation)
        if (row.resolution, row.reference) == pair
    )
    return Table(
        "Controls",
        (
            *("difference of", "input", "cohort", "AUC\nsecond", "AUC\nfirst", "difference\n(95 %, DeLong)"),
            *("p\nDeLong", "\n(95 %, bootstrap)", f"net benefit at {evaluation.threshold:.2f}\n(95 %)"),
            "IDI\n(95 %)",
        ),
        rows,
        labels=3,
        note="A gain that cubic interpolation to the same grid brings as well is none of super-resolution’s.",
    )


def oracle(evaluation: Evaluation) -> Table:
    """Every model beside the drawn parameters."""
    rows = tuple(
        (
            row.model.input,
            row.model.resolution.value,
            row.cohort.value,
            number(row.auc),
            number(row.oracle_auc),
            signed_interval(row.difference),
            p_value(row.p),
            _interval_alone(row.bootstrap),
        )
        for resolution in evaluation.predictions.resolutions
        for row in evaluation.oracle_gaps
        if (row.model.input, row.model.resolution) == (evaluation.main_input, resolution)
    )
    return Table(
        "The models beside the drawn tissue parameters",
        (
            *("input", "resolution", "cohort", "AUC\nmodel", "AUC\noracle", "difference\n(95 %, DeLong)", "p\nDeLong"),
            "\n(95 %, bootstrap)",
        ),
        rows,
        labels=3,
        note="Oracle: the probability of the label given the parameters it was drawn with; no image shows more. "
        "Every input stands in oracle.csv.",
    )


def by_input(evaluation: Evaluation) -> list[Comparison]:
    """The comparisons in the order of the inputs, then of the cohorts."""
    return sorted(evaluation.comparisons, key=lambda row: evaluation.predictions.inputs.index(row.input))


def verdict(rows: list[Comparison]) -> str:
    """The main question in one sentence, for comparisons of one cohort."""
    better = sum(row.difference.low > 0 for row in rows)
    worse = sum(row.difference.high < 0 for row in rows)
    neither = len(rows) - better - worse
    return (
        f"{rows[0].cohort.capitalize()} cohort, {_words(rows[0].resolution)} against {_words(rows[0].reference)}: AUC "
        f"better for {better} of {len(rows)} inputs, worse for {worse}, no difference shown for {neither}."
    )


def sentence(row: Comparison) -> str:
    """A comparison in words that its interval allows."""
    if row.difference.low > 0:
        found = f"{row.resolution} is better"
    elif row.difference.high < 0:
        found = f"{row.resolution} is worse"
    else:
        found = "no difference is shown"
    difference = one_line(signed_interval(row.difference))
    return (
        f"{row.input}, {row.cohort} cohort: AUC {number(row.auc)} at {_words(row.resolution)} and "
        f"{number(row.reference_auc)} at {_words(row.reference)}; difference {difference}, DeLong p {p_value(row.p)}: "
        f"{found}."
    )


def _interval_alone(estimate: Estimate) -> str:
    """A second interval of a value that stands there already."""
    return "\n" + signed_interval(estimate).partition("\n")[2]


def _categories(evaluation: Evaluation) -> str:
    if evaluation.options.categories:
        return f"cut at {', '.join(f'{limit:g}' for limit in evaluation.options.categories)}"
    return "below and above the cut-off of each model, which is that of the training cohort"


def _words(resolution: Resolution) -> str:
    return {
        Resolution.NORMAL: "normal resolution",
        Resolution.SUPER: "super-resolution",
        Resolution.CUBIC: "cubic interpolation",
        Resolution.NONE: "the acquired voxels",
    }[resolution]
