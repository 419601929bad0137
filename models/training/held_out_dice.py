"""Dice of a segmenter on cases that it never saw, on the acquired grid and after plausibility."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.cohort.reading import volumes_of
from models.cohort.records import Case
from models.evaluation.overlap import Overlap, compare
from models.phantom.study import simulate_case
from models.segmentation.inference import Segmenter, tumour_mask, tumour_probability
from models.training.simulated_cases import CaseKey
from models.volume import Sequence


@dataclass(frozen=True, slots=True)
class HeldOutCase:
    """One case with its true masks, by sequence, each on the grid of its image."""

    name: str
    scanner: str
    images: Mapping[Sequence, sitk.Image]
    masks: Mapping[Sequence, sitk.Image]


def simulated(keys: Iterable[CaseKey]) -> Iterator[HeldOutCase]:
    """Simulated cases, made one after the other."""
    for key in keys:
        case = simulate_case(key.seed, key.scanner)
        yield HeldOutCase(str(key.seed), key.scanner.model, case.images, case.masks)


def of_cohort(cases: Iterable[Case]) -> Iterator[HeldOutCase]:
    """Cases of a cohort, read one after the other."""
    for case in cases:
        yield HeldOutCase(case.facts.case_id, case.facts.equipment.name, *volumes_of(case))


def test_metrics(cases: Iterable[HeldOutCase], segmenter: Segmenter) -> dict[str, Any]:
    """Per sequence: number of cases, mean, median and lowest Dice, tumours missed, mean volume error (ml).

    Cases without tumour are counted apart: in how many one was found all the same.
    """
    found: defaultdict[str, list[Overlap]] = defaultdict(list)
    names, scanners = [], set()
    for case in cases:
        names.append(case.name)
        scanners.add(case.scanner)
        for sequence, image in case.images.items():
            probability = tumour_probability(image, segmenter, sequence)
            mask = tumour_mask(probability, image, segmenter)
            found[sequence.value].append(compare(mask, case.masks[sequence]))
    return {
        "scanners": sorted(scanners),
        "held_out": names,
        **{sequence: _summary(overlaps) for sequence, overlaps in found.items()},
    }


def _summary(overlaps: SequenceOf[Overlap]) -> dict[str, float]:
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
    return counted | {
        "dice_mean": round(float(dice.mean()), 4),
        "dice_median": round(float(np.median(dice)), 4),
        "dice_lowest": round(float(dice.min()), 4),
        "missed": int((dice == 0).sum()),
        "volume_error_ml_mean": round(float(error.mean()), 3),
    }
