"""Image quality on simulated cases that the generator never saw, against linear and cubic B-spline interpolation.

The input is the volume that the phantom acquires, with its own slice profile, gaps and noise; the truth is the
phantom's noise-free volume in thin slices. Judged in the middle half of rows and columns: air would flatter all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np
import SimpleITK as sitk

from models.evaluation.image_quality import ImageQuality, compare_images
from models.phantom.study import high_resolution, simulate_case
from models.super_resolution.inference import SuperResolver, super_resolve
from models.training.simulated_cases import CaseKey
from models.volume import Float32, resample_to


def test_metrics(keys: SequenceOf[CaseKey], resolver: SuperResolver) -> dict[str, Any]:
    """Mean PSNR (dB) and SSIM per sequence for the network and both interpolations."""
    found: defaultdict[str, defaultdict[str, list[ImageQuality]]] = defaultdict(lambda: defaultdict(list))
    for key in keys:
        case = simulate_case(key.seed, key.scanner)
        for sequence, image in case.images.items():
            truth = high_resolution(case, sequence)
            made = {
                "super_resolution": super_resolve(image, resolver),
                "linear": resample_to(image, truth, sitk.sitkLinear),
                "cubic_b_spline": resample_to(image, truth, sitk.sitkBSpline),
            }
            true = _middle(truth)
            for way, volume in made.items():
                found[sequence.value][way].append(compare_images(_middle(volume), true))
    return {
        "scanners": sorted({key.scanner.model for key in keys}),
        "seeds": [key.seed for key in keys],
        **{sequence: {way: _mean(values) for way, values in ways.items()} for sequence, ways in found.items()},
    }


def _middle(volume: sitk.Image) -> Float32:
    """All slices, the middle half of rows and columns (z, y, x)."""
    values: Float32 = sitk.GetArrayFromImage(volume)
    rows, columns = (size // 4 for size in values.shape[1:])
    return values[:, rows : values.shape[1] - rows, columns : values.shape[2] - columns]


def _mean(values: SequenceOf[ImageQuality]) -> dict[str, float]:
    return {
        "psnr_db": round(float(np.mean([value.psnr_db for value in values])), 2),
        "ssim": round(float(np.mean([value.ssim for value in values])), 4),
    }
