"""Dice of a segmenter on simulated cases that it never saw, on the acquired grid and after plausibility."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np

from models.evaluation.overlap import Overlap, compare
from models.phantom.study import simulate_case
from models.segmentation.inference import Segmenter, tumour_mask, tumour_probability
from models.training.simulated_cases import CaseKey


def test_metrics(keys: SequenceOf[CaseKey], segmenter: Segmenter) -> dict[str, Any]:
    """Per sequence: number of tumours, mean, median and lowest Dice, tumours missed, mean volume error (ml).

    Patients without a tumour are counted apart, and how many of them got a mask.
    """
    found: defaultdict[str, list[Overlap]] = defaultdict(list)
    for key in keys:
        case = simulate_case(key.seed, key.scanner)
        for sequence, image in case.images.items():
            probability = tumour_probability(image, segmenter, sequence)
            mask = tumour_mask(probability, image, segmenter)
            found[sequence.value].append(compare(mask, case.masks[sequence]))
    described = {sequence: _summary(overlaps) for sequence, overlaps in found.items()}
    return {
        "scanners": sorted({key.scanner.model for key in keys}),
        "seeds": [key.seed for key in keys],
        **described,
    }


def _summary(overlaps: SequenceOf[Overlap]) -> dict[str, float]:
    tumours = [overlap for overlap in overlaps if overlap.true_volume_ml]
    free = [overlap for overlap in overlaps if not overlap.true_volume_ml]
    counts = {"tumour_free": len(free), "tumour_free_with_a_mask": sum(overlap.volume_ml > 0 for overlap in free)}
    if not tumours:
        return {"cases": 0, **counts}
    dice = np.array([overlap.dice for overlap in tumours])
    error = np.array([overlap.volume_ml - overlap.true_volume_ml for overlap in tumours])
    return {
        "cases": len(tumours),
        **counts,
        "dice_mean": round(float(dice.mean()), 4),
        "dice_median": round(float(np.median(dice)), 4),
        "dice_lowest": round(float(dice.min()), 4),
        "missed": int((dice == 0).sum()),
        "volume_error_ml_mean": round(float(error.mean()), 3),
    }
