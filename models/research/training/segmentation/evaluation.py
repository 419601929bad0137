"""A segmentation bundle on the simulated test cohorts: every case is judged once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from models.manifest import digest, load_manifest
from models.research.evaluation.baselines import IntensityBand, fit_band
from models.research.phantom.cohort import TRAINING, SimulatedCohort
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import simulate_case
from models.research.source_digest import source_digest
from models.research.training.processes import in_processes
from models.research.training.segmentation.held_out_dice import Finding, by_intensity, segmented, simulated
from models.research.training.simulated_cases import CaseKey
from models.segmentation.inference import Segmenter, load_segmenter
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import SuperResolver, load_super_resolver

BAND_CASES = 12
"""Training cases that the intensity bands of the baselines are fitted to."""


@dataclass(frozen=True, slots=True)
class Bundles:
    """Folders of what is judged."""

    segmentation: Path
    super_resolution: Path

    @property
    def digest(self) -> str:
        """Of both bundles, weights and manifest, and of the code that makes and judges the cases (hex, 16)."""
        bundles = [digest(load_manifest(folder)) for folder in (self.segmentation, self.super_resolution)]
        return hashlib.sha256(f"{bundles} {source_digest(__name__)}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class SegmentationRow:
    """One method on one sequence of one case; volumes in ml, the 95 % Hausdorff distance in mm, seconds a case."""

    cohort: str
    seed: int
    scanner: str
    sequence: str
    method: str
    true_ml: float
    found_ml: float
    dice: float
    hausdorff_95_mm: float | None
    seconds: float


def evaluate(
    cohorts: Iterable[tuple[SimulatedCohort, int]], bundles: Bundles, cache: Path, workers: int
) -> Iterator[list[SegmentationRow]]:
    """The rows of the first cases of each cohort, case by case as they get ready; those in `cache` are read."""
    folder = cache / bundles.digest
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for cohort, count in cohorts:
        for seed, scanner in islice(cohort.patients(), count):
            path = folder / f"{seed}.json"
            if path.is_file():
                yield [SegmentationRow(**row) for row in json.loads(path.read_text("utf-8"))]
            else:
                missing.append((cohort.name, seed, scanner.model, path))
    if missing:
        bands = _bands(folder / "bands.json")
        yield from in_processes(_judge_and_keep, [(*case, bundles, bands) for case in missing], workers)


def findings(key: CaseKey, bundles: Bundles, bands: Mapping[Sequence, IntensityBand]) -> Iterator[Finding]:
    """Every method on every sequence of one simulated case."""
    for case in simulated([key]):
        yield from segmented(case, *_loaded(bundles))
        yield from by_intensity(case, bands)


def _judge_and_keep(
    cohort: str, seed: int, model: str, path: Path, bundles: Bundles, bands: dict[Sequence, IntensityBand]
) -> list[SegmentationRow]:
    key = CaseKey(seed, find_scanner(model))
    rows = [_row(cohort, key, finding) for finding in findings(key, bundles, bands)]
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(row) for row in rows]), "utf-8")
    partial.replace(path)
    return rows


def _row(cohort: str, key: CaseKey, finding: Finding) -> SegmentationRow:
    overlap = finding.overlap
    distance = overlap.hausdorff_95_mm
    return SegmentationRow(
        cohort=cohort,
        seed=key.seed,
        scanner=key.scanner.model,
        sequence=finding.sequence.value,
        method=finding.method.value,
        true_ml=round(overlap.true_volume_ml, 2),
        found_ml=round(overlap.volume_ml, 2),
        dice=round(overlap.dice, 4),
        hausdorff_95_mm=None if distance is None else round(distance, 2),
        seconds=round(finding.seconds, 2),
    )


def _bands(path: Path) -> dict[Sequence, IntensityBand]:
    """The bands of the baselines, fitted to training cases and kept."""
    if not path.is_file():
        cases = [simulate_case(seed, scanner) for seed, scanner in islice(TRAINING.patients(), BAND_CASES)]
        bands = {
            sequence: fit_band([case.images[sequence] for case in cases], [case.masks[sequence] for case in cases])
            for sequence in ANALYSED
        }
        path.write_text(json.dumps({sequence: asdict(band) for sequence, band in bands.items()}), "utf-8")
    return {Sequence(name): IntensityBand(**band) for name, band in json.loads(path.read_text("utf-8")).items()}


@lru_cache(maxsize=1)
def _loaded(bundles: Bundles) -> tuple[Segmenter, SuperResolver]:
    return load_segmenter(bundles.segmentation), load_super_resolver(bundles.super_resolution)
