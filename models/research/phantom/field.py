"""How the patient disturbs the magnetic field: susceptibility map, dipole field, what the scanner's shim leaves.

The field (ppm of B0) of a susceptibility distribution is its convolution with the field of a dipole, in k-space a
product with 1/3 - kz²/k² (Salomir et al., Concepts Magn Reson B 2003;19:26-34; Marques & Bowtell, Concepts Magn Reson
B 2005;25:65-78). Susceptibilities: water -9.05, air 0.36, titanium 182 ppm (Schenck, Med Phys 1996;23:815-850);
cortical bone -11.3 ppm (Hopkins & Wehrli, Magn Reson Med 1997;37:494-500). Everything else, marrow and fat too, is
taken as water.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from models.research.phantom.anatomy import BODY_BOX, draw_anatomy
from models.research.phantom.lattice import IDENTITY, Array, every, indices, interpolate, lattice, points, vector
from models.research.phantom.raster import TissueMap, rasterise
from models.research.phantom.tissue import Tissue
from models.volume import Grid

FIELD_SPACING_MM = 4.5
LARGEST_PPM = 60.0
WATER_PPM = -9.05
SUSCEPTIBILITIES_PPM = {Tissue.AIR: 0.36, Tissue.GAS: 0.36, Tissue.CORTICAL_BONE: -11.3, Tissue.IMPLANT: 182.0}
_TABLE = np.array([SUSCEPTIBILITIES_PPM.get(tissue, WATER_PPM) for tissue in Tissue], dtype=np.float32)
SHIM_HALF_MM = (100.0, 70.0, 70.0)
"""Half edges (x, y, z) of the box around the hips' middle in which a second-order shim is fitted (an assumption)."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Shimmed field in ppm of B0 (z, y, x) on a coarse LPS grid."""

    grid: Grid
    ppm: Array

    def moved(self, offset: npt.ArrayLike) -> FieldMap:
        """The field of the patient moved by `offset` (mm). `offset`: (3,), x, y, z."""
        origin = vector(np.asarray(self.grid.origin) + np.asarray(offset))
        return replace(self, grid=replace(self.grid, origin=origin))

    def on(self, grid: Grid) -> Array:
        """Field at the voxels of any grid (z, y, x), interpolated linearly; continued by its border outside."""
        known = lattice(grid.size, grid.spacing, FIELD_SPACING_MM)
        z, y, x = np.meshgrid(*known[::-1], indexing="ij")
        place = indices(self.grid, points(grid, np.stack([x, y, z], axis=-1)))
        coarse = ndimage.map_coordinates(self.ppm, np.moveaxis(place[..., ::-1], -1, 0), order=1, mode="nearest")
        return interpolate(coarse.astype(np.float32), known, every((0, 0, 0), grid.size))


@lru_cache(maxsize=2)
def field_map(seed: int) -> FieldMap:
    """The field in patient `seed` at rest."""
    anatomy = draw_anatomy(seed)
    lower, upper = anatomy.deformation.box(BODY_BOX)
    size = np.ceil((upper - lower) / FIELD_SPACING_MM).astype(int) + 1
    grid = Grid((int(size[0]), int(size[1]), int(size[2])), (FIELD_SPACING_MM,) * 3, vector(lower), IDENTITY)
    painted = rasterise(anatomy.field_layers, anatomy.deformation, grid, Tissue.MUSCLE)
    ppm = dipole_field(_susceptibility(painted), FIELD_SPACING_MM)
    inside = painted.top != Tissue.AIR
    shimmed = _shimmed(ppm, inside, grid, anatomy.deformation.place((0.0, 0.0, 0.0)))
    return FieldMap(grid, shimmed.clip(-LARGEST_PPM, LARGEST_PPM))


def dipole_field(susceptibility: Array, spacing_mm: float) -> Array:
    """Field (ppm of B0, which runs along z) of a susceptibility (ppm; z, y, x).

    Beside and behind the map the air of its first voxel goes on; upwards the map repeats itself.
    """
    depth, height, width = susceptibility.shape
    wide = (fft.next_fast_len(depth, real=True), *(fft.next_fast_len(round(1.4 * n)) for n in (height, width)))
    padded = np.full(wide, susceptibility[0, 0, 0], dtype=np.float32)
    padded[:depth, :height, :width] = susceptibility
    padded[depth:, :height, :width] = susceptibility[-1]
    kz, ky = (np.fft.fftfreq(n, spacing_mm).astype(np.float32) ** 2 for n in wide[:2])
    kx = np.fft.rfftfreq(wide[2], spacing_mm).astype(np.float32) ** 2
    square = kz[:, None, None] + ky[None, :, None] + kx[None, None, :]
    square[0, 0, 0] = 1
    kernel = np.float32(1 / 3) - kz[:, None, None] / square
    kernel[0, 0, 0] = 0
    field = fft.irfftn(fft.rfftn(padded) * kernel, s=wide)
    return np.ascontiguousarray(field[:depth, :height, :width], dtype=np.float32)


def _susceptibility(painted: TissueMap) -> Array:
    share = painted.share.astype(np.float32) / 255
    return np.asarray(share * _TABLE[painted.top] + (1 - share) * _TABLE[painted.under], dtype=np.float32)


def _shimmed(ppm: Array, inside: npt.NDArray[np.bool_], grid: Grid, centre: npt.NDArray[np.float64]) -> Array:
    """The field less the second-order polynomial that fits it best in the shim box."""
    axes = [
        ((grid.origin[axis] + np.arange(grid.size[axis]) * grid.spacing[axis] - centre[axis]) / 100).astype(np.float32)
        for axis in range(3)
    ]
    x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
    box = [np.abs(axis) <= half / 100 for axis, half in zip(axes, SHIM_HALF_MM, strict=True)]
    used = inside & box[2][:, None, None] & box[1][None, :, None] & box[0][None, None, :]
    terms = [np.ones_like(ppm[:1, :1, :1]), x, y, z, x * x, y * y, z * z, x * y, y * z, x * z]
    # Every other voxel is enough for ten coefficients.
    columns = np.stack([np.broadcast_to(term, ppm.shape)[used][::2] for term in terms], axis=1)
    # What metal and gas do nearby is not the shim's business: two passes, the second without the outliers.
    values = ppm[used][::2]
    kept = np.abs(values - np.median(values)) < 3
    coefficients = np.linalg.lstsq(columns[kept].astype(np.float64), values[kept].astype(np.float64), rcond=None)[0]
    result = ppm.copy()
    for coefficient, term in zip(coefficients, terms, strict=True):
        result -= np.float32(coefficient) * term
    return result
