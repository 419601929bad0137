"""One measurement of one patient: the anatomy sampled once, then measured with as many contrasts as needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.phantom.acquisition import (
    CoilField,
    acquired_samples,
    magnitude,
    noise_deviation,
    reconstruct,
    sample_k_space,
    sampling_grid,
    slice_weights,
    through_slices,
)
from models.phantom.anatomy import BODY_BOX
from models.phantom.lattice import Array, Index, covering, window
from models.phantom.planning import Measurement
from models.phantom.specimen import Contrast, Patient, Specimen, prepare
from models.phantom.tissue import Tissue
from models.volume import Grid, divided

HIGH_RESOLUTION_FACTOR = 4
"""High-resolution references cut the slice distance into this many slices."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A measurement's window with the anatomy sampled in it.

    `grid`: the window of the reconstructed grid; `body`: index range (x-y-z start, stop) within it where the body is,
    outside of which there is air; `specimen`: that part, sampled by `oversampling` in plane and `subslices` through it,
    one slice more at either end.
    """

    measurement: Measurement
    grid: Grid
    body: tuple[Index, Index]
    specimen: Specimen


def expose(
    patient: Patient,
    field_strength_t: float,
    measurement: Measurement,
    part: tuple[Index, Index] | None = None,
) -> Exposure:
    """Sample the patient for a measurement, or for the index range `part` (start, stop) of its grid only."""
    start, stop = part or ((0, 0, 0), measurement.grid.size)
    grid = window(measurement.grid, start, stop)
    first, last = covering(grid, *patient.anatomy.deformation.box(BODY_BOX))
    body = ((first[0], first[1], 0), (last[0], last[1], grid.size[2]))
    fine = sampling_grid(measurement, grid, *body)
    return Exposure(measurement, grid, body, prepare(patient, fine, field_strength_t))


def measure(
    exposure: Exposure,
    contrast: Contrast,
    coil: CoilField,
    gain: float,
    field_strength_t: float,
    rng: np.random.Generator,
) -> Array:
    """The image (z, y, x): slice profile, k-space, coil sensitivity, gain, and Rician noise drawn from `rng`."""
    deviation = gain * noise_deviation(exposure.measurement, field_strength_t)
    image = _image(exposure, _per_slice(exposure, exposure.specimen.signal(contrast)))
    image *= coil.values(exposure.grid)
    image *= np.float32(gain)
    real = image + _noise(exposure, rng, deviation)
    return magnitude(real, _noise(exposure, rng, deviation))


def thin_slices(measurement: Measurement) -> Measurement:
    """The measurement sampled as finely through the slices as `measure_thin` needs it."""
    return replace(measurement, subslices=HIGH_RESOLUTION_FACTOR)


def measure_thin(exposure: Exposure, contrast: Contrast, coil: CoilField, gain: float) -> tuple[Grid, Array]:
    """Grid and image (z, y, x) of the same measurement without noise, in slices of a quarter of the slice distance.

    The exposure must be one of `thin_slices`.
    """
    grid = divided(exposure.grid, (1, 1, HIGH_RESOLUTION_FACTOR))
    signal = exposure.specimen.signal(contrast)
    # One slice more at either end is sampled for the slice profile; thin slices need none.
    image = _image(exposure, signal[HIGH_RESOLUTION_FACTOR:-HIGH_RESOLUTION_FACTOR])
    image *= coil.values(grid)
    image *= np.float32(gain)
    return grid, np.maximum(image, 0)


def tumour_share(exposure: Exposure) -> Array:
    """Fraction of each voxel (z, y, x) of the measured grid that is tumour, weighted by the slice profile."""
    covered = _per_slice(exposure, exposure.specimen.map.coverage(Tissue.TUMOUR))
    q = exposure.measurement.oversampling
    slices, rows, columns = covered.shape
    pixels = covered.reshape(slices, rows // q, q, columns // q, q).mean(axis=(2, 4))
    share = np.zeros(exposure.grid.size[::-1], dtype=np.float32)
    (x0, y0, _), (x1, y1, _) = exposure.body
    share[:, y0:y1, x0:x1] = pixels
    return share


def tumour_mask(exposure: Exposure) -> npt.NDArray[np.uint8]:
    """Voxels (z, y, x) of which at least half is tumour."""
    return (tumour_share(exposure) >= 0.5).astype(np.uint8)


def _per_slice(exposure: Exposure, signal: Array) -> Array:
    measurement = exposure.measurement
    weights = slice_weights(
        exposure.grid.size[2],
        measurement.subslices,
        measurement.slice_thickness_mm,
        measurement.grid.spacing[2],
    )
    return through_slices(signal, weights)


def _image(exposure: Exposure, slices: Array) -> Array:
    """Slices of the body's part on the oversampled grid -> reconstructed slices of the whole window."""
    q = exposure.measurement.oversampling
    columns, rows, _ = exposure.grid.size
    (x0, y0, _), (x1, y1, _) = exposure.body
    full = np.zeros((slices.shape[0], rows * q, columns * q), dtype=np.float32)
    full[:, y0 * q : y1 * q, x0 * q : x1 * q] = slices
    return reconstruct(sample_k_space(full, _acquired(exposure)), (columns, rows))


def _noise(exposure: Exposure, rng: np.random.Generator, deviation: float) -> Array:
    columns, rows, slices = exposure.grid.size
    acquired = _acquired(exposure)
    samples = rng.standard_normal((slices, acquired[1], acquired[0]), dtype=np.float32)
    return reconstruct(samples * np.float32(deviation), (columns, rows))


def _acquired(exposure: Exposure) -> tuple[int, int]:
    """Acquired columns and rows of the window: its share of the whole matrix."""
    columns, rows, _ = exposure.grid.size
    whole = exposure.measurement.grid.size
    return acquired_samples(exposure.measurement, (columns / whole[0], rows / whole[1]))
