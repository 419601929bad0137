"""One patient's pelvis: layers in painting order, in an anatomical frame (LPS axes, mm, hips at z = 0).

The frame is that of an average man; `Deformation` turns it into the patient's own and puts him into the scanner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.research.phantom.deformation import Deformation, draw_deformation
from models.research.phantom.female import bladder as female_bladder
from models.research.phantom.female import female_organs
from models.research.phantom.grade import has_tumour
from models.research.phantom.lattice import Vector
from models.research.phantom.looks import FIRST_WIDE
from models.research.phantom.mesorectal import nodes, rectal_vessels
from models.research.phantom.muscles import Outline, Outside, body, cavities, draw_build, inner_muscles, outer_muscles
from models.research.phantom.raster import Layer
from models.research.phantom.rectum import Rectum, draw_mesorectum, draw_rectum, sigmoid
from models.research.phantom.sex import Sex, sex_of
from models.research.phantom.skeleton import hip_prosthesis, pelvic_bones
from models.research.phantom.streams import stream
from models.research.phantom.tissue import Tissue
from models.research.phantom.tumour import Tumour, draw_border
from models.research.phantom.tumour_form import draw_tumour
from models.research.phantom.viscera import bladder, bowel_loops, penile_root, prostate, seminal_vesicles, vessels

BODY_BOX: tuple[Vector, Vector] = ((-205.0, -130.0, -230.0), (205.0, 140.0, 230.0))
"""Box (anatomical frame) that is painted; beyond it there is nothing."""
DISTURBING = (Tissue.GAS, Tissue.CORTICAL_BONE, Tissue.IMPLANT)
"""Tissues whose susceptibility is not that of water."""
RECTUM_MIDDLE_MM = 14.0
"""Height of the middle of the rectum in the anatomical frame."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Layers in painting order, the tumour among them if there is one, and the deformation that makes the patient.

    `field_layers`: those of the layers that disturb the magnetic field, painted onto soft tissue.
    """

    sex: Sex
    implant: bool
    layers: tuple[Layer, ...]
    field_layers: tuple[Layer, ...]
    rectum: Rectum
    tumour: Tumour | None
    deformation: Deformation

    def target_box(self) -> tuple[Vector, Vector]:
        """Box (anatomical frame) of the tumour; without one that of the middle third of the rectum."""
        if self.tumour is not None:
            return self.tumour.box()
        return self.rectum.stretch(RECTUM_MIDDLE_MM - 25, RECTUM_MIDDLE_MM + 25)


@lru_cache(maxsize=4)
def draw_anatomy(seed: int) -> Anatomy:
    """The pelvis of patient `seed`: each part from its own random stream."""

    def part(name: str) -> np.random.Generator:
        return stream(seed, "anatomy", name)

    sex = sex_of(seed)
    build = draw_build(part("build"), sex)
    surface = body(build)
    rectum = draw_rectum(part("rectum"))
    mesorectum = draw_mesorectum(rectum, part("mesorectum"))
    border = draw_border(part("border"))
    tumour = draw_tumour(part("tumour"), rectum, border, seed >= FIRST_WIDE) if has_tumour(seed) else None
    hip = hip_prosthesis(part("hip"))
    bones = (*pelvic_bones(part("bones"), sex), *hip)
    loops = (*bowel_loops(part("loops")), *sigmoid(rectum, part("sigmoid")))
    disturbing = [layer for layer in (*bones, *loops) if any(tissue in DISTURBING for tissue, _ in layer.tissues)]
    layers: tuple[Layer, ...] = (
        Outline(surface, build.fat),
        *cavities(build),
        *outer_muscles(build, part("muscles")),
        *inner_muscles(build),
        *(penile_root() if sex is Sex.MALE else ()),
        Outside(surface),
        mesorectum.fascia(),
        mesorectum.filling(),
        *bones,
        *_organs(sex, part),
        *loops,
        *vessels(part("vessels")),
        *rectal_vessels(rectum, mesorectum, part("rectal vessels")),
        *nodes(rectum, mesorectum, _tumour_height(tumour), part("nodes")),
        rectum,
        *((tumour,) if tumour is not None else ()),
    )
    field_layers = (Outside(surface, detail=12.0), *disturbing, *((rectum,) if rectum.holds_gas else ()))
    deformation = draw_deformation(part("deformation"), sex)
    return Anatomy(sex, bool(hip), layers, field_layers, rectum, tumour, deformation)


def _organs(sex: Sex, part: Callable[[str], np.random.Generator]) -> list[Layer]:
    """Bladder and genital organs."""
    if sex is Sex.FEMALE:
        return [*female_bladder(part("bladder")), *female_organs(part("uterus"))]
    return [*bladder(part("bladder")), *seminal_vesicles(part("vesicles")), *prostate(part("prostate"))]


def _tumour_height(tumour: Tumour | None) -> float | None:
    """Height of the tumour's middle in the anatomical frame."""
    if tumour is None:
        return None
    lower, upper = tumour.box()
    return (lower[2] + upper[2]) / 2
