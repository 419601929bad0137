"""Looks of a tumour that grade does not draw: necrotic cores, mucin up to near fluid, fibrosis; DCE that shows fat.

Only patients from seed `FIRST_WIDE` on have them, so that every patient of the older cohorts stays as he is, bit for
bit. They are for the segmentation: grade and its oracle are drawn as before, and know nothing of the look.

Necrosis: fluid without perfusion in the depth of the tumour, 5 to 40 % of its volume. Mucin: pools with T2 and ADC up
to those of fluid, as its very high signal on T2WI says. Fibrosis: strands as dark as muscle on T2WI, with a low
perfusion. Values and shares are assumptions of this simulation; they spread evenly over what is seen, as do the
growths, since rare looks are to be learned, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import norm

from models.research.phantom.lattice import Array, Vector
from models.research.phantom.streams import stream
from models.research.phantom.tissue import T1_RATIO_3T_TO_1_5T, Properties
from models.volume import Grid

FIRST_WIDE = 2_000_000
"""Patients from this seed on have a look."""
FAT_SHOWN_SHARE = 0.35
"""Share of their dynamic series without fat suppression."""


class Kind(StrEnum):
    """What a tumour holds beside solid tissue."""

    SOLID = "solid"
    NECROTIC = "necrotic"
    MUCINOUS = "mucinous"
    FIBROTIC = "fibrotic"


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one tumour.

    share: of its volume that is not solid; t1_3t_ms, t2_ms, adc_um2_s (10⁻⁶ mm²/s): of that part; perfusion: its
    Ktrans and plasma volume against the solid part's; fat_shown: the dynamic series is not fat suppressed.
    """

    kind: Kind
    share: float
    t1_3t_ms: float
    t2_ms: float
    adc_um2_s: float
    perfusion: float
    fat_shown: bool


# share of tumours; of the volume; T1 at 3 T; T2; ADC; perfusion
_RANGES: dict[Kind, tuple[float, tuple[tuple[float, float], ...]]] = {
    Kind.SOLID: (0.3, ((0.0, 0.0), (1500, 1500), (67, 67), (1030, 1030), (1, 1))),
    Kind.NECROTIC: (0.3, ((0.05, 0.4), (1900, 2800), (110, 260), (1500, 2400), (0.0, 0.08))),
    Kind.MUCINOUS: (0.25, ((0.4, 0.9), (1900, 3000), (100, 380), (1400, 2500), (0.1, 0.5))),
    Kind.FIBROTIC: (0.15, ((0.25, 0.7), (1000, 1350), (30, 46), (850, 1300), (0.2, 0.6))),
}


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep a point lies in the tumour (mm, z-y-x on `grid`), and from which depth on it is core."""

    grid: Grid
    values: Array
    least_mm: float

    def core(self, place: Array) -> npt.NDArray[np.bool_]:
        """Which of the points (n, 3; mm, as the grid) lie in the core."""
        index = (place - np.asarray(self.grid.origin, np.float32)) / np.asarray(self.grid.spacing, np.float32)
        found = ndimage.map_coordinates(self.values, index[:, ::-1].T, order=1, mode="nearest")
        return np.asarray(found > self.least_mm)


def look_of(seed: int) -> Look | None:
    """The look of patient `seed`, from a random stream of its own; None of the older cohorts."""
    if seed < FIRST_WIDE:
        return None
    rng = stream(seed, "look")
    kind = list(Kind)[int(rng.choice(len(Kind), p=[share for share, _ in _RANGES.values()]))]
    share, t1, t2, adc, perfusion = (float(rng.uniform(*limits)) for limits in _RANGES[kind][1])
    return Look(kind, share, t1, t2, adc, perfusion, bool(rng.random() < FAT_SHOWN_SHARE))


def depth_of(inside: npt.NDArray[np.bool_], grid: Grid, offset: Vector, share: float) -> Depth:
    """Depth in a tumour whose points are `inside` (z, y, x) on `grid`; `share` of them is core.

    `offset` is taken off places, as it is off those of the textures.
    """
    exact = ndimage.distance_transform_edt(np.pad(inside, 1), grid.spacing[::-1])[1:-1, 1:-1, 1:-1]
    # Smoothed, because points of a lattice lie at few different depths: no other threshold cuts off any share.
    depth = ndimage.gaussian_filter(exact, 1.0).astype(np.float32)
    x, y, z = (float(place - moved) for place, moved in zip(grid.origin, offset, strict=True))
    least = float(np.quantile(depth[inside], 1 - share))
    return Depth(Grid(grid.size, grid.spacing, (x, y, z), grid.direction), depth, least)


def changed(
    solid: Properties, look: Look, core: npt.NDArray[np.bool_] | None, cells: Array, field_strength_t: float
) -> Properties:
    """The properties of tumour elements with what is not solid in its place.

    `core`: the elements in the depth, of a necrotic tumour; elsewhere the part lies where the field `cells` (zero mean,
    unit variance) is high. All have one shape.
    """
    other = core if core is not None else cells > np.float32(norm.ppf(1 - look.share))
    uneven = 1 + np.float32(0.06) * cells
    t1 = np.float32(look.t1_3t_ms / (1 if field_strength_t > 2 else T1_RATIO_3T_TO_1_5T)) * uneven
    t2, adc = np.float32(look.t2_ms) * uneven, np.float32(look.adc_um2_s * 1e-6) * uneven
    perfusion = np.where(other, np.float32(look.perfusion), np.float32(1))
    return replace(
        solid,
        t1=np.where(other, t1, solid.t1),
        t2=np.where(other, t2, solid.t2),
        t2_tse=np.where(other, np.float32(1.04) * t2, solid.t2_tse),
        adc=np.where(other, adc, solid.adc),
        ktrans=solid.ktrans * perfusion,
        vp=solid.vp * perfusion,
    )
