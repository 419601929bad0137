"""The contents of a grid, ready to be measured: tissue map, texture, and the tumour's own properties voxel by voxel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.research.phantom.anatomy import Anatomy, draw_anatomy
from models.research.phantom.deformation import Texture, draw_texture
from models.research.phantom.grade import TumourBiology, biology_of
from models.research.phantom.lattice import Array, Positions, every, interpolated_slabs, isotropic, lattice, points
from models.research.phantom.looks import Depth, Kind, Look, changed, depth_of, look_of
from models.research.phantom.raster import TissueMap, rasterise
from models.research.phantom.streams import stream
from models.research.phantom.tissue import T1_RATIO_3T_TO_1_5T, Properties, Tissue, draw_properties
from models.research.phantom.tumour import Tumour
from models.volume import Grid

Contrast = Callable[[Properties], Array]
TEXTURE_STEP_MM = 3.5

# Relative texture of the signal, where it differs from the common 3 %.
_TEXTURE = {
    Tissue.AIR: 0.0,
    Tissue.GAS: 0.0,
    Tissue.URINE: 0.01,
    Tissue.FAT: 0.03,
    Tissue.MESORECTAL_FAT: 0.04,
    Tissue.MUSCLE: 0.07,
    Tissue.MARROW: 0.10,
    Tissue.TRANSITION_ZONE: 0.16,
    Tissue.PERIPHERAL_ZONE: 0.08,
    Tissue.SEMINAL_VESICLE: 0.15,
    Tissue.STOOL: 0.25,
    Tissue.MYOMETRIUM: 0.08,
    Tissue.FIBROID: 0.12,
    Tissue.OVARY: 0.12,
    Tissue.GEL: 0.01,
    Tissue.IMPLANT: 0.0,
    Tissue.TUMOUR: 0.0,
}
# Sheets within a tissue: what they are of, and their share at their middle. Septa in fat, streaks of fat in muscle.
_SHEETS = {
    Tissue.FAT: (Tissue.FASCIA, 0.3),
    Tissue.MESORECTAL_FAT: (Tissue.FASCIA, 0.35),
    Tissue.MUSCLE: (Tissue.FAT, 0.4),
}
SHEET_TISSUES = np.array([_SHEETS.get(tissue, (tissue, 0))[0] for tissue in Tissue], dtype=np.uint8)
SHEET_SHARES = np.array([_SHEETS.get(tissue, (tissue, 0))[1] for tissue in Tissue], dtype=np.float32)
LEAST_SHEET = 0.08
SHEET_WIDTH = 0.11
"""Half width of the sheets in standard deviations of their field."""
CELLS_MM, VESSELS_MM = 8.0, 9.0
"""Size of the structures within a tumour (an assumption): slices of 5 to 7 mm do not average them away."""
STANDARDISED_AT_MM = 1.5
"""Distance of the points of a tumour over which its fields are given mean and variance."""
POOLS = 0.35
"""Relative excess of T2 and ADC in the mucin pools of a mucinous tumour (an assumption)."""
AMPLITUDES = np.array([_TEXTURE.get(tissue, 0.03) for tissue in Tissue], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Patient:
    """Everything of a patient that does not depend on the scanner.

    `cells`, `water` and `vessels` have a mean of 0 and a variance of 1 in the tumour as it lies at rest, so that it has
    the means and heterogeneities that were drawn for it. `look` and the `depth` of a necrotic core: of the patients
    that have them (`phantom.looks`).
    """

    seed: int
    anatomy: Anatomy
    biology: TumourBiology | None
    background: Texture
    septa: Texture
    cells: Texture
    water: Texture
    vessels: Texture
    look: Look | None = None
    depth: Depth | None = None


def draw_patient(seed: int) -> Patient:
    """Patient `seed`: anatomy, tumour biology and textures."""
    rng = stream(seed, "texture")
    anatomy = draw_anatomy(seed)
    background, septa = draw_texture(rng, 6.0), draw_texture(rng, 9.0, 2.0)
    cells, vessels, water = (draw_texture(rng, grain) for grain in (CELLS_MM, VESSELS_MM, CELLS_MM))
    if anatomy.tumour is not None:
        inside = _tumour_at_rest(anatomy, anatomy.tumour)
        cells, vessels, water = (field.standardised(*inside) for field in (cells, vessels, water))
    look = look_of(seed)
    patient = Patient(seed, anatomy, biology_of(seed), background, septa, cells, water, vessels, look)
    if look is None or look.kind is not Kind.NECROTIC or anatomy.tumour is None:
        return patient
    return replace(patient, depth=depth_of(*_inside(anatomy, anatomy.tumour), anatomy.deformation.offset, look.share))


def _inside(anatomy: Anatomy, tumour: Tumour) -> tuple[npt.NDArray[np.bool_], Grid]:
    """The points (z, y, x) of a lattice that lie in the tumour, and the lattice."""
    grid = isotropic(*anatomy.deformation.box(tumour.box(), 2.0), STANDARDISED_AT_MM)
    share = rasterise((tumour,), anatomy.deformation, grid).coverage(Tissue.TUMOUR)
    # No tumour is so small that none of these points lies in it, but its fullest one always does.
    return share >= min(0.5, float(share.max())), grid


def _tumour_at_rest(anatomy: Anatomy, tumour: Tumour) -> tuple[Array, Array, Array]:
    """Points x, y, z (mm, each (n,)) of the tumour in the frame of the textures."""
    inside, grid = _inside(anatomy, tumour)
    z, y, x = np.nonzero(inside)
    place = points(grid, np.stack([x, y, z], axis=-1)) - np.asarray(anatomy.deformation.offset)
    return place[:, 0].astype(np.float32), place[:, 1].astype(np.float32), place[:, 2].astype(np.float32)


@dataclass(frozen=True, slots=True)
class Specimen:
    """A painted grid with all that a contrast needs.

    tissues: properties, one element a tissue; texture (z, y, x): factor of the signal; edges: flat indices of voxels of
    two tissues; tumour: flat indices of voxels with tumour; tumour_properties: theirs.
    """

    map: TissueMap
    tissues: Properties
    texture: Array
    edges: npt.NDArray[np.intp]
    tumour: npt.NDArray[np.intp]
    tumour_properties: Properties

    def tumour_share(self) -> Array:
        """Fraction of each voxel (z, y, x) that is tumour."""
        result = np.zeros(self.map.top.shape, dtype=np.float32)
        top, share = (array.reshape(-1)[self.tumour] for array in (self.map.top, self.map.share))
        upper = share.astype(np.float32) / 255
        result.reshape(-1)[self.tumour] = np.where(top == Tissue.TUMOUR, upper, 1 - upper)
        return result

    def signal(self, contrast: Contrast) -> Array:
        """Signal of every voxel (z, y, x) of the grid; two tissues in a voxel add by their shares."""
        table = contrast(self.tissues)
        signal = np.empty(self.map.top.shape, dtype=np.float32)
        # Slice by slice, because the intermediate results of a whole volume would not fit the cache.
        for out, labels, factor in zip(signal, self.map.top, self.texture, strict=True):
            np.multiply(table[labels], factor, out=out)
        flat, top, under = signal.reshape(-1), self.map.top.reshape(-1), self.map.under.reshape(-1)
        below = table[under[self.edges]] * self.texture.reshape(-1)[self.edges]
        if len(self.tumour):
            values = contrast(self.tumour_properties)
            is_top = top[self.tumour] == Tissue.TUMOUR
            flat[self.tumour[is_top]] = values[is_top]
            # The tumour lies under the edge in the others; find their place among the edges.
            place = np.searchsorted(self.edges, self.tumour[~is_top])
            below[place] = values[~is_top]
        share = self.map.share.reshape(-1)[self.edges].astype(np.float32) / 255
        flat[self.edges] = share * flat[self.edges] + (1 - share) * below
        return signal


def prepare(patient: Patient, grid: Grid, field_strength_t: float) -> Specimen:
    """Paint the patient onto `grid` (LPS) and give every voxel its properties."""
    anatomy = patient.anatomy
    painted = rasterise(anatomy.layers, anatomy.deformation, grid)
    texture = _texture(patient, painted)
    edges = np.flatnonzero(painted.share.reshape(-1) < 255)
    is_tumour = painted.top.reshape(-1) == Tissue.TUMOUR
    is_tumour[edges] |= painted.under.reshape(-1)[edges] == Tissue.TUMOUR
    tumour = np.flatnonzero(is_tumour)
    tissues = draw_properties(stream(patient.seed, "tissue"), field_strength_t)
    return Specimen(
        map=painted,
        tissues=tissues,
        texture=texture,
        edges=edges,
        tumour=tumour,
        tumour_properties=_tumour_properties(patient, tissues, grid, tumour, field_strength_t),
    )


def _texture(patient: Patient, painted: TissueMap) -> Array:
    """Texture factor (z, y, x) of every voxel; paints sheets of another tissue into the map, too.

    The factor is a soft mottle. Sheets lie where a second field crosses zero, and come and go with the mottle. Both
    fields are smooth enough to be the same in two neighbouring sub-slices.
    """
    grid = painted.grid
    known = lattice(grid.size, grid.spacing, TEXTURE_STEP_MM)
    x, y, z = every((0, 0, 0), grid.size)
    factor = np.empty(painted.top.shape, np.float32)
    for (pair, soft), (_, sheet) in zip(
        interpolated_slabs(_field(patient, patient.background, grid, known), known, (x, y, z[::2] + 0.5)),
        interpolated_slabs(_field(patient, patient.septa, grid, known), known, (x, y, z[::2] + 0.5)),
        strict=True,
    ):
        # A cheap bell: 1 on the sheet, 0 from its half width on.
        sheet *= np.float32(1 / SHEET_WIDTH)
        np.square(sheet, out=sheet)
        np.subtract(1, sheet, out=sheet)
        sheet *= np.clip(soft + 1, 0, 2)
        for plane, mottle, bell in zip(range(pair.start * 2, pair.stop * 2, 2), soft, sheet, strict=True):
            on_sheet = np.flatnonzero(bell > LEAST_SHEET)
            for k in range(plane, min(plane + 2, len(factor))):
                np.multiply(mottle, AMPLITUDES[painted.top[k]], out=factor[k])
                _paint_sheets(painted, k, on_sheet, bell)
    factor += 1
    return np.maximum(factor, np.float32(0.1), out=factor)


def _paint_sheets(painted: TissueMap, k: int, where: npt.NDArray[np.intp], bell: Array) -> None:
    """Put the other tissue under the voxels `where` (flat) of plane k, as far as they are of one tissue."""
    top, under, share = (array[k].reshape(-1) for array in (painted.top, painted.under, painted.share))
    where = where[share[where] == 255]
    labels = top[where]
    part = np.minimum(bell.reshape(-1)[where], 1) * SHEET_SHARES[labels]
    where, labels, part = where[part > 0], labels[part > 0], part[part > 0]
    under[where] = SHEET_TISSUES[labels]
    share[where] = np.rint(255 * (1 - part)).astype(np.uint8)


def _field(patient: Patient, texture: Texture, grid: Grid, known: Positions) -> Array:
    """A texture at knots of a grid."""
    z, y, x = np.meshgrid(*known[::-1], indexing="ij")
    place = points(grid, np.stack([x, y, z], axis=-1)) - np.asarray(patient.anatomy.deformation.offset)
    return texture.values(place[..., 0], place[..., 1], place[..., 2])


def _tumour_properties(
    patient: Patient, tissues: Properties, grid: Grid, flat: npt.NDArray[np.intp], field_strength_t: float
) -> Properties:
    """Properties of the tumour voxels: the drawn means times heterogeneous fields; none without a tumour."""
    if patient.biology is None:
        return Properties(*([np.zeros(0, dtype=np.float32)] * len(Properties.__dataclass_fields__)))
    z, y, x = np.unravel_index(flat, grid.size[::-1])
    place = points(grid, np.stack([x, y, z], axis=-1)) - np.asarray(patient.anatomy.deformation.offset)
    place = place.astype(np.float32)
    cells, water, vessels = (
        texture.values(place[:, 0], place[:, 1], place[:, 2]).clip(-2.5, 2.5)
        for texture in (patient.cells, patient.water, patient.vessels)
    )
    solid = tumour_properties(patient.biology, tissues, field_strength_t, cells, water, vessels)
    if patient.look is None or patient.look.kind is Kind.SOLID:
        return solid
    core = None if patient.depth is None else patient.depth.core(place)
    return changed(solid, patient.look, core, cells, field_strength_t)


def tumour_properties(
    biology: TumourBiology, tissues: Properties, field_strength_t: float, cells: Array, water: Array, vessels: Array
) -> Properties:
    """Properties of tumour elements, given fields of zero mean and unit variance: of relaxation, diffusion, perfusion.

    The fields have one shape.

    Relaxation and diffusion vary independently: with one field for both, T2 shine-through would cancel the diffusion
    contrast at the high b-value, and DWI show no texture. A mucinous tumour holds pools of mucin where `cells` is
    high: a longer T2 and a higher ADC there, shorter and lower between them (so that the means are the drawn ones),
    and half of the perfusion.
    """
    spread, mobile = (np.float32(biology.texture_heterogeneity) * field for field in (cells, water))
    pools = np.where(cells > 0, np.float32(POOLS), np.float32(-POOLS)) if biology.mucinous else np.float32(0)
    t1 = biology.t1_3t_ms / (1 if field_strength_t > 2 else T1_RATIO_3T_TO_1_5T)
    one = np.ones_like(cells)
    common = {name: one * getattr(tissues, name)[Tissue.TUMOUR] for name in ("pd", "vp", "water", "moving")}
    uneven = biology.enhancement_heterogeneity
    perfused = np.where(pools > 0, np.float32(0.5), np.float32(1))
    return Properties(
        t1=np.float32(t1) * (1 + 0.5 * spread),
        t2=np.float32(biology.t2_ms) * np.maximum(1 + spread + pools, 0.2),
        t2_tse=np.float32(1.04 * biology.t2_ms) * np.maximum(1 + spread + pools, 0.2),
        adc=np.float32(biology.adc_um2_s * 1e-6) * np.maximum(1 + mobile + pools, 0.2),
        # Half the variance less keeps the mean of a log-normal field.
        ktrans=np.float32(biology.ktrans_per_min) * np.exp(uneven * vessels - np.float32(0.5 * uneven**2)) * perfused,
        ve=one * np.float32(biology.ve),
        **common,
    )
