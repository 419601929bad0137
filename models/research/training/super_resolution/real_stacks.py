"""Real series as thin stacks: their fine in-plane axes stand in for thin slices.

No real series of thick slices has a through-plane truth. Its rows and columns are several times finer than its
slices, so that the volume turned on its side is a stack of thin slices, which the slice profile degrades (Zhao et
al., SMORE, IEEE Trans Med Imaging 2021;40:805-817). `real_volumes.csv` says which patient is in which part. No patient
is in two parts; Siemens and Toshiba are in the test only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from scipy import ndimage, signal

from models.research.cohort.series import read_series
from models.research.training.super_resolution.degradation import noise_deviation
from models.research.training.super_resolution.stack_pairs import Float16, ThinStack
from models.super_resolution.normalisation import Modality, intensity_range
from models.volume import Float32

#: Share of rows and columns that is cut off at each side: mostly air.
RIM_SHARE = 0.125
#: A pixel that differs from the median of its neighbours by more than this share of the range is a spike.
SPIKE = 0.5
#: An axis this long is also used with two voxels averaged: images are often interpolated to twice their resolution.
LONG_AXIS = 320


@dataclass(frozen=True, slots=True)
class RealVolume:
    """A row of `real_volumes.csv`; `path` below the folder of the data."""

    path: Path
    part: str
    modality: Modality
    anatomy: str
    scanner: str
    licence: str

    @property
    def name(self) -> str:
        return f"{self.scanner} {self.anatomy} ({self.path.name})"


def real_volumes(part: str) -> tuple[RealVolume, ...]:
    """The volumes of a part: training, validation or test."""
    with resources.files(__package__).joinpath("real_volumes.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return tuple(
        RealVolume(
            Path(row["path"]), row["part"], Modality(row["modality"]), row["anatomy"], row["scanner"], row["licence"]
        )
        for row in rows
        if row["part"] == part
    )


def read_real(data: Path, volume: RealVolume, rim: float = RIM_SHARE) -> Float32:
    """The volume (z, y, x) scaled to 0 to about 1, without its rim. Raises VolumeError when it cannot be read."""
    image = read_series(data / volume.path)
    return scaled(sitk.GetArrayFromImage(image), volume.modality, rim)


def scaled(values: Float32, modality: Modality, rim: float = RIM_SHARE) -> Float32:
    """The volume (z, y, x) scaled to 0 to about 1 by its whole range, without its rim."""
    low, high = intensity_range(values, modality)
    made: Float32 = (without_rim(values, rim) - low) / (high - low)
    return made


def without_rim(values: Float32, rim: float) -> Float32:
    """The volume (z, y, x) less a share `rim` of rows and columns at each side."""
    rows, columns = (round(size * rim) for size in values.shape[1:])
    return values[:, rows : values.shape[1] - rows, columns : values.shape[2] - columns]


def turned(values: Float32) -> tuple[Float32, Float32]:
    """The volume (z, y, x) as two stacks of thin slices, (y, z, x) along its columns and (x, z, y) along its rows."""
    return np.ascontiguousarray(values.transpose(1, 0, 2)), np.ascontiguousarray(values.transpose(2, 0, 1))


def load_real(data: Path, part: str, clean: bool, as_measured: float = 0.0) -> list[ThinStack]:
    """The thin stacks of a part, cleaned of artefacts and noise unless `clean` is False.

    A share `as_measured` of the pairs from cleaned stacks is made of the slices as they were measured.
    """
    return [stack for volume in real_volumes(part) for stack in _of_file(data, volume, clean, as_measured)]


def cleaned(values: Float32) -> Float32:
    """Slices (z, y, x) without spikes and with less noise: what a network should learn to make.

    Spikes become the median of their 3 x 3 neighbours; then Wiener's filter of the measured noise (3 x 3), which leaves
    edges.
    """
    median = ndimage.median_filter(values, size=(1, 3, 3))
    whole = np.where(np.abs(values - median) > SPIKE, median, values)
    variance = float(noise_deviation(torch.from_numpy(whole)[None, None])) ** 2
    if variance == 0:
        return whole
    with np.errstate(divide="ignore", invalid="ignore"):  # where a neighbourhood is constant
        smooth = np.stack([signal.wiener(one, (3, 3), noise=variance) for one in whole])
    return np.where(np.isfinite(smooth), smooth, whole).astype(np.float32)


def thin_stacks(
    name: str, thin: Float32, measured: Float32, as_measured: float, axes: str = "yx"
) -> Iterator[ThinStack]:
    """The stacks of a volume (z, y, x) along the given axes, long ones also halved."""
    for axis, stack, noisy in zip("yx", turned(thin), turned(measured), strict=True):
        if axis not in axes:
            continue
        yield ThinStack(f"{name} along {axis}", stack.astype(np.float16), noisy.astype(np.float16), as_measured)
        if len(stack) >= LONG_AXIS:
            yield ThinStack(f"{name} along {axis}, halved", _halved(stack), _halved(noisy), as_measured)


def _of_file(data: Path, volume: RealVolume, clean: bool, as_measured: float) -> Iterator[ThinStack]:
    values = read_real(data, volume)
    return thin_stacks(volume.name, cleaned(values) if clean else values, values, as_measured)


def _halved(stack: Float32) -> Float16:
    pairs = stack[: len(stack) // 2 * 2].reshape(-1, 2, *stack.shape[1:])
    return pairs.mean(axis=1).astype(np.float16)
