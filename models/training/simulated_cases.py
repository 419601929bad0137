"""Simulated cases prepared for segmentation training, kept on disk so that each is simulated once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from models import phantom
from models.phantom.scanners import Scanner
from models.phantom.study import simulate_case
from models.segmentation import preprocessing
from models.segmentation.preprocessing import PreprocessingSettings, central_region, prepare
from models.volume import Float32, Sequence, average_onto, grid_of


@dataclass(frozen=True, slots=True)
class CaseKey:
    """What makes a simulated case: the seed of the patient and the scanner that images it."""

    seed: int
    scanner: Scanner


@dataclass(frozen=True, slots=True)
class PreparedCase:
    """Central region of one sequence of a case: image (float32, z-scored) and mask (uint8), both (z, y, x)."""

    name: str
    image: Float32
    mask: npt.NDArray[np.uint8]


def case_keys(first_seed: int, count: int, scanners: Iterable[Scanner]) -> tuple[CaseKey, ...]:
    """`count` cases with consecutive seeds, the scanners taken in turn."""
    available = tuple(scanners)
    return tuple(CaseKey(first_seed + n, available[n % len(available)]) for n in range(count))


@lru_cache
def source_digest() -> str:
    """Digest of the sources that make and prepare a case, so that cached cases of older code are never used."""
    total = hashlib.sha256()
    for path in (*sorted(Path(phantom.__file__).parent.glob("*.*")), Path(preprocessing.__file__)):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def prepared_sequences(key: CaseKey, settings: PreprocessingSettings, cache: Path) -> Iterator[PreparedCase]:
    """The three sequences of a case, from `cache` where they are there already."""
    recipe = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:8]
    path = cache / source_digest() / f"{key.seed}-{key.scanner.model.replace(' ', '')}-{recipe}.npz"
    if not path.exists():
        _simulate(key, settings, path)
    with np.load(path) as arrays:
        for sequence in Sequence:
            yield PreparedCase(
                f"{key.seed} {key.scanner.model} {sequence}",
                arrays[f"{sequence}-image"].astype(np.float32),
                arrays[f"{sequence}-mask"],
            )


def _simulate(key: CaseKey, settings: PreprocessingSettings, path: Path) -> None:
    case = simulate_case(key.seed, key.scanner)
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for sequence, image in case.images.items():
        prepared = prepare(image, settings)
        region = central_region(prepared, settings)
        share = average_onto(sitk.Cast(case.masks[sequence], sitk.sitkFloat32), grid_of(prepared))
        arrays[f"{sequence}-image"] = sitk.GetArrayFromImage(prepared)[region].astype(np.float16)
        arrays[f"{sequence}-mask"] = (sitk.GetArrayFromImage(share)[region] >= 0.5).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    partial.replace(path)
