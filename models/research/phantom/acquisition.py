"""From the signal of the anatomy to the image: slice profile, k-space, coil sensitivity, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from models.research.phantom.lattice import Array, Index, points, window
from models.research.phantom.planning import Measurement
from models.volume import Grid, divided

PROFILE_ORDER = 4
"""Exponent of the slice profile: 2 is a Gaussian, larger ones approach the ideal box."""


def sampling_grid(measurement: Measurement, grid: Grid, start: Index, stop: Index) -> Grid:
    """Grid on which the anatomy is sampled for the part `start`-`stop` of `grid`, one slice more at either end."""
    low = (start[0], start[1], start[2] - 1)
    high = (stop[0], stop[1], stop[2] + 1)
    q = measurement.oversampling
    return divided(window(grid, low, high), (q, q, measurement.subslices))


def slice_weights(slices: int, subslices: int, thickness_mm: float, step_mm: float) -> Array:
    """Matrix (slices, (slices + 2) * subslices): the slice profile sampled at the sub-slices; every row adds up to 1.

    The profile exp(-ln 2 |2 d / thickness|^4) has its full width at half maximum at the slice thickness.
    """
    centres = np.arange(slices, dtype=np.float64) + 1
    samples = (np.arange((slices + 2) * subslices) + 0.5) / subslices - 0.5
    distance = np.abs(samples[None, :] - centres[:, None]) * step_mm
    profile = np.exp(-np.log(2) * (2 * distance / thickness_mm) ** PROFILE_ORDER)
    profile[profile < 1e-4] = 0
    return np.asarray(profile / profile.sum(axis=1, keepdims=True), dtype=np.float32)


def through_slices(signal: Array, weights: Array) -> Array:
    """Weighted sums over sub-slices: (sub-slices, y, x) -> (slices, y, x)."""
    result = np.zeros((weights.shape[0], *signal.shape[1:]), dtype=np.float32)
    for out, row in zip(result, weights, strict=True):
        for index in np.flatnonzero(row):
            out += row[index] * signal[index]
    return result


def sample_k_space(image: Array, acquired: tuple[int, int]) -> Array:
    """Acquire slices (z, y, x) with `acquired` (columns, rows) samples: (z, rows, columns) of k-space.

    The field of view is continued by its mirror image, for which the Fourier transform is the cosine transform: no wrap
    and no ringing from the borders, and the same truncation. Scaled so that an image of the acquired matrix would
    keep its values.
    """
    rows, columns = min(acquired[1], image.shape[1]), min(acquired[0], image.shape[2])
    spectrum = fft.dctn(image, axes=(1, 2), norm="ortho")[:, :rows, :columns]
    scale = np.sqrt(acquired[0] * acquired[1] / (image.shape[1] * image.shape[2]))
    samples = np.zeros((image.shape[0], acquired[1], acquired[0]), dtype=np.float32)
    samples[:, :rows, :columns] = spectrum * np.float32(scale)
    return samples


def reconstruct(samples: Array, pixels: tuple[int, int]) -> Array:
    """Zero-filled reconstruction (z, y, x) at `pixels` (columns, rows) of samples (z, rows, columns).

    Outer k-space is damped by a raised cosine, as scanners do against Gibbs ringing.
    """
    slices, rows, columns = samples.shape
    damped = samples * (_filter(rows)[:, None] * _filter(columns)[None, :])
    full = np.zeros((slices, pixels[1], pixels[0]), dtype=np.float32)
    full[:, : min(rows, pixels[1]), : min(columns, pixels[0])] = damped[:, : pixels[1], : pixels[0]]
    scale = np.sqrt(pixels[0] * pixels[1] / (rows * columns))
    return np.asarray(fft.idctn(full, axes=(1, 2), norm="ortho") * np.float32(scale), dtype=np.float32)


def _filter(length: int) -> Array:
    """Raised cosine over the outer quarter of k-space, 1 inside and 0.3 at its rim."""
    position = np.arange(length) / length
    damped = 0.65 + 0.35 * np.cos(np.pi * np.clip((position - 0.75) / 0.25, 0, 1))
    return damped.astype(np.float32)


@dataclass(frozen=True, slots=True)
class CoilField:
    """Smooth receive sensitivity: exp of a quadratic polynomial around `centre` (LPS, mm), falling off in z."""

    centre: tuple[float, float, float]
    linear: tuple[float, float, float]
    quadratic: tuple[float, float, float]

    def values(self, grid: Grid) -> Array:
        """Sensitivity at the voxels of `grid` (z, y, x)."""
        shape = grid.size[::-1]
        axes = [np.arange(size, dtype=np.float32) for size in grid.size]
        step = (grid.axes * np.asarray(grid.spacing)).astype(np.float32)
        origin = np.asarray(points(grid, (0, 0, 0)) - np.asarray(self.centre)).astype(np.float32)
        exponent = np.zeros(shape, dtype=np.float32)
        for row in range(3):
            place = (
                origin[row]
                + step[row, 0] * axes[0][None, None, :]
                + step[row, 1] * axes[1][None, :, None]
                + step[row, 2] * axes[2][:, None, None]
            ) / np.float32(100)
            exponent += np.float32(self.linear[row]) * place - np.float32(self.quadratic[row]) * place**2
        return np.exp(np.clip(exponent, -3, 0.8))


def draw_coil_field(rng: np.random.Generator, centre: tuple[float, float, float], field_strength_t: float) -> CoilField:
    """Sensitivity of a pelvic array after prescan normalisation; what is left is stronger at 3 T.

    In a fifth of the series, more or less normalised, the front is clearly brighter (shares: assumptions).
    """
    strength = 0.06 if field_strength_t > 2 else 0.04
    a, b, c = (float(value) for value in rng.normal(0, strength, 3))
    x, y = (float(value) for value in rng.normal(-0.02, strength, 2))
    poor, surplus = rng.random() < 0.2, float(rng.uniform(0.1, 0.45))
    if poor:
        b, x, y = b - surplus, x - 0.4 * surplus, y - 0.6 * surplus
    return CoilField(centre, (a, b, c / 2), (x, y - 0.04, float(rng.uniform(0.12, 0.25))))


def noise_deviation(measurement: Measurement, field_strength_t: float) -> float:
    """Standard deviation of the noise of each channel, relative to water of full magnetisation.

    Signal-to-noise rises with the field strength and with the square root of the acquired voxel volume: a site that
    chooses smaller voxels makes up for half of the loss by averaging (an assumption; averages are not in the table).
    """
    protocol = measurement.protocol
    field_of_view = protocol.pixel_spacing_mm * protocol.reconstructed
    volume = (field_of_view / measurement.matrix[0]) * (field_of_view / measurement.matrix[1])
    volume *= measurement.slice_thickness_mm
    reference, deviation = _NOISE[measurement.kind]
    return float(deviation * (3.0 / field_strength_t) * np.sqrt(reference / volume))


# kind: voxel volume (mm³) and noise (of full magnetisation) at 3 T there
_NOISE = {
    "T2WI": (6.0, 0.009),
    "T2WI_SAG": (6.0, 0.009),
    "DWI": (20.0, 0.007),
    "DCE": (6.0, 0.0022),
    "LOCALIZER": (48.0, 0.012),
}


def acquired_samples(measurement: Measurement, share: tuple[float, float]) -> tuple[int, int]:
    """Acquired columns and rows of a part `share` (columns, rows) of the field of view."""
    columns, rows = measurement.matrix
    return max(1, round(columns * share[0])), max(1, round(rows * share[1]))


def magnitude(real: Array, imaginary: Array) -> Array:
    """Magnitude of a noisy complex image: Rician where the signal lies in one channel. Both are (z, y, x)."""
    return np.asarray(np.sqrt(real * real + imaginary * imaginary))
