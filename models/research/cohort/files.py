"""The files of one case: headers first, then pixels; every fault is a line that names case and file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.research.cohort.memory import available_bytes
from models.research.cohort.nifti import stored_fault
from models.research.cohort.records import (
    ACQUISITION_NAMES,
    Case,
    CaseFacts,
    CaseVolume,
    Needs,
    acquisition_path,
    image_path,
    mask_path,
)
from models.sequence import Sequence
from models.volume import Grid

#: Corners of mask and image may lie so far apart; NIfTI keeps positions in single precision.
GRID_TOLERANCE_MM = 0.01
_LEAST_VOXELS = (8, 8, 2)
#: The file, its content, and the volume in up to eight bytes a voxel.
_BYTES_A_VOXEL = 16


@dataclass(frozen=True, slots=True)
class FoundCase:
    """A case as far as it could be read, its faults, and the digest of the pixels of each image."""

    case: Case
    faults: tuple[str, ...]
    digests: tuple[tuple[Sequence, str], ...]


def read_case(folder: Path, facts: CaseFacts, needs: Needs) -> FoundCase:
    """The case in `folder`/case id; nothing is raised for what its files hold."""
    volumes, faults, digests = {}, [], []
    for sequence in needs.sequences:
        found, wrong = _read_headers(folder / facts.case_id, sequence, needs)
        pixels = None
        if found is not None and not wrong:
            pixels, wrong = _read_pixels(found, facts)
        faults += [f"case {facts.case_id}: {fault}" for fault in wrong]
        if found is not None:
            volumes[sequence] = found
        if pixels is not None:
            digests.append((sequence, pixels))
    return FoundCase(Case(facts, volumes), tuple(faults), tuple(digests))


def _read_headers(folder: Path, sequence: Sequence, needs: Needs) -> tuple[CaseVolume | None, list[str]]:
    image, mask = image_path(folder, sequence), mask_path(folder, sequence)
    acquisition, faults = _acquisition(acquisition_path(folder, sequence))
    grid = _grid(image)
    if isinstance(grid, str):
        return None, [*faults, grid]
    if any(have < least for have, least in zip(grid.size, _LEAST_VOXELS, strict=True)):
        faults.append(f"{image.name} has {_times(grid.size)} voxels; at least {_times(_LEAST_VOXELS)} are needed")
    if needs.masks:
        mask_grid = _grid(mask)
        faults += [mask_grid] if isinstance(mask_grid, str) else _apart(mask.name, mask_grid, grid)
    return CaseVolume(image, mask if needs.masks and mask.exists() else None, grid, acquisition), faults


def _grid(path: Path) -> Grid | str:
    """The grid of a file from its header, or what is wrong with it."""
    if not path.is_file():
        return f"{path.name} is missing"
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return f"{path.name} cannot be read as a NIfTI volume"
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        return f"{path.name} has {reader.GetDimension()} dimensions and {reader.GetNumberOfComponents()} values a voxel"
    values = (*reader.GetSpacing(), *reader.GetOrigin(), *reader.GetDirection())
    if not all(map(math.isfinite, values)) or min(reader.GetSpacing()) <= 0:
        return f"{path.name} has a spacing, an origin or a direction that is impossible"
    return Grid(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def _apart(name: str, mask: Grid, image: Grid) -> Iterator[str]:
    if mask.size != image.size:
        yield f"{name} is not on the image's grid: {_times(mask.size)} voxels, the image has {_times(image.size)}"
        return
    distance = max(float(np.linalg.norm(_place(mask, at) - _place(image, at))) for at in product((0, 1), repeat=3))
    if distance > GRID_TOLERANCE_MM:
        yield f"{name} is not on the image's grid: corners lie {distance:.3g} mm apart"


def _place(grid: Grid, corner: tuple[int, ...]) -> np.ndarray:
    steps = (np.asarray(grid.size) - 1) * corner * np.asarray(grid.spacing)
    return np.asarray(grid.origin) + grid.axes @ steps


def _acquisition(path: Path) -> tuple[dict[str, float], list[str]]:
    """The known parameters of an acquisition; a file that is not there knows none."""
    if not path.exists():
        return {}, []
    try:
        document = json.loads(path.read_text("utf-8"))
        found = {name: float(document[name]) for name in ACQUISITION_NAMES if document.get(name) is not None}
    except (ValueError, TypeError, AttributeError, OSError):
        return {}, [f"{path.name} is no JSON object of numbers"]
    if wrong := [name for name, value in found.items() if not math.isfinite(value) or value < 0]:
        return {}, [f"{path.name}: {wrong[0]} is not a number that is possible"]
    return found, []


def _read_pixels(volume: CaseVolume, facts: CaseFacts) -> tuple[str | None, list[str]]:
    """Digest of the image's pixels, and what is wrong with image and mask."""
    wanted = math.prod(volume.grid.size) * _BYTES_A_VOXEL
    if wanted > available_bytes():
        return None, [
            f"{volume.image.name} of {_times(volume.grid.size)} voxels does not fit: {wanted / 1e9:.1f} GB are needed "
            f"to read it, {available_bytes() / 1e9:.1f} GB are free"
        ]
    image, faults = _pixels(volume.image)
    if image is None:
        return None, faults
    if image.min() == image.max():
        faults.append(f"{volume.image.name} holds the same value everywhere")
    if volume.mask is not None:
        mask, wrong = _pixels(volume.mask)
        faults += wrong if mask is None else _mask_faults(volume.mask.name, mask, facts)
    return hashlib.sha256(image.tobytes()).hexdigest(), faults


def _pixels(path: Path) -> tuple[np.ndarray | None, list[str]]:
    """The values of a file, or what is wrong with them."""
    if fault := stored_fault(path):
        return None, [f"{path.name} {fault}"]
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path))), []
    except RuntimeError:
        return None, [f"{path.name} cannot be read as a NIfTI volume"]


def _mask_faults(name: str, values: np.ndarray, facts: CaseFacts) -> Iterator[str]:
    found = np.unique(values[values != 0])
    if len(found) > 1:
        yield f"{name} holds {len(found)} values beside 0; one is wanted, the tumour's"
    elif len(found) == 0 and facts.tumour:
        yield f'{name} is empty; a case without tumour says "no" in the column tumour'
    elif len(found) and not facts.tumour:
        yield f"{name} is not empty, and labels.csv says that the case has no tumour"


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
