"""One measurement of one patient: the anatomy sampled once, then measured with as many contrasts as needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.research.phantom.acquisition import (
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
from models.research.phantom.anatomy import BODY_BOX
from models.research.phantom.effects import Effects
from models.research.phantom.lattice import Array, Index, covering, window
from models.research.phantom.planning import Measurement
from models.research.phantom.specimen import Contrast, Patient, Specimen, prepare
from models.volume import Grid, divided

HIGH_RESOLUTION_FACTOR = 4
"""High-resolution references cut the slice distance into this many slices."""
FOLDED_STRENGTH = 0.7
"""Sensitivity of the coils to a place just outside the field of view, against one inside (an assumption)."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """A measurement's window with the anatomy sampled in it.

    `grid`: the window of the reconstructed grid; `margin`: rows that are sampled beyond it at the front and the back;
    `body`: index range (x-y-z start, stop) within the sampled rows where the body is, outside of which there is air;
    `specimen`: that part, sampled by `oversampling` in plane and `subslices` through it, one slice more at either end.
    """

    measurement: Measurement
    grid: Grid
    margin: tuple[int, int]
    body: tuple[Index, Index]
    specimen: Specimen

    @property
    def sampled(self) -> Grid:
        """The window with its margins."""
        return _with_margin(self.grid, self.margin)

    @property
    def whole(self) -> bool:
        """Whether the window has all rows of the field of view."""
        return self.grid.size[1] == self.measurement.grid.size[1]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Coil sensitivity, gain, and noise against that of an average examination."""

    coil: CoilField
    gain: float
    noise: float = 1.0


@dataclass(frozen=True, slots=True)
class Signal:
    """Signals of a volume: that of water, and of the fat that its suppression leaves if it moves on its own."""

    water: Contrast
    fat: Contrast | None = None


def expose(
    patient: Patient,
    field_strength_t: float,
    measurement: Measurement,
    part: tuple[Index, Index] | None = None,
    effects: Effects | None = None,
) -> Exposure:
    """Sample the patient for a measurement, or for the index range `part` (start, stop) of its grid only.

    `effects`: those of the volume to come, which may bring in signal from beyond the window.
    """
    start, stop = part or ((0, 0, 0), measurement.grid.size)
    grid = window(measurement.grid, start, stop)
    margin = effects.margin_rows(grid, measurement.grid) if effects is not None else (0, 0)
    sampled = _with_margin(grid, margin)
    first, last = covering(sampled, *patient.anatomy.deformation.box(BODY_BOX))
    body = ((first[0], first[1], 0), (last[0], last[1], grid.size[2]))
    fine = sampling_grid(measurement, sampled, *body)
    return Exposure(measurement, grid, margin, body, prepare(patient, fine, field_strength_t))


def measure(
    exposure: Exposure,
    signal: Signal,
    receiver: Receiver,
    effects: Effects,
    field_strength_t: float,
    rng: np.random.Generator,
) -> Array:
    """The image (z, y, x): slice profile, effects, k-space, coil, gain, and Rician noise drawn from `rng`."""
    deviation = receiver.gain * receiver.noise * noise_deviation(exposure.measurement, field_strength_t)
    parts = [
        (_per_slice(exposure, exposure.specimen.signal(contrast)), contrast is signal.fat)
        for contrast in (signal.water, signal.fat)
        if contrast is not None
    ]
    image = _image(exposure, parts, effects, exposure.sampled)
    image *= receiver.coil.values(exposure.grid)
    image *= np.float32(receiver.gain)
    real = image + _noise(exposure, rng, deviation)
    return magnitude(real, _noise(exposure, rng, deviation))


def thin_slices(measurement: Measurement) -> Measurement:
    """The measurement sampled as finely through the slices as `measure_thin` needs it."""
    return replace(measurement, subslices=HIGH_RESOLUTION_FACTOR)


def measure_thin(exposure: Exposure, signal: Signal, receiver: Receiver, effects: Effects) -> tuple[Grid, Array]:
    """Grid and image (z, y, x) of the same measurement without noise, in slices of a quarter of the slice distance.

    The exposure must be one of `thin_slices`. Effects are those of the measurement.
    """
    grid = divided(exposure.grid, (1, 1, HIGH_RESOLUTION_FACTOR))
    sampled = divided(exposure.sampled, (1, 1, HIGH_RESOLUTION_FACTOR))
    # One slice more at either end is sampled for the slice profile; thin slices need none.
    inner = slice(HIGH_RESOLUTION_FACTOR, -HIGH_RESOLUTION_FACTOR)
    parts = [
        (exposure.specimen.signal(contrast)[inner], contrast is signal.fat)
        for contrast in (signal.water, signal.fat)
        if contrast is not None
    ]
    image = _image(exposure, parts, effects, sampled)
    image *= receiver.coil.values(grid)
    image *= np.float32(receiver.gain)
    return grid, np.maximum(image, 0)


def tumour_share(exposure: Exposure, effects: Effects) -> Array:
    """Fraction of each voxel's signal (z, y, x) that comes from tumour, weighted by the slice profile.

    Displaced and moved as the image is: what a reader would outline in it.
    """
    covered = _embedded(exposure, _per_slice(exposure, exposure.specimen.tumour_share()))
    q = exposure.measurement.oversampling
    share = effects.moved_share(covered, divided(exposure.sampled, (q, q, 1)))
    slices, rows, columns = share.shape
    pixels = share.reshape(slices, rows // q, q, columns // q, q).mean(axis=(2, 4))
    return np.asarray(pixels[:, _kept(exposure)], dtype=np.float32)


def tumour_mask(exposure: Exposure, effects: Effects) -> npt.NDArray[np.uint8]:
    """Voxels (z, y, x) of which at least half is tumour."""
    return (tumour_share(exposure, effects) >= 0.5).astype(np.uint8)


def _with_margin(grid: Grid, margin: tuple[int, int]) -> Grid:
    columns, rows, slices = grid.size
    return window(grid, (0, -margin[0], 0), (columns, rows + margin[1], slices))


def _kept(exposure: Exposure) -> slice:
    """The rows of the window among the sampled ones."""
    return slice(exposure.margin[0], exposure.margin[0] + exposure.grid.size[1])


def _per_slice(exposure: Exposure, signal: Array) -> Array:
    measurement = exposure.measurement
    weights = slice_weights(
        exposure.grid.size[2],
        measurement.subslices,
        measurement.slice_thickness_mm,
        measurement.grid.spacing[2],
    )
    return through_slices(signal, weights)


def _embedded(exposure: Exposure, slices: Array) -> Array:
    """Slices of the body's part on the oversampled grid -> slices of the whole sampled window."""
    q = exposure.measurement.oversampling
    columns, rows, _ = exposure.sampled.size
    (x0, y0, _), (x1, y1, _) = exposure.body
    full = np.zeros((slices.shape[0], rows * q, columns * q), dtype=np.float32)
    full[:, y0 * q : y1 * q, x0 * q : x1 * q] = slices
    return full


def _image(exposure: Exposure, parts: list[tuple[Array, bool]], effects: Effects, grid: Grid) -> Array:
    """Slices of the body's part (whether of fat alone) on the oversampled grid -> reconstructed slices of the window.

    `grid` is the sampled window with as many slices as the parts have.
    """
    q = exposure.measurement.oversampling
    fine = divided(grid, (q, q, 1))
    first, *others = (effects.moved(_embedded(exposure, slices), fine, fat) for slices, fat in parts)
    image = sum(others, start=first)
    if not exposure.whole:
        return _received(exposure, image, effects, exposure.sampled)[:, _kept(exposure)]
    return _received(exposure, _folded(image, exposure.margin[0] * q), effects, exposure.grid)


def _received(exposure: Exposure, image: Array, effects: Effects, grid: Grid) -> Array:
    """Slices on the oversampled `grid` -> k-space -> pixels of `grid`, with ghosts."""
    pixels = (grid.size[0], grid.size[1])
    made = reconstruct(sample_k_space(image, _acquired(exposure.measurement, pixels)), pixels)
    return made if effects.ghost is None else effects.ghost.added(made, grid)


def _folded(image: Array, rows: int) -> Array:
    """The image (z, y, x) without `rows` at either end, which appear at the other end."""
    if not rows:
        return image
    inner = image[:, rows:-rows].copy()
    inner[:, -rows:] += np.float32(FOLDED_STRENGTH) * image[:, :rows]
    inner[:, :rows] += np.float32(FOLDED_STRENGTH) * image[:, -rows:]
    return inner


def _noise(exposure: Exposure, rng: np.random.Generator, deviation: float) -> Array:
    columns, rows, slices = exposure.grid.size
    acquired = _acquired(exposure.measurement, (columns, rows))
    samples = rng.standard_normal((slices, acquired[1], acquired[0]), dtype=np.float32)
    return reconstruct(samples * np.float32(deviation), (columns, rows))


def _acquired(measurement: Measurement, pixels: tuple[int, int]) -> tuple[int, int]:
    """Acquired columns and rows of a part of `pixels` (columns, rows): its share of the whole matrix."""
    whole = measurement.grid.size
    return acquired_samples(measurement, (pixels[0] / whole[0], pixels[1] / whole[1]))
