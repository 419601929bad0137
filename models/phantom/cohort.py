"""Simulated cohorts: which patient goes to which scanner, cases one after the other, and what an oracle could reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sklearn.metrics import roc_auc_score

from models.phantom.grade import biology_of, oracle_log_odds
from models.phantom.scanners import Scanner, load_scanners
from models.phantom.streams import stream
from models.phantom.study import SimulatedCase, simulate_case


def scanner_of(seed: int, scanners: Sequence[Scanner] | None = None) -> Scanner:
    """The scanner that patient `seed` is sent to: each of `scanners` (default: all) with the same probability."""
    choice = tuple(scanners or load_scanners())
    return choice[int(stream(seed, "referral").integers(len(choice)))]


def oracle_auc(seeds: Iterable[int]) -> float:
    """Area under the ROC curve of the oracle, which knows the drawn parameters: no model can do better on average."""
    biologies = [biology_of(seed) for seed in seeds]
    labels = [biology.grade for biology in biologies]
    return float(roc_auc_score(labels, [oracle_log_odds(biology) for biology in biologies]))


def simulate_cohort(
    seeds: Iterable[int], scanners: Sequence[Scanner] | None = None, region: str | None = "tumour"
) -> Iterator[SimulatedCase]:
    """One case a seed, each on its `scanner_of`."""
    for seed in seeds:
        yield simulate_case(seed, scanner_of(seed, scanners), region)
