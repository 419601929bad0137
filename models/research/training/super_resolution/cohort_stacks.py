"""Volumes of a cohort as thin stacks: their fine in-plane axes stand in for thin slices, as those of real series do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.manifest import file_digest
from models.research.cohort.reading import read_image
from models.research.cohort.records import Case, CaseVolume
from models.research.source_digest import source_digest
from models.research.training.super_resolution.real_stacks import LONG_AXIS, RIM_SHARE, cleaned, scaled, thin_stacks
from models.research.training.super_resolution.stack_pairs import Size, ThinStack, thin_slices
from models.super_resolution.degradation import Factor
from models.super_resolution.normalisation import Modality
from models.volume import Float32, Grid

#: An axis whose voxels are longer than this many of the shortest ones is no truth: it is the one that lacks detail.
COARSE = 2.0
#: Peak of reading and filtering: the image, the scaled volume, median and Wiener's filter in double precision.
_PASSING_BYTES_A_VOXEL = 32


def fine_axes(grid: Grid) -> str:
    """Of the in-plane axes "y" (columns) and "x" (rows) those that are fine enough to be the truth."""
    shortest = min(grid.spacing)
    return "".join(name for name, step in zip("yx", grid.spacing[1::-1], strict=True) if step <= COARSE * shortest)


def faults_of(cases: Iterable[Case], patch: Size, factor: Factor) -> Iterator[str]:
    """A line for each volume that no pair can be made of."""
    needed = thin_slices(patch, factor)
    for case in cases:
        for sequence, volume in case.volumes.items():
            place, axes = f"case {case.facts.case_id}: {sequence}", fine_axes(volume.grid)
            longest = max((_kept(_size(volume.grid, axis)) for axis in axes), default=0)
            if not axes:
                steps = " x ".join(f"{step:g}" for step in volume.grid.spacing)
                yield f"{place} with voxels of {steps} mm has no fine axis in plane, whose detail could be learned from"
            elif longest < needed:
                yield (
                    f"{place} has {longest} pixels along its longest fine axis without the rim; patches of {patch[0]} "
                    f"slices need {needed} (--patch)"
                )


def kept_bytes(grid: Grid) -> float:
    """Bytes of a volume's stacks: clean and as measured (float16), along every fine axis, long ones also halved."""
    inner = float(_kept(grid.size[0])) * _kept(grid.size[1]) * grid.size[2]
    return sum(inner * 2 * 2 * (1.5 if _kept(_size(grid, axis)) >= LONG_AXIS else 1.0) for axis in fine_axes(grid))


def passing_bytes(grid: Grid) -> float:
    """Bytes that reading and filtering a volume takes."""
    return float(np.prod(grid.size)) * _PASSING_BYTES_A_VOXEL


def cohort_stacks(
    cases: Iterable[Case], modality: Modality, clean: bool, as_measured: float, cache: Path
) -> list[ThinStack]:
    """The stacks of all volumes, with `clean` free of artefacts and noise; cleaned volumes are kept in `cache`.

    A share `as_measured` of the pairs from clean stacks is made of the slices as they were measured.
    """
    stacks: list[ThinStack] = []
    for case in cases:
        for sequence, volume in case.volumes.items():
            name = f"{case.facts.case_id} {sequence}"
            measured = scaled(sitk.GetArrayFromImage(read_image(volume)), modality)
            thin = _cleaned(name.replace(" ", "-"), volume, measured, modality, cache) if clean else measured
            stacks.extend(thin_stacks(name, thin, measured, as_measured, fine_axes(volume.grid)))
    return stacks


def _cleaned(name: str, volume: CaseVolume, measured: Float32, modality: Modality, cache: Path) -> Float32:
    """`measured` cleaned, from the cache where the same file was cleaned by the same code."""
    described = f"{modality} {file_digest(volume.image)} {source_digest(__name__)}"
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    path = cache / f"{name}-{key}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, thin=cleaned(measured).astype(np.float16))
        partial.replace(path)
    with np.load(path) as arrays:
        return arrays["thin"].astype(np.float32)


def _size(grid: Grid, axis: str) -> int:
    return grid.size["xyz".index(axis)]


def _kept(size: int) -> int:
    """Rows or columns without the rim."""
    return size - 2 * round(size * RIM_SHARE)
