"""Figures of a subset under true and under found masks, and whether they give the same conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.prediction.records import ModelCard
from models.research.evaluation.discrimination import AucInterval, DeLongTest, auc_interval, delong_test
from models.research.statistics.agreement import concordance_correlation, intraclass_correlations
from models.research.statistics.estimates import Estimate, Floats
from models.research.training.prediction.own_masks.subset import Masks, Subset

NO_DIFFERENCE = "no difference shown"
#: Of a family of comparisons, by Bonferroni: the models, or the inputs.
LEVEL = 0.05
#: Cases measured under both masks that an agreement needs.
LEAST_CASES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the subset gives the same conclusion under the node's own masks.

    Attributes:
        judged: None of the areas is missing.
        differing: models whose AUC under the node's masks is shown to differ from that under the true ones.
        flipped: inputs, and under which masks, whose super-resolution compares otherwise with normal resolution than
            under the true masks.
        reach: farthest end of the paired intervals of the models from 0; NaN where there is none.
    """

    judged: bool
    differing: tuple[str, ...]
    flipped: tuple[tuple[str, Masks], ...]
    reach: float

    @property
    def same(self) -> bool:
        """No model differs and no conclusion flips."""
        return self.judged and not self.differing and not self.flipped


def area(subset: Subset, masks: Masks, model: str, chosen: NDArray[np.bool_] | bool = True) -> AucInterval | None:
    """AUC of the `chosen` cases (cases,) with a prediction; None where there are fewer than two of a class."""
    scores = subset.probabilities[masks][model]
    return _area(subset, scores, np.isfinite(scores) & chosen)


def area_of_all(subset: Subset, masks: Masks, model: str) -> AucInterval | None:
    """AUC of all cases: those without a prediction have the share of the positive class as their probability."""
    scores = subset.probabilities[masks][model]
    filled = np.where(np.isfinite(scores), scores, subset.prevalence)
    return _area(subset, filled, np.ones_like(scores, dtype=np.bool_))


def without_prediction(subset: Subset, masks: Masks, model: str) -> int:
    """Cases that the model cannot judge."""
    return int((~np.isfinite(subset.probabilities[masks][model])).sum())


def difference(subset: Subset, model: str, first: Masks, second: Masks) -> DeLongTest | None:
    """AUC under `first` minus AUC under `second`, on the cases with both predictions."""
    one, other, known = _paired(subset, model, first, second)
    return delong_test(subset.labels[known], one, other) if _has_areas(subset, known) else None


def compared_cases(subset: Subset, label: str) -> NDArray[np.bool_]:
    """(cases,): whether an input has predictions at both resolutions under the true, the node's and each one's own
    masks."""
    compared = (Masks.TRUE, Masks.NODE, Masks.EACH)
    scores = [subset.probabilities[masks][card.name] for masks in compared for card in subset.inputs[label]]
    return np.array(np.isfinite(scores).all(axis=0))


def super_minus_normal(subset: Subset, label: str, masks: Masks) -> DeLongTest | None:
    """AUC of an input at super minus that at normal resolution; on the same `compared_cases` under all masks."""
    known = compared_cases(subset, label)
    normal, refined = (subset.probabilities[masks][card.name][known] for card in subset.inputs[label])
    return delong_test(subset.labels[known], refined, normal) if _has_areas(subset, known) else None


def concordance(subset: Subset, model: str, first: Masks, second: Masks) -> Estimate | None:
    """Lin's CCC of the probabilities; None with fewer than `LEAST_CASES`."""
    one, other, known = _paired(subset, model, first, second)
    return concordance_correlation(one, other) if known.sum() >= LEAST_CASES else None


def same_side(subset: Subset, card: ModelCard, first: Masks, second: Masks) -> tuple[int, int]:
    """Cases on the same side of the model's cut-off, of how many."""
    one, other, known = _paired(subset, card.name, first, second)
    return int(((one >= card.cutoff) == (other >= card.cutoff)).sum()), int(known.sum())


def median_icc(subset: Subset, card: ModelCard, first: Masks, second: Masks) -> float | None:
    """Median ICC(2,1) of the model's features over the cases that have them all; None with fewer than `LEAST_CASES`."""
    names = [feature.name for feature in card.features]
    pair = [subset.features[masks] for masks in (first, second)]
    values = np.array([[[case.get(name, np.nan) for name in names] for case in cases] for cases in pair])
    known = np.isfinite(values).all(axis=(0, 2))
    if known.sum() < LEAST_CASES:
        return None
    return float(np.median(intraclass_correlations(values[:, known].transpose(1, 0, 2))))


def verdict(subset: Subset) -> Verdict:
    """By the paired tests and by what each comparison of resolutions says."""
    tests = {card.name: difference(subset, card.name, Masks.NODE, Masks.TRUE) for card in subset.cards}
    flipped = tuple(_flipped(subset))
    known = {name: test for name, test in tests.items() if test}
    return Verdict(
        judged=len(known) == len(tests) and all(super_minus_normal(subset, it, Masks.TRUE) for it in subset.inputs),
        differing=tuple(name for name, test in known.items() if conclusion(test, len(tests)) != NO_DIFFERENCE),
        flipped=flipped,
        reach=max((max(abs(test.low), abs(test.high)) for test in known.values()), default=float("nan")),
    )


def conclusion(test: DeLongTest, comparisons: int) -> str:
    """The conclusion of one of so many comparisons: higher, lower, or `NO_DIFFERENCE`."""
    if test.p >= LEVEL / comparisons:
        return NO_DIFFERENCE
    return "higher" if test.difference > 0 else "lower"


def _flipped(subset: Subset) -> Iterator[tuple[str, Masks]]:
    for label in subset.inputs:
        true = super_minus_normal(subset, label, Masks.TRUE)
        for masks in (Masks.NODE, Masks.EACH):
            test = super_minus_normal(subset, label, masks)
            if true and test and conclusion(true, len(subset.inputs)) != conclusion(test, len(subset.inputs)):
                yield label, masks


def _paired(subset: Subset, model: str, first: Masks, second: Masks) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Probabilities of the cases that have both, and which cases these are."""
    one, other = (subset.probabilities[masks][model] for masks in (first, second))
    known = np.isfinite(one) & np.isfinite(other)
    return one[known], other[known], known


def _area(subset: Subset, scores: Floats, known: NDArray[np.bool_]) -> AucInterval | None:
    return auc_interval(subset.labels[known], scores[known]) if _has_areas(subset, known) else None


def _has_areas(subset: Subset, known: NDArray[np.bool_]) -> bool:
    """DeLong's variance needs two cases of each class."""
    return bool(np.bincount(subset.labels[known], minlength=2).min() >= 2)
