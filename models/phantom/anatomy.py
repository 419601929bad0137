"""One patient's pelvis: layers in painting order, in an anatomical frame (LPS axes, mm, hips at z = 0).

The frame is that of an average man; `Deformation` turns it into the patient's own and puts him into the scanner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.phantom.deformation import Deformation, draw_deformation
from models.phantom.lattice import Vector
from models.phantom.mesorectal import nodes, rectal_vessels
from models.phantom.muscles import Outline, Outside, body, cavities, draw_build, inner_muscles, outer_muscles
from models.phantom.raster import Layer
from models.phantom.rectum import draw_mesorectum, draw_rectum, sigmoid
from models.phantom.skeleton import pelvic_bones
from models.phantom.streams import stream
from models.phantom.tumour import Tumour, draw_border, draw_form
from models.phantom.viscera import bladder, bowel_loops, penile_root, prostate, seminal_vesicles, vessels

BODY_BOX: tuple[Vector, Vector] = ((-205.0, -130.0, -230.0), (205.0, 140.0, 230.0))
"""Box (anatomical frame) that is painted; beyond it there is nothing."""
RECTUM_MIDDLE_MM = 14.0
"""Height of the middle of the rectum in the anatomical frame."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Layers in painting order, the tumour among them, and the deformation that makes them a patient's."""

    layers: tuple[Layer, ...]
    tumour: Tumour
    deformation: Deformation


def draw_anatomy(seed: int) -> Anatomy:
    """The pelvis of patient `seed`: each part from its own random stream."""

    def part(name: str) -> np.random.Generator:
        return stream(seed, "anatomy", name)

    build = draw_build(part("build"))
    surface = body(build)
    rectum = draw_rectum(part("rectum"))
    mesorectum = draw_mesorectum(rectum, part("mesorectum"))
    tumour = Tumour(draw_form(part("tumour")), rectum, draw_border(part("border")))
    lower, upper = tumour.box()
    layers: tuple[Layer, ...] = (
        Outline(surface, build.fat),
        *cavities(build),
        *outer_muscles(build, part("muscles")),
        *inner_muscles(build),
        *penile_root(),
        Outside(surface),
        mesorectum.fascia(),
        mesorectum.filling(),
        *pelvic_bones(part("bones")),
        *bladder(part("bladder")),
        *seminal_vesicles(part("vesicles")),
        *prostate(part("prostate")),
        *bowel_loops(part("loops")),
        *vessels(part("vessels")),
        *rectal_vessels(rectum, mesorectum, part("rectal vessels")),
        *sigmoid(rectum, part("sigmoid")),
        *nodes(rectum, mesorectum, (lower[2] + upper[2]) / 2, part("nodes")),
        rectum,
        tumour,
    )
    return Anatomy(layers, tumour, draw_deformation(part("deformation")))
