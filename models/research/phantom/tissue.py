"""Tissues of the simulated pelvis with relaxation, diffusion and perfusion, and how patients differ in them.

T1 and T2 at 3 T of prostate, myometrium, endometrium, cervix, skeletal muscle, bone marrow and subcutaneous fat: de
Bazelaire et al., Radiology 2004;230:652-659. T1 of blood, T2 of cartilage: Stanisz et al., Magn Reson Med
2005;54:507-512. ADC of the rectal wall (1.22) and of adenocarcinoma: Cancer Imaging 2022;22, doi
10.1186/s40644-022-00461-7, and an abstract on DWIBS (n = 42). The tumour's own values are drawn in `grade`. Fat is
brighter in a fast spin echo than its T2 says (J-coupling), hence a longer effective T2 there. Everything else -
fluids, bowel wall and content, nodes, connective tissue, proton densities, kinetics of tissues other than tumour - has
no single source: values of the usual order, chosen so that the contrast between neighbours is that of clinical pelvic
images.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

import numpy as np
import numpy.typing as npt

from models.research.phantom.lattice import Array

T1_RATIO_3T_TO_1_5T = 1.21
"""de Bazelaire 2004: T1 at 3 T is on average 21 % longer than at 1.5 T; T2 changes little."""


class Tissue(IntEnum):
    """Labels of the tissue map."""

    AIR = 0
    SKIN = auto()
    FAT = auto()
    MESORECTAL_FAT = auto()
    MUSCLE = auto()
    CORTICAL_BONE = auto()
    MARROW = auto()
    CARTILAGE = auto()
    DISC = auto()
    FASCIA = auto()
    URINE = auto()
    BLADDER_WALL = auto()
    PERIPHERAL_ZONE = auto()
    TRANSITION_ZONE = auto()
    SEMINAL_VESICLE = auto()
    CORPUS_SPONGIOSUM = auto()
    MUSCULARIS = auto()
    SUBMUCOSA = auto()
    MUCOSA = auto()
    GAS = auto()
    STOOL = auto()
    FLUID = auto()
    ARTERY = auto()
    VEIN = auto()
    NODE = auto()
    SUSPICIOUS_NODE = auto()
    BOWEL_WALL = auto()
    TUMOUR = auto()
    MYOMETRIUM = auto()
    JUNCTIONAL_ZONE = auto()
    ENDOMETRIUM = auto()
    CERVIX = auto()
    FIBROID = auto()
    VAGINA = auto()
    OVARY = auto()
    OEDEMA = auto()
    GEL = auto()
    IMPLANT = auto()


@dataclass(frozen=True, slots=True)
class Properties:
    """MR properties as arrays of one shape: one element a tissue, or one a voxel.

    t1, t2, t2_tse in ms (t2_tse: effective in a fast spin-echo train); pd relative to water; adc in mm²/s;
    ktrans in 1/min; ve and vp as volume fractions; water: share that fat suppression leaves;
    moving: share of the signal that flow leaves in spin echo and diffusion (flow void).
    """

    t1: Array
    t2: Array
    t2_tse: Array
    pd: Array
    adc: Array
    ktrans: Array
    ve: Array
    vp: Array
    water: Array
    moving: Array


# T1 at 3 T, its SD between patients; T2, its SD; T2 in TSE; PD; ADC (1e-3 mm²/s), SD; Ktrans; ve; vp; water; moving
_Row = tuple[float, float, float, float, float, float, float, float, float, float, float, float, float]
_TABLE: dict[Tissue, _Row] = {
    Tissue.AIR: (1000, 0, 50, 0, 50, 0.0, 0.0, 0, 0, 0, 0, 1, 1),
    Tissue.SKIN: (1100, 60, 35, 3, 35, 0.6, 1.2, 0.1, 0.08, 0.2, 0.02, 0.8, 1),
    Tissue.FAT: (382, 13, 68, 4, 125, 0.95, 0.15, 0.03, 0.02, 0.1, 0.005, 0.09, 1),
    Tissue.MESORECTAL_FAT: (382, 13, 68, 4, 125, 0.92, 0.2, 0.03, 0.03, 0.1, 0.01, 0.1, 1),
    Tissue.MUSCLE: (898, 33, 29, 4, 31, 0.8, 1.4, 0.12, 0.07, 0.12, 0.01, 1, 1),
    Tissue.CORTICAL_BONE: (900, 50, 12, 1, 12, 0.12, 0.4, 0.1, 0.01, 0.1, 0.005, 1, 1),
    Tissue.MARROW: (586, 73, 49, 4, 78, 0.75, 0.4, 0.08, 0.04, 0.12, 0.02, 0.17, 1),
    Tissue.CARTILAGE: (1100, 60, 32, 3, 34, 0.6, 1.3, 0.1, 0.02, 0.1, 0.005, 1, 1),
    Tissue.DISC: (1150, 150, 70, 15, 72, 0.75, 1.6, 0.2, 0.01, 0.1, 0.0, 1, 1),
    Tissue.FASCIA: (900, 50, 22, 2, 22, 0.6, 1.2, 0.1, 0.06, 0.15, 0.01, 1, 1),
    Tissue.URINE: (3600, 300, 1200, 200, 900, 1.0, 2.9, 0.1, 0, 0.1, 0, 1, 1),
    Tissue.BLADDER_WALL: (1150, 70, 45, 4, 46, 0.85, 1.5, 0.15, 0.16, 0.3, 0.03, 1, 1),
    Tissue.PERIPHERAL_ZONE: (1597, 80, 115, 18, 120, 0.92, 1.65, 0.18, 0.2, 0.25, 0.02, 1, 1),
    Tissue.TRANSITION_ZONE: (1597, 60, 74, 9, 77, 0.88, 1.25, 0.12, 0.35, 0.3, 0.03, 1, 1),
    Tissue.SEMINAL_VESICLE: (1900, 150, 150, 30, 150, 0.95, 1.75, 0.2, 0.12, 0.25, 0.02, 1, 1),
    Tissue.CORPUS_SPONGIOSUM: (1700, 100, 140, 20, 140, 0.92, 1.9, 0.15, 0.25, 0.35, 0.08, 1, 1),
    Tissue.MUSCULARIS: (1100, 80, 42, 4, 44, 0.82, 1.22, 0.16, 0.18, 0.25, 0.03, 1, 1),
    Tissue.SUBMUCOSA: (1250, 100, 88, 12, 92, 0.88, 1.4, 0.16, 0.22, 0.35, 0.03, 1, 1),
    Tissue.MUCOSA: (1200, 90, 62, 6, 64, 0.86, 1.22, 0.16, 0.4, 0.35, 0.06, 1, 1),
    Tissue.GAS: (1000, 0, 5, 0, 5, 0.01, 0.0, 0, 0, 0.1, 0, 1, 1),
    Tissue.STOOL: (800, 150, 45, 12, 48, 0.6, 0.9, 0.2, 0, 0.1, 0, 0.8, 1),
    Tissue.FLUID: (2600, 400, 400, 100, 380, 0.95, 2.4, 0.2, 0, 0.1, 0, 1, 1),
    Tissue.ARTERY: (1932, 60, 180, 20, 180, 0.9, 2.2, 0.2, 0, 0.1, 0.58, 1, 0.08),
    Tissue.VEIN: (1932, 60, 120, 20, 120, 0.9, 2.2, 0.2, 0, 0.1, 0.58, 1, 0.35),
    Tissue.NODE: (1350, 100, 76, 7, 80, 0.85, 1.1, 0.1, 0.2, 0.3, 0.03, 1, 1),
    Tissue.SUSPICIOUS_NODE: (1550, 150, 70, 8, 73, 0.86, 0.98, 0.1, 0.25, 0.45, 0.03, 1, 1),
    Tissue.BOWEL_WALL: (1150, 80, 55, 6, 58, 0.84, 1.3, 0.15, 0.25, 0.3, 0.04, 1, 1),
    Tissue.TUMOUR: (1562, 0, 67, 0, 70, 0.87, 1.03, 0, 0.28, 0.5, 0.04, 1, 1),
    Tissue.MYOMETRIUM: (1514, 156, 79, 10, 82, 0.88, 1.45, 0.15, 0.3, 0.35, 0.06, 1, 1),
    Tissue.JUNCTIONAL_ZONE: (1300, 90, 50, 6, 52, 0.84, 1.25, 0.12, 0.2, 0.3, 0.04, 1, 1),
    Tissue.ENDOMETRIUM: (1453, 123, 59, 1, 66, 0.92, 1.15, 0.12, 0.12, 0.3, 0.03, 1, 1),
    Tissue.CERVIX: (1616, 61, 83, 7, 86, 0.88, 1.55, 0.15, 0.2, 0.35, 0.04, 1, 1),
    Tissue.FIBROID: (1050, 90, 38, 6, 40, 0.82, 1.05, 0.15, 0.2, 0.25, 0.04, 1, 1),
    Tissue.VAGINA: (1250, 80, 56, 6, 59, 0.84, 1.35, 0.12, 0.22, 0.35, 0.04, 1, 1),
    Tissue.OVARY: (1500, 120, 92, 12, 96, 0.88, 1.3, 0.15, 0.15, 0.3, 0.04, 1, 1),
    Tissue.OEDEMA: (1950, 150, 150, 20, 155, 0.94, 1.85, 0.15, 0.18, 0.4, 0.02, 1, 1),
    Tissue.GEL: (2700, 200, 500, 80, 450, 0.98, 2.0, 0.15, 0, 0.1, 0, 1, 1),
    Tissue.IMPLANT: (1000, 0, 5, 0, 5, 0.0, 0.0, 0, 0, 0.1, 0, 0, 1),
}


def draw_properties(rng: np.random.Generator, field_strength_t: float) -> Properties:
    """One patient's tissue properties, one element a `Tissue`, at 1.5 T or 3 T."""
    table = np.array([_TABLE[tissue] for tissue in Tissue], dtype=np.float32)
    z = rng.standard_normal((5, len(table))).clip(-2.5, 2.5).astype(np.float32)
    factor = np.float32(1.0 if field_strength_t > 2 else 1 / T1_RATIO_3T_TO_1_5T)
    t2_scale = 1 + table[:, 3] / table[:, 2] * z[1]
    return Properties(
        t1=(table[:, 0] + table[:, 1] * z[0]) * factor,
        t2=table[:, 2] * t2_scale,
        t2_tse=table[:, 4] * t2_scale,
        pd=table[:, 5] * (1 + 0.03 * z[2]),
        adc=np.maximum(table[:, 6] + table[:, 7] * z[3], 0.02) * np.float32(1e-3),
        ktrans=table[:, 8] * np.exp(0.2 * z[4]),
        ve=np.maximum(table[:, 9], 0.05),
        vp=table[:, 10],
        water=table[:, 11],
        moving=table[:, 12],
    )


def scaled(properties: Properties, **factors: npt.NDArray[np.float32]) -> Properties:
    """The properties with the named ones multiplied by arrays that broadcast against them."""
    values = {
        name: getattr(properties, name) * factors[name] if name in factors else getattr(properties, name)
        for name in Properties.__dataclass_fields__
    }
    return Properties(**values)
