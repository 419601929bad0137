"""Simulated cases for the prediction models: images, resolutions, features; kept in a cache case by case."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import SimpleITK as sitk

from models.analysis import AS_ACQUIRED, CUBIC, NORMAL, SUPER, Measured, measure
from models.errors import ModelError
from models.manifest import digest, load_manifest
from models.radiomics.settings import load_settings
from models.radiomics.t2_contrast import SpinEcho
from models.research.phantom.cohort import seeds_with_grade
from models.research.phantom.grade import parameters
from models.research.phantom.scanners import find_scanner, load_scanners
from models.research.phantom.study import simulate_case
from models.research.source_digest import source_digest
from models.research.training.prediction.mask_perturbation import perturbed
from models.research.training.processes import resumed
from models.research.training.simulated_cases import slice_thickness_mm, t2wi_protocol
from models.sequence import Sequence
from models.super_resolution.inference import SuperResolver, load_super_resolver, super_resolve
from models.volume import grid_of, resample_onto

#: Cases of a simulated cohort that are measured under other masks, too, and how many masks each.
PERTURBED_CASES, PERTURBATIONS = 30, 4

Volumes = Mapping[Sequence, sitk.Image]
Resolutions = dict[Sequence, dict[str, sitk.Image]]


@dataclass(frozen=True, slots=True)
class MeasuredCase:
    """One simulated patient on one scanner.

    Attributes:
        label: 1 for the positive class.
        oracle: the tissue parameters that the label was drawn with, `oracle_probability` among them.
        features: as the predictor takes them, `<sequence>|<resolution>|<pyradiomics name>`.
        seconds: what simulation, super-resolution, features and perturbed features took.
        patient: of a case of a cohort; simulated patients have one case each.
        perturbed: features at normal and super resolution under masks as other readers would draw them; none of most
            cases.
    """

    seed: int
    scanner: str
    label: int
    oracle: dict[str, float]
    volume_ml: float
    features: dict[str, float]
    seconds: dict[str, float]
    patient: str = ""
    perturbed: tuple[dict[str, float], ...] = ()


def cohort(
    count: int,
    first_seed: int,
    bundle: Path,
    cache: Path,
    workers: int,
    perturbed_cases: int = PERTURBED_CASES,
    passed_over: int = 0,
) -> Iterator[MeasuredCase]:
    """`count` patients whose tumour has a grade, one seed each from `first_seed` on, the scanners in turn.

    The first `passed_over` of them are left out.

    Cases in the cache are read, the others made. The first of each scanner, `perturbed_cases` in all, are measured
    under other masks, too.

    Cases come as they get ready. The cache is keyed by the super-resolution bundle and by the source of everything
    that makes a case, so a changed phantom never mixes with the old one. An interrupted run goes on where it was.
    Beside the cases, `provenance` holds where each of their feature vectors comes from.
    """
    folder = cache / cache_key(bundle)
    calls = (
        (seed, scanner, bundle, masks, folder / f"{seed:05d}.json")
        for seed, scanner, masks in islice(patients(count, first_seed, perturbed_cases), passed_over, None)
    )
    return resumed(_make_and_keep, calls, read_case, workers)


def patients(count: int, first_seed: int, perturbed_cases: int) -> Iterator[tuple[int, str, int]]:
    """Seed, scanner and number of perturbed masks of each patient of a cohort."""
    scanners = load_scanners()
    seen: Counter[str] = Counter()
    for seed in islice(seeds_with_grade(first_seed), count):
        scanner = scanners[seed % len(scanners)].name
        yield seed, scanner, PERTURBATIONS if seen[scanner] * len(scanners) < perturbed_cases else 0
        seen[scanner] += 1


def make_case(
    seed: int, scanner: str, resolver: SuperResolver, perturbations: int = 0
) -> tuple[MeasuredCase, list[Measured]]:
    """Simulate one patient, super-resolve each sequence, and measure the true tumour at every resolution.

    With the case comes what was measured, under the true and under the perturbed masks, with its provenance.
    """
    start = time.perf_counter()
    simulated = simulate_case(seed, find_scanner(scanner), region="tumour")
    seconds = {"simulate": time.perf_counter() - start}
    if simulated.oracle is None or simulated.label is None:
        raise ModelError(f"simulated patient {seed} has no tumour with a grade and so no label")
    t2wi = t2wi_protocol(simulated.scanner)
    volumes = at_resolutions(simulated.images, slice_thickness_mm(simulated.scanner), resolver, seconds)
    measured = measure_case(volumes, simulated.masks, t2wi, seconds)
    others = list(_under_other_masks(volumes, simulated.masks, t2wi, perturbations, seed, seconds))
    case = MeasuredCase(
        seed,
        scanner,
        simulated.label,
        parameters(simulated.oracle),
        simulated.tumour_volume_ml,
        measured.features,
        seconds,
        perturbed=tuple(other.features for other in others),
    )
    return case, [measured, *others]


def at_resolutions(
    images: Volumes, thickness_mm: Mapping[Sequence, float], resolver: SuperResolver, seconds: dict[str, float]
) -> Resolutions:
    """Every image at normal and super resolution, and as the two controls of what super-resolution adds.

    `thickness_mm`: of the slices, where it is known; the node knows it from the header.
    """
    start = time.perf_counter()
    found = {}
    for sequence, image in images.items():
        refined = super_resolve(image, resolver, thickness_mm=thickness_mm.get(sequence))
        cubic = resample_onto(sitk.Cast(image, sitk.sitkFloat32), grid_of(refined), sitk.sitkBSpline)
        found[sequence] = {NORMAL: image, SUPER: refined, CUBIC: cubic, AS_ACQUIRED: image}
    seconds["super"] = time.perf_counter() - start
    return found


def measure_case(volumes: Resolutions, masks: Volumes, t2wi: SpinEcho | None, seconds: dict[str, float]) -> Measured:
    """Features of every sequence at every resolution under one mask a sequence."""
    start = time.perf_counter()
    measured = measure(volumes, masks, load_settings(), t2wi)
    seconds["features"] = time.perf_counter() - start
    return measured


def keep(case: Mapping[str, object], measured: Iterable[Measured], path: Path) -> None:
    """Write a case as JSON, and in a folder beside it the provenance of its features."""
    origin = path.parent / "provenance" / path.name
    origin.parent.mkdir(parents=True, exist_ok=True)
    origins = [{name: asdict(it) for name, it in one.provenance.items()} for one in measured]
    origin.write_text(json.dumps(origins), encoding="utf-8")
    part = path.with_suffix(".part")
    part.write_text(json.dumps(case), encoding="utf-8")
    part.rename(path)


def read_case(path: Path) -> MeasuredCase:
    """A simulated case that was kept."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return MeasuredCase(**(kept | {"perturbed": tuple(kept.get("perturbed", ()))}))


def _under_other_masks(
    volumes: Resolutions, masks: Volumes, t2wi: SpinEcho, count: int, seed: int, seconds: dict[str, float]
) -> Iterator[Measured]:
    start = time.perf_counter()
    settings = load_settings()
    both = {sequence: {NORMAL: it[NORMAL], SUPER: it[SUPER]} for sequence, it in volumes.items()}
    redrawn = {
        sequence: perturbed(masks[sequence], count, seed + 1_000_000 * number)
        for number, sequence in enumerate(volumes if count else ())
    }
    for number in range(count):
        yield measure(both, {sequence: other[number] for sequence, other in redrawn.items()}, settings, t2wi)
    seconds["perturbed"] = time.perf_counter() - start


def _make_and_keep(seed: int, scanner: str, bundle: Path, perturbations: int, path: Path) -> MeasuredCase:
    case, measured = make_case(seed, scanner, _resolver(bundle), perturbations)
    keep(asdict(case), measured, path)
    return case


@lru_cache(maxsize=1)
def _resolver(bundle: Path) -> SuperResolver:
    return load_super_resolver(bundle)


def cache_key(bundle: Path) -> str:
    """Digest (hex, 16) of what a cached case depends on: the whole bundle, the code, the radiomics settings."""
    return hashlib.sha256(f"{digest(load_manifest(bundle))} {source_digest(__name__)}".encode()).hexdigest()[:16]
