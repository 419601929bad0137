"""Simulated cohorts: which patient goes to which scanner, cases one after the other, and what an oracle could reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from sklearn.metrics import roc_auc_score

from models.phantom.grade import biology_of, has_tumour, oracle_log_odds
from models.phantom.scanners import Scanner, load_scanners
from models.phantom.streams import stream
from models.phantom.study import SimulatedCase, simulate_case


def scanner_of(seed: int, scanners: Sequence[Scanner] | None = None) -> Scanner:
    """The scanner that patient `seed` is sent to: each of `scanners` (default: all) with the same probability."""
    choice = tuple(scanners or load_scanners())
    return choice[int(stream(seed, "referral").integers(len(choice)))]


def seeds_with_tumour(first: int) -> Iterator[int]:
    """Seeds from `first` on whose patients have a tumour, and so a label."""
    return (seed for seed in count(first) if has_tumour(seed))


def oracle_auc(seeds: Iterable[int]) -> float:
    """Area under the ROC curve of the oracle, which knows the drawn parameters: no model can do better on average.

    Patients without a tumour are left out.
    """
    biologies = [biology for seed in seeds if (biology := biology_of(seed)) is not None]
    labels = [biology.grade for biology in biologies]
    return float(roc_auc_score(labels, [oracle_log_odds(biology) for biology in biologies]))


def simulate_cohort(
    seeds: Iterable[int], scanners: Sequence[Scanner] | None = None, region: str | None = "tumour"
) -> Iterator[SimulatedCase]:
    """One case a seed, each on its `scanner_of`."""
    for seed in seeds:
        yield simulate_case(seed, scanner_of(seed, scanners), region)
