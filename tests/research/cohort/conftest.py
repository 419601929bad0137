"""A small cohort that is right; tests break one thing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.research.cohort.records import CaseFacts, Equipment, Split
from models.research.cohort.writing import NewVolume, write_case
from models.sequence import ANALYSED
from models.volume import Grid, image_from

SKYRA = Equipment("Siemens", "Skyra", 3.0)
DIRECTION = (1.0, 0.0, 0.0, 0.0, 0.9612617, -0.2756374, 0.0, 0.2756374, 0.9612617)
GRID = Grid((20, 16, 8), (1.2, 1.2, 5.0), (-11.123456, 7.7654321, -30.25), DIRECTION)


def volume(seed: int, tumour: bool = True) -> NewVolume:
    """Noise with a bright block that the mask covers, on a tilted grid."""
    values = np.random.default_rng(seed).normal(100, 10, GRID.size[::-1]).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    if tumour:
        mask[2:6, 5:10, 6:12] = 1
    values[mask > 0] += 100
    acquisition = {"tr_ms": 5200.0, "te_ms": 75.0, "field_strength_t": 3.0}
    return NewVolume(image_from(values, GRID), image_from(mask, GRID), acquisition)


@pytest.fixture
def add(tmp_path: Path) -> Callable[..., Path]:
    """Writes one case into the cohort of the test and returns the case's folder."""

    def write(number: int, **changes: object) -> Path:
        facts = {"case_id": f"C{number}", "patient_id": f"P{number}", "equipment": SKYRA, "label": number % 2}
        case = CaseFacts(**(facts | changes))
        write_case(tmp_path, case, {s: volume(10 * number + n, case.tumour) for n, s in enumerate(ANALYSED)})
        return tmp_path / case.case_id

    return write


@pytest.fixture
def cohort(tmp_path: Path, add: Callable[..., Path]) -> Path:
    """Six cases, two of them for validation, both labels."""
    for number in range(6):
        add(number, split=Split.VALIDATION if number > 3 else Split.TRAIN, clinical={"age": str(50 + number)})
    return tmp_path


@pytest.fixture
def change() -> Callable[[Path, Callable[[np.ndarray], np.ndarray]], None]:
    """Rewrites the voxels of a file through a function."""

    def rewrite(path: Path, function: Callable[[np.ndarray], np.ndarray]) -> None:
        image = sitk.ReadImage(str(path))
        changed = sitk.GetImageFromArray(function(sitk.GetArrayFromImage(image)))
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(path), useCompression=True)

    return rewrite
