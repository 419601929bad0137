"""The smooth displacement and the textures that make every patient's pelvis another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from models.research.phantom.lattice import Array, Vector, vector
from models.research.phantom.sex import Sex

BLOCK = 96
BLOCK_SPACING_MM = 1.0


@dataclass(frozen=True, slots=True)
class Swell:
    """A displacement that lasts for a time: around `centre` (anatomical frame, mm), with a Gaussian of `width_mm`.

    `shift` (mm) moves the tissue along, `growth` lets it expand by that share at the centre.
    """

    centre: Vector
    width_mm: float
    shift: Vector
    growth: float = 0.0


@dataclass(frozen=True)
class Deformation:
    """Anatomical frame of a patient: stretched by `scale`, then displaced by a sum of plane waves, moved by `offset`.

    waves (n, 3) in rad/mm, phases (n,), amplitudes (n, 3) in mm, offset in mm (LPS); `swells` come on top.
    """

    scale: Vector
    offset: Vector
    waves: Array
    phases: Array
    amplitudes: Array
    swells: tuple[Swell, ...] = ()

    @cached_property
    def reach(self) -> Vector:
        """No point of the pelvis moves further than this along x, y, z (mm): largest of a coarse sample, and 10 %."""
        x, y, z = np.meshgrid(*(np.arange(-220, 221, 20, dtype=np.float32),) * 3, indexing="ij")
        return vector([1.1 * np.abs(part).max() for part in self.displacement(x, y, z)])

    def place(self, point: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where an anatomical point (mm) lies in LPS, but for the displacement. `point`: (3,), x, y, z."""
        return np.asarray(point, dtype=np.float64) * np.asarray(self.scale) + np.asarray(self.offset)

    def box(
        self, box: tuple[Vector, Vector], margin: float = 0.0
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """LPS box (mm) that holds an anatomical box wherever it is displaced to, and `margin` around it."""
        reach = np.asarray(self.reach) * self.scale + margin
        return self.place(box[0]) - reach, self.place(box[1]) + reach

    def displacement(self, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Displacement (mm) along x, y, z at points given as three arrays of one shape."""
        total = [np.zeros(x.shape, dtype=np.float32) for _ in range(3)]
        for wave, phase, amplitude in zip(self.waves, self.phases, self.amplitudes, strict=True):
            value = np.sin(wave[0] * x + wave[1] * y + wave[2] * z + phase)
            for axis in range(3):
                total[axis] += amplitude[axis] * value
        for swell in self.swells:
            away = [axis - np.float32(c) for axis, c in zip((x, y, z), swell.centre, strict=True)]
            near = np.exp(-(away[0] ** 2 + away[1] ** 2 + away[2] ** 2) / np.float32(2 * swell.width_mm**2))
            for axis in range(3):
                # The displacement leads from the place in the scanner back to the place in the anatomy.
                total[axis] -= near * (np.float32(swell.shift[axis]) + np.float32(swell.growth) * away[axis])
        return total[0], total[1], total[2]


FEMALE_SCALE = (1.03, 0.97, 0.93)
"""A woman's true pelvis against a man's: wider and shallower (an approximation at this resolution)."""


def draw_deformation(rng: np.random.Generator, sex: Sex, size_mm: float = 1.4, count: int = 9) -> Deformation:
    """Random deformation with wavelengths of 80 to 250 mm and about `size_mm` a wave and axis; scales ± 7 %."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths = rng.uniform(80, 250, (count, 1))
    return Deformation(
        scale=vector(rng.uniform(0.94, 1.07, 3) * (FEMALE_SCALE if sex is Sex.FEMALE else 1.0)),
        offset=vector(rng.uniform((-10, -12, -15), (10, 12, 15))),
        waves=(directions * 2 * np.pi / lengths).astype(np.float32),
        phases=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
        amplitudes=(rng.standard_normal((count, 3)).clip(-2, 2) * size_mm).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Texture:
    """A periodic random field of unit variance, placed and scaled for one patient.

    `scale` stretches the block: 1.0 gives structures of about `grain` mm. `mean` and `deviation` are taken out of it.
    """

    grain_mm: float
    offset: Vector
    scale: float = 1.0
    mean: float = 0.0
    deviation: float = 1.0

    def values(self, x: Array, y: Array, z: Array) -> Array:
        """Field at points given as three arrays of one shape (mm)."""
        where = [
            (axis / np.float32(self.scale) + np.float32(shift)) / np.float32(BLOCK_SPACING_MM)
            for axis, shift in zip((z, y, x), self.offset, strict=True)
        ]
        field = ndimage.map_coordinates(
            texture_block(self.grain_mm), [axis % BLOCK for axis in where], order=1, mode="grid-wrap"
        )
        return np.asarray((field - np.float32(self.mean)) / np.float32(self.deviation), dtype=np.float32)

    def standardised(self, x: Array, y: Array, z: Array) -> Texture:
        """The same field with a mean of 0 and a variance of 1 over the given points (mm), of which there are some.

        The coordinates have one shape.
        """
        field = self.values(x, y, z)
        mean, deviation = float(field.mean()), float(field.std())
        return replace(self, mean=self.mean + self.deviation * mean, deviation=self.deviation * deviation)


def draw_texture(rng: np.random.Generator, grain_mm: float, scale: float = 1.0) -> Texture:
    """A texture placed at random."""
    x, y, z = (float(value) for value in rng.uniform(0, BLOCK, 3))
    return Texture(grain_mm, (x, y, z), scale)


@lru_cache(maxsize=8)
def texture_block(grain_mm: float) -> Array:
    """Periodic Gaussian field (BLOCK³, z-y-x) of zero mean and unit variance with structures of `grain_mm`."""
    noise = np.random.default_rng(round(grain_mm * 1000)).standard_normal((BLOCK,) * 3).astype(np.float32)
    frequency = np.fft.fftfreq(BLOCK, BLOCK_SPACING_MM).astype(np.float32)
    half = np.fft.rfftfreq(BLOCK, BLOCK_SPACING_MM).astype(np.float32)
    square = frequency[:, None, None] ** 2 + frequency[None, :, None] ** 2 + half[None, None, :] ** 2
    # A Gaussian of standard deviation grain / 4 correlates over about one grain.
    spectrum = fft.rfftn(noise) * np.exp(-2 * (np.pi * grain_mm / 4) ** 2 * square)
    spectrum[0, 0, 0] = 0
    field = fft.irfftn(spectrum, s=noise.shape)
    return np.asarray(field / field.std(), dtype=np.float32)
