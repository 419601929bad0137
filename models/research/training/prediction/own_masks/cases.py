"""Simulated cases measured as the node measures them: whole fields of view under masks that the segmentation found."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import SimpleITK as sitk

from models.analysis import NORMAL, SUPER, Measured, mask_on, measure
from models.errors import ModelError
from models.findings import Tumour, find_tumours
from models.manifest import Manifest, digest, load_manifest
from models.radiomics.settings import load_settings
from models.radiomics.t2_contrast import SpinEcho
from models.research.evaluation.overlap import compare
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import simulate_case
from models.research.source_digest import source_digest
from models.research.training.prediction.cases import cache_key, keep, patients
from models.research.training.processes import resumed
from models.research.training.simulated_cases import slice_thickness_mm, t2wi_protocol
from models.segmentation.inference import Segmenter, load_segmenter
from models.sequence import Sequence
from models.super_resolution.inference import SuperResolver, load_super_resolver, super_resolve
from models.volume import grid_of, volume_ml

Volumes = Mapping[Sequence, sitk.Image]
Features = dict[str, float]


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Features of one study, `<sequence>|<resolution>|<pyradiomics name>`, under masks that were found or are true.

    A sequence in which no tumour was found has no features and no Dice.

    Attributes:
        features: under the node's one mask a sequence, found on the super-resolved images and brought to each grid.
        features_each: each resolution under the mask found on its own images; at super resolution the same as
            `features`.
        features_true: under the true masks of the same images.
        dice: of found and true mask, by sequence and resolution of the images that it was found on, on their grid.
    """

    features: Features
    features_each: Features
    features_true: Features
    dice: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class OwnMaskCase(FoundMasks):
    """`FoundMasks` of one simulated patient on one scanner.

    Attributes:
        label: 1 for the positive class.
        volume_ml: of the true tumour.
        made_with: name, version and digest of the `super_resolution` and the `segmentation`, digest of the `radiomics`.
        seconds: what simulation, super-resolution, segmentation and features took.
    """

    seed: int
    scanner: str
    label: int
    volume_ml: float
    made_with: dict[str, dict[str, str]]
    seconds: dict[str, float]


def own_mask_cases(
    count: int, of: int, first_seed: int, super_resolution: Path, segmentation: Path, cache: Path, workers: int
) -> Iterator[OwnMaskCase]:
    """The last `count` of the `of` patients that `cohort` has from `first_seed` on: those that a training holds out.

    The patients are the same, the noise of the whole field of view is another. Cases come as they get ready and are
    kept beside those of `cohort`; an interrupted run goes on where it was.
    """
    folder = case_folder(super_resolution, segmentation, cache)
    calls = (
        (seed, scanner, super_resolution, segmentation, folder / f"{seed:05d}.json")
        for seed, scanner, _ in islice(patients(of, first_seed, 0), of - count, None)
    )
    return resumed(_make_and_keep, calls, read_own_mask_case, workers)


def case_folder(super_resolution: Path, segmentation: Path, cache: Path) -> Path:
    """Where the cases of two bundles are kept: keyed by all that those of `cohort` are, the segmentation, and this."""
    key = hashlib.sha256(f"{digest(load_manifest(segmentation))} {source_digest(__name__)}".encode())
    return cache / f"{cache_key(super_resolution)}-own-masks-{key.hexdigest()[:16]}"


def read_own_mask_case(path: Path) -> OwnMaskCase:
    """A case that was kept."""
    return OwnMaskCase(**json.loads(path.read_text(encoding="utf-8")))


def make_own_mask_case(
    seed: int, scanner: str, resolver: SuperResolver, segmenter: Segmenter
) -> tuple[OwnMaskCase, list[Measured]]:
    """Simulate one patient, super-resolve, find and measure the tumour; with what was measured, for its provenance.

    Raises `ModelError` for a patient without a tumour.
    """
    start = time.perf_counter()
    simulated = simulate_case(seed, find_scanner(scanner))
    seconds = {"simulate": time.perf_counter() - start}
    if simulated.label is None:
        raise ModelError(f"simulated patient {seed} has no tumour and so no label")
    start = time.perf_counter()
    thickness = slice_thickness_mm(simulated.scanner)
    refined = {
        sequence: super_resolve(image, resolver, thickness_mm=thickness.get(sequence))
        for sequence, image in simulated.images.items()
    }
    seconds["super"] = time.perf_counter() - start
    t2wi = t2wi_protocol(simulated.scanner)
    found, measured = measure_found(simulated.images, refined, simulated.masks, t2wi, segmenter, seconds)
    made_with = {
        "super_resolution": _named(resolver.manifest),
        "segmentation": _named(segmenter.manifest),
        "radiomics": {"digest": load_settings().digest},
    }
    facts = (seed, scanner, simulated.label, simulated.tumour_volume_ml)
    masks = (found.features, found.features_each, found.features_true, found.dice)
    return OwnMaskCase(*masks, *facts, made_with, seconds), measured


def measure_found(
    acquired: Volumes,
    refined: Volumes,
    true: Volumes,
    t2wi: SpinEcho,
    segmenter: Segmenter,
    seconds: dict[str, float],
) -> tuple[FoundMasks, list[Measured]]:
    """Segment both resolutions of a study and measure it under what was found, and under the `true` masks (on any
    grid). With what was measured: under the node's masks, under those of the acquired images, under the true ones.
    """
    start = time.perf_counter()
    by_super = find_tumours(acquired, refined, segmenter).tumours
    by_normal = find_tumours(acquired, acquired, segmenter).tumours
    seconds["segment"] = time.perf_counter() - start
    start = time.perf_counter()
    settings = load_settings()
    both = {sequence: {NORMAL: image, SUPER: refined[sequence]} for sequence, image in acquired.items()}
    normal = {sequence: {NORMAL: image} for sequence, image in acquired.items()}
    one = measure(both, {sequence: tumour.mask_super for sequence, tumour in by_super.items()}, settings, t2wi)
    each = measure(normal, {sequence: tumour.mask for sequence, tumour in by_normal.items()}, settings, t2wi)
    again = measure(both, true, settings, t2wi)
    seconds["features"] = time.perf_counter() - start
    at_super = {name: value for name, value in one.features.items() if name.split("|")[1] == SUPER}
    dice = {str(sequence): _dice(by_normal[sequence], by_super[sequence], true[sequence]) for sequence in acquired}
    return FoundMasks(one.features, at_super | each.features, again.features, dice), [one, each, again]


def _dice(by_normal: Tumour, by_super: Tumour, true: sitk.Image) -> dict[str, float]:
    found = {NORMAL: by_normal.mask, SUPER: by_super.mask_super}
    return {
        resolution: compare(mask, mask_on(true, grid_of(mask))).dice
        for resolution, mask in found.items()
        if volume_ml(mask) > 0
    }


def _named(manifest: Manifest) -> dict[str, str]:
    """As the manifest of a prediction names the bundle that its features come from."""
    return {"name": manifest.name, "version": manifest.version, "digest": digest(manifest)}


def _make_and_keep(seed: int, scanner: str, super_resolution: Path, segmentation: Path, path: Path) -> OwnMaskCase:
    case, measured = make_own_mask_case(seed, scanner, *_bundles(super_resolution, segmentation))
    keep(asdict(case), measured, path)
    return case


@lru_cache(maxsize=1)
def _bundles(super_resolution: Path, segmentation: Path) -> tuple[SuperResolver, Segmenter]:
    return load_super_resolver(super_resolution), load_segmenter(segmentation)
