"""Simulated cases for the prediction models: images, both resolutions, features; kept in a cache case by case."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import SimpleITK as sitk

import models
from models.analysis import NORMAL, SUPER, measure
from models.errors import ModelError
from models.manifest import digest, load_manifest
from models.phantom.cohort import seeds_with_tumour
from models.phantom.grade import parameters
from models.phantom.scanners import find_scanner, load_scanners
from models.phantom.study import simulate_case
from models.radiomics.settings import load_settings
from models.super_resolution.inference import SuperResolver, load_super_resolver, super_resolve
from models.training.processes import in_processes
from models.volume import Sequence, grid_of, mask_onto

_log = logging.getLogger(__name__)
_SOURCES = ("phantom", "radiomics", "super_resolution", "analysis.py", "volume.py", "training/prediction_cases.py")


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated patient on one scanner.

    Attributes:
        label: 1 for the positive class.
        oracle: the tissue parameters that the label was drawn with, `oracle_probability` among them.
        features: as the predictor takes them, `<sequence>|<resolution>|<pyradiomics name>`.
        seconds: what simulation, super-resolution and features took.
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


def cohort(count: int, first_seed: int, bundle: Path, cache: Path, workers: int) -> Iterator[Case]:
    """`count` patients with a tumour, one seed each from `first_seed` on, the scanners in turn; cases in the cache are
    read, the others made.

    Cases come as they get ready. The cache is keyed by the super-resolution bundle and by the source of everything
    that makes a case, so a changed phantom never mixes with the old one. An interrupted run goes on where it was.
    """
    folder = cache / cache_key(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    scanners = load_scanners()
    missing = []
    for seed in islice(seeds_with_tumour(first_seed), count):
        scanner = scanners[seed % len(scanners)].name
        path = folder / f"{seed:05d}.json"
        if path.is_file():
            yield read_case(path)
        else:
            missing.append((seed, scanner, bundle, path))
    yield from in_processes(_make_and_keep, missing, workers)


def make_case(seed: int, scanner: str, resolver: SuperResolver) -> Case:
    """Simulate one patient, super-resolve each sequence, and measure the true tumour at both resolutions."""
    start = time.perf_counter()
    simulated = simulate_case(seed, find_scanner(scanner), region="tumour")
    seconds = {"simulate": time.perf_counter() - start, "super": 0.0, "features": 0.0}
    if simulated.oracle is None or simulated.label is None:
        raise ModelError(f"simulated patient {seed} has no tumour and so no label")
    features = measure_case(simulated.images, simulated.masks, resolver, seconds)
    oracle = parameters(simulated.oracle)
    return Case(seed, scanner, simulated.label, oracle, simulated.tumour_volume_ml, features, seconds)


def measure_case(
    images: Mapping[Sequence, sitk.Image],
    masks: Mapping[Sequence, sitk.Image],
    resolver: SuperResolver,
    seconds: dict[str, float],
) -> dict[str, float]:
    """Features of every sequence at both resolutions by the true masks; adds to `seconds` what they took."""
    features: dict[str, float] = {}
    settings = load_settings()
    for sequence, image in images.items():
        start = time.perf_counter()
        refined = super_resolve(image, resolver)
        seconds["super"] += time.perf_counter() - start
        start = time.perf_counter()
        mask = masks[sequence]
        both = {NORMAL: mask, SUPER: mask_onto(mask, grid_of(refined))}
        features |= measure(sequence, {NORMAL: image, SUPER: refined}, both, settings)
        seconds["features"] += time.perf_counter() - start
    return features


def _make_and_keep(seed: int, scanner: str, bundle: Path, path: Path) -> Case:
    case = make_case(seed, scanner, _resolver(bundle))
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(case)), encoding="utf-8")
    part.rename(path)
    return case


def read_case(path: Path) -> Case:
    """A simulated case that was kept."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Case(**(kept | {"perturbed": tuple(kept.get("perturbed", ()))}))


@lru_cache(maxsize=1)
def _resolver(bundle: Path) -> SuperResolver:
    return load_super_resolver(bundle)


def cache_key(bundle: Path) -> str:
    """Digest of what a cached case depends on: the bundle, the sources, the radiomics settings."""
    key = hashlib.sha256(digest(load_manifest(bundle)).encode())
    root = Path(models.__file__).parent
    for name in _SOURCES:
        source = root / name
        files = sorted(source.glob("*.[pyc]*")) if source.is_dir() else [source]
        for path in files:
            if path.suffix in (".py", ".yaml", ".csv"):
                key.update(path.name.encode() + path.read_bytes())
    return key.hexdigest()[:16]
