"""Pairs of simulated stacks for super-resolution training, kept on disk: as a scanner acquires them, and the truth.

The thick slices come from the phantom's own scanner: slice profile, gaps, k-space, coil and Rician noise. The truth
is its noise-free volume in slices of a quarter of the slice distance.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from lightning_fabric import Fabric

from models.research.phantom.study import high_resolution, simulate_case
from models.research.source_digest import source_digest
from models.research.training.simulated_cases import CaseKey
from models.research.training.super_resolution.stack_pairs import AcquiredPair
from models.sequence import ANALYSED
from models.super_resolution.normalisation import intensity_range

#: Share of rows and columns that is kept: the outer rim is mostly air.
KEPT_SHARE = 0.75


def load_simulated(fabric: Fabric, keys: SequenceOf[CaseKey], cache: Path) -> list[AcquiredPair]:
    """The pairs of all sequences of the cases, simulated where the cache lacks them; x4 along the slice axis."""
    pairs: list[AcquiredPair] = []
    for done, key in enumerate(keys, start=1):
        path = cache / source_digest(__name__) / f"{key.seed}-{key.scanner.model.replace(' ', '')}-pairs.npz"
        if not path.exists():
            _simulate(key, path)
        with np.load(path) as arrays:
            pairs.extend(
                AcquiredPair(f"{key.seed} {key.scanner.model} {it}", arrays[f"{it}-thick"], arrays[f"{it}-thin"])
                for it in ANALYSED
            )
        if done % 10 == 0:
            fabric.print(f"{done} of {len(keys)} cases ready", flush=True)
    return pairs


def _simulate(key: CaseKey, path: Path) -> None:
    """Both scaled by the range of the *acquired* volume, which is what serving sees."""
    case = simulate_case(key.seed, key.scanner)
    arrays: dict[str, npt.NDArray[np.float16]] = {}
    for sequence, image in case.images.items():
        thick = sitk.GetArrayFromImage(image)
        thin = sitk.GetArrayFromImage(high_resolution(case, sequence))
        low, high = intensity_range(thick)
        rows, columns = (round(size * (1 - KEPT_SHARE) / 2) for size in thin.shape[1:])
        inner = np.s_[:, rows : thin.shape[1] - rows, columns : thin.shape[2] - columns]
        arrays[f"{sequence}-thick"] = ((thick[inner] - low) / (high - low)).astype(np.float16)
        arrays[f"{sequence}-thin"] = ((thin[inner] - low) / (high - low)).astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    partial.replace(path)
