"""A series as a scanner would store it, before it is encoded: headers as data sets, pixels as volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class ScannerVolume:
    """One stack of parallel slices.

    `image` is float, x-y-z, LPS in mm; stored value times `slope` gives its values. `acquired_s` is the start of
    the acquisition in s after the start of the study; `elements` is what holds for the whole volume.
    """

    image: sitk.Image
    acquired_s: float
    elements: Dataset = field(default_factory=Dataset)
    slope: float = 1.0


@dataclass(frozen=True, slots=True)
class SlicePlace:
    """Where one slice stands: index along the third image axis, volume in the series, Instance Number."""

    index: int
    volume_index: int
    instance_number: int
    position: tuple[float, float, float]
    location: float


def _no_elements(volume: ScannerVolume, place: SlicePlace) -> Dataset:
    return Dataset()


@dataclass(frozen=True, slots=True)
class ScannerSeries:
    """One series.

    `slice_elements` gives what the vendor writes anew for each slice (it must set the same tags every time).
    `slices_first` says how instances are numbered: slice by slice through one volume after the other, or all
    volumes of a slice and then the next slice. `slice_period_s` separates the Acquisition Times of neighbouring
    slices of a 2D measurement. `reconstructed_s` (after the start of the study) gives Content Time. `tileable`
    series are those that some scanners can store as one sheet a volume.
    """

    number: int
    description: str
    elements: Dataset
    volumes: tuple[ScannerVolume, ...]
    reconstructed_s: float
    slice_elements: Callable[[ScannerVolume, SlicePlace], Dataset] = _no_elements
    slices_first: bool = True
    slice_period_s: float = 0.0
    tileable: bool = False


@dataclass(frozen=True, slots=True)
class StorageFormat:
    """How a vendor stores pixels and times: bits, sign, extreme values, decimals of a second."""

    bits_stored: int
    signed: bool
    extremes: bool
    time_digits: int

    @property
    def largest(self) -> int:
        """The largest value that can be stored."""
        return int(2 ** (self.bits_stored - self.signed) - 1)


def places(series: ScannerSeries) -> list[SlicePlace]:
    """Every slice of the series in the order of its Instance Number."""
    order = [
        (volume_index, index)
        for volume_index, volume in enumerate(series.volumes)
        for index in range(volume.image.GetDepth())
    ]
    if not series.slices_first:
        order.sort(key=lambda pair: (pair[1], pair[0]))
    return [
        _place(series.volumes[volume_index].image, index, volume_index, number)
        for number, (volume_index, index) in enumerate(order, start=1)
    ]


def _place(image: sitk.Image, index: int, volume_index: int, number: int) -> SlicePlace:
    position = image.TransformIndexToPhysicalPoint((0, 0, index))
    normal = np.reshape(image.GetDirection(), (3, 3))[:, 2]
    return SlicePlace(index, volume_index, number, position, float(normal @ position))
