"""How an image departs from the anatomy: displaced by field and chemical shift, swayed, ghosted, folded over.

Echo-planar images are displaced along the phase encoding (rows, from front to back, "blip up"): by the off-resonance
divided by the bandwidth per pixel, 1 / (rows x effective echo spacing), so by off-resonance x echo spacing x field of
view in mm, whatever the matrix (Jezzard & Balaban, Magn Reson Med 1995;34:65-73). The signal piles up where the
displacement compresses. Fat that the suppression leaves lies 3.4 ppm below water and moves along. **The mask of an
echo-planar volume is displaced with it**: a reader outlines what is seen, so a voxel is tumour when at least half of
the spins whose signal lands in it are tumour. T2 and dynamic series encode the phase over seconds and are not
displaced, but for the read-out near a metal implant. In a dynamic series the mask of a phase moves with that phase.

Effective echo spacings (with parallel imaging) of 0.26 to 0.40 ms and read-out bandwidths of 250 to 450 Hz a pixel
belong to the site; they are assumptions, the table of protocols has none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.research.phantom.field import FieldMap
from models.research.phantom.lattice import Array
from models.research.phantom.motion import Ghost, Sway
from models.research.phantom.warping import pull_rows, push_rows
from models.volume import Grid

HZ_PER_PPM_AND_T = 42.577
FAT_PPM = -3.4
MARGIN_MM = 32.0
"""So far around a region signal is sampled that may be displaced into it."""


@dataclass(frozen=True, slots=True)
class Displacement:
    """Off-resonance field, and how far (mm) 1 ppm displaces along rows (phase encoding) and columns (read-out)."""

    field: FieldMap
    rows_mm_per_ppm: float = 0.0
    columns_mm_per_ppm: float = 0.0

    def of(self, image: Array, grid: Grid, fat: bool = False) -> Array:
        """The displaced image (z, y, x) of water, or of fat."""
        ppm = self.field.on(grid) + np.float32(FAT_PPM if fat else 0)
        if self.rows_mm_per_ppm:
            image = push_rows(image, ppm * np.float32(self.rows_mm_per_ppm / grid.spacing[1]))
        if self.columns_mm_per_ppm:
            across = ppm.swapaxes(1, 2) * np.float32(self.columns_mm_per_ppm / grid.spacing[0])
            image = push_rows(image.swapaxes(1, 2), across).swapaxes(1, 2)
        return image


@dataclass(frozen=True, slots=True)
class Effects:
    """All that happens to one volume; `fold`: share of the field of view that wraps around at either end."""

    displacement: Displacement | None = None
    sway: Sway | None = None
    ghost: Ghost | None = None
    fold: float = 0.0

    def margin_rows(self, grid: Grid, whole: Grid) -> tuple[int, int]:
        """Rows to sample before and behind the part `grid` of the `whole` measurement."""
        if grid.size[1] == whole.size[1]:
            folded = round(self.fold * whole.size[1])
            return folded, folded
        if self.ghost is not None:
            before = round(float(np.subtract(grid.origin, whole.origin) @ whole.axes[:, 1]) / grid.spacing[1])
            return before, whole.size[1] - before - grid.size[1]
        if self.displacement is not None and self.displacement.rows_mm_per_ppm:
            margin = round(MARGIN_MM / grid.spacing[1])
            return margin, margin
        return 0, 0

    def moved(self, image: Array, grid: Grid, fat: bool = False) -> Array:
        """The image swayed, then displaced. `image`: (z, y, x)."""
        if self.sway is not None:
            image = pull_rows(image, self.sway.rows(grid))
        if self.displacement is not None:
            image = self.displacement.of(image, grid, fat)
        return image

    def moved_share(self, share: Array, grid: Grid) -> Array:
        """Share of a tissue in the signal of each voxel after the same motion; 0 where no signal lands.

        `share`: (z, y, x).
        """
        moved = self.moved(share, grid)
        if self.displacement is None:
            return moved
        landed = self.moved(np.ones_like(share), grid)
        return np.where(landed > 0.1, moved / np.maximum(landed, 0.1), 0).astype(np.float32)
