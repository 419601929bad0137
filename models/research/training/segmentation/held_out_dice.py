"""Tumour masks of cases that a segmenter never saw, against the true masks, by every way to get one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.analysis import mask_on
from models.findings import find_tumours
from models.research.cohort.reading import volumes_of
from models.research.cohort.records import Case
from models.research.evaluation.baselines import IntensityBand, largest_wall_component, within_band
from models.research.evaluation.overlap import Overlap, compare
from models.research.networks import tumour_mask, tumour_probabilities
from models.research.phantom.study import simulate_case
from models.research.training.processes import in_order
from models.research.training.simulated_cases import CaseKey, slice_thickness_mm
from models.segmentation.inference import Segmenter
from models.sequence import Sequence
from models.super_resolution.inference import SuperResolver, super_resolve
from models.volume import grid_of, resample_onto


class Method(StrEnum):
    """Ways to a mask: the network on several images, and two baselines that only know intensities."""

    SUPER = "super-resolved"
    ALONE = "super-resolved, others missing"
    CUBIC = "cubic B-spline"
    ACQUIRED = "acquired"
    BAND = "intensity band"
    WALL = "largest wall component"


@dataclass(frozen=True, slots=True)
class HeldOutCase:
    """One case with its true masks, by sequence, each on the grid of its image, and the thickness of slices known."""

    name: str
    scanner: str
    images: Mapping[Sequence, sitk.Image]
    masks: Mapping[Sequence, sitk.Image]
    thickness_mm: Mapping[Sequence, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """A method's mask in one image: image, found and true mask on one grid; `seconds` that the whole case took."""

    sequence: Sequence
    method: Method
    image: sitk.Image
    found: sitk.Image
    true: sitk.Image
    seconds: float

    @property
    def overlap(self) -> Overlap:
        """Agreement of both masks."""
        return compare(self.found, self.true)


def simulated(keys: Iterable[CaseKey], workers: int = 0) -> Iterator[HeldOutCase]:
    """Simulated cases in the order of their keys, made one after the other or ahead in `workers` processes."""
    return in_order(_simulated, ((key,) for key in keys), workers)


def _simulated(key: CaseKey) -> HeldOutCase:
    case = simulate_case(key.seed, key.scanner)
    return HeldOutCase(str(key.seed), key.scanner.model, case.images, case.masks, slice_thickness_mm(key.scanner))


def of_cohort(cases: Iterable[Case]) -> Iterator[HeldOutCase]:
    """Cases of a cohort, read one after the other."""
    for case in cases:
        yield HeldOutCase(case.facts.case_id, case.facts.equipment.name, *volumes_of(case), case.slice_thickness_mm)


def segmented(case: HeldOutCase, segmenter: Segmenter, resolver: SuperResolver) -> Iterator[Finding]:
    """The network on super-resolved images, on each of them alone, on cubic ones, on acquired ones.

    On super-resolved images it is what the node reports: findings that are set aside are none. True masks are drawn on
    the acquired slices and continued between them.
    """
    refined = {
        sequence: super_resolve(image, resolver, thickness_mm=case.thickness_mm.get(sequence))
        for sequence, image in case.images.items()
    }
    true = {sequence: mask_on(case.masks[sequence], grid_of(image)) for sequence, image in refined.items()}
    cubic = {
        sequence: resample_onto(sitk.Cast(image, sitk.sitkFloat32), grid_of(refined[sequence]), sitk.sitkBSpline)
        for sequence, image in case.images.items()
    }
    yield from _reported(case.images, refined, true, segmenter)
    for sequence, image in refined.items():
        yield from _network(Method.ALONE, {sequence: image}, true, segmenter)
    yield from _network(Method.CUBIC, cubic, true, segmenter)
    yield from _network(Method.ACQUIRED, case.images, case.masks, segmenter)


def by_intensity(case: HeldOutCase, bands: Mapping[Sequence, IntensityBand]) -> Iterator[Finding]:
    """The baselines, which a network has to beat clearly or the task is too easy."""
    for method, make in ((Method.BAND, within_band), (Method.WALL, largest_wall_component)):
        for sequence, band in bands.items():
            began = time.perf_counter()
            found = make(case.images[sequence], band)
            seconds = time.perf_counter() - began
            yield Finding(sequence, method, case.images[sequence], found, case.masks[sequence], seconds)


def test_metrics(cases: Iterable[HeldOutCase], segmenter: Segmenter) -> dict[str, Any]:
    """Per sequence, on the acquired images: number of cases, mean, median and lowest Dice, mean 95 % Hausdorff distance
    (mm), tumours missed, mean volume error (ml).

    Cases without tumour are counted apart: in how many one was found all the same.
    """
    found: defaultdict[str, list[Overlap]] = defaultdict(list)
    names, scanners = [], set()
    for case in cases:
        names.append(case.name)
        scanners.add(case.scanner)
        wanted = segmenter.manifest.input_sequences
        images = {sequence: image for sequence, image in case.images.items() if sequence in wanted}
        for finding in _network(Method.ACQUIRED, images, case.masks, segmenter):
            found[finding.sequence.value].append(finding.overlap)
    return {
        "scanners": sorted(scanners),
        "held_out": names,
        **{sequence: summary(overlaps) for sequence, overlaps in found.items()},
    }


def summary(overlaps: SequenceOf[Overlap]) -> dict[str, float]:
    """Figures over some cases; Dice, distance and volume error of those with a tumour only."""
    free = [overlap for overlap in overlaps if overlap.true_volume_ml == 0]
    with_tumour = [overlap for overlap in overlaps if overlap.true_volume_ml > 0]
    counted: dict[str, float] = {"cases": len(with_tumour)}
    if free:
        alarms = sum(overlap.volume_ml > 0 for overlap in free)
        counted |= {"cases_without_tumour": len(free), "false_alarms": alarms}
    if not with_tumour:
        return counted
    dice = np.array([overlap.dice for overlap in with_tumour])
    error = np.array([overlap.volume_ml - overlap.true_volume_ml for overlap in with_tumour])
    distances = [overlap.hausdorff_95_mm for overlap in with_tumour if overlap.hausdorff_95_mm is not None]
    return counted | {
        "dice_mean": round(float(dice.mean()), 4),
        "dice_median": round(float(np.median(dice)), 4),
        "dice_lowest": round(float(dice.min()), 4),
        **({"hausdorff_95_mm_mean": round(float(np.mean(distances)), 2)} if distances else {}),
        "missed": int((dice == 0).sum()),
        "volume_error_ml_mean": round(float(error.mean()), 3),
    }


def _reported(
    acquired: Mapping[Sequence, sitk.Image],
    refined: Mapping[Sequence, sitk.Image],
    true: Mapping[Sequence, sitk.Image],
    segmenter: Segmenter,
) -> Iterator[Finding]:
    began = time.perf_counter()
    tumours = find_tumours(acquired, refined, segmenter).tumours
    seconds = time.perf_counter() - began
    for sequence, tumour in tumours.items():
        yield Finding(sequence, Method.SUPER, refined[sequence], tumour.mask_super, true[sequence], seconds)


def _network(
    method: Method,
    images: Mapping[Sequence, sitk.Image],
    true: Mapping[Sequence, sitk.Image],
    segmenter: Segmenter,
) -> Iterator[Finding]:
    began = time.perf_counter()
    probabilities = tumour_probabilities(images, segmenter)
    found = {
        sequence: tumour_mask(probability, images[sequence], segmenter)
        for sequence, probability in probabilities.items()
    }
    seconds = time.perf_counter() - began
    for sequence, mask in found.items():
        yield Finding(sequence, method, images[sequence], mask, true[sequence], seconds)
