"""Simulated cohorts: whose seeds train, validate and test; which patient goes to which scanner; the oracle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from sklearn.metrics import roc_auc_score

from models.research.phantom.grade import biology_of, has_tumour, oracle_log_odds
from models.research.phantom.scanners import Scanner, find_scanner, load_scanners
from models.research.phantom.streams import stream
from models.research.phantom.study import SimulatedCase, simulate_case

HELD_OUT_SCANNERS = ("uMR 570", "Skyra")
"""Models that no network or predictor is trained or validated on."""
TRAINED_SCANNERS = tuple(s.model for s in load_scanners() if s.model not in HELD_OUT_SCANNERS)


@dataclass(frozen=True, slots=True)
class SimulatedCohort:
    """Patients by their seeds, and the scanner models that examine them. Patients without a tumour are among them."""

    name: str
    seeds: range
    models: tuple[str, ...]

    @property
    def scanners(self) -> tuple[Scanner, ...]:
        """The scanners of `models`."""
        return tuple(find_scanner(model) for model in self.models)

    def patients(self) -> Iterator[tuple[int, Scanner]]:
        """Seeds and scanners, the scanners in turn."""
        scanners = self.scanners
        for number, seed in enumerate(self.seeds):
            yield seed, scanners[number % len(scanners)]


# Fixed before any training on this phantom; seeds of one cohort are never used by another.
TRAINING = SimulatedCohort("training", range(100_000, 101_000), TRAINED_SCANNERS)
VALIDATION = SimulatedCohort("validation", range(200_000, 200_200), TRAINED_SCANNERS)
TEST_TRAINED_SCANNERS = SimulatedCohort("test, trained scanners", range(900_000, 900_200), TRAINED_SCANNERS)
TEST = SimulatedCohort("test", range(910_000, 910_200), HELD_OUT_SCANNERS)
COHORTS = (TRAINING, VALIDATION, TEST_TRAINED_SCANNERS, TEST)
# Of tumours with the looks of `phantom.looks`: their seeds lie beyond all others.
WIDE_TRAINING = SimulatedCohort("wide training", range(2_100_000, 2_101_000), TRAINED_SCANNERS)
WIDE_VALIDATION = SimulatedCohort("wide validation", range(2_200_000, 2_200_200), TRAINED_SCANNERS)
WIDE_TEST = SimulatedCohort("wide test", range(2_910_000, 2_910_200), HELD_OUT_SCANNERS)
WIDE_COHORTS = (WIDE_TRAINING, WIDE_VALIDATION, WIDE_TEST)


def scanner_of(seed: int, scanners: Sequence[Scanner] | None = None) -> Scanner:
    """The scanner that patient `seed` is sent to: each of `scanners` (default: all) with the same probability."""
    choice = tuple(scanners or load_scanners())
    return choice[int(stream(seed, "referral").integers(len(choice)))]


def seeds_with_complete_truth(first: int) -> Iterator[int]:
    """Seeds from `first` on whose patients have no tumour or one with a grade: every tumour has its label."""
    return (seed for seed in count(first) if (biology := biology_of(seed)) is None or biology.grade is not None)


def seeds_with_grade(first: int) -> Iterator[int]:
    """Seeds from `first` on whose patients have a tumour with a grade, and so a label."""
    return (seed for seed in seeds_with_complete_truth(first) if has_tumour(seed))


def oracle_auc(seeds: Iterable[int]) -> float:
    """Area under the ROC curve of the oracle, which knows the drawn parameters: no model can do better on average.

    Patients without a grade are left out.
    """
    drawn = (biology for seed in seeds if (biology := biology_of(seed)) is not None)
    graded = [(biology.grade, oracle_log_odds(biology)) for biology in drawn if biology.grade is not None]
    labels, scores = zip(*graded, strict=True)
    return float(roc_auc_score(labels, scores))


def simulate_cohort(
    seeds: Iterable[int], scanners: Sequence[Scanner] | None = None, region: str | None = "tumour"
) -> Iterator[SimulatedCase]:
    """One case a seed, each on its `scanner_of`."""
    for seed in seeds:
        yield simulate_case(seed, scanner_of(seed, scanners), region)
