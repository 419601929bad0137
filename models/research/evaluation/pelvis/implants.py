"""The shape of a painted tumour: it grows along the outlined wall, into the lumen and through the wall.

The growths of the phantom's tumours (`phantom.tumour`) on a real wall. An endorectal balloon leaves no room in the
lumen: there a tumour is flat inwards and grows outwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import SimpleITK as sitk

from models.research.evaluation.pelvis.bowel import LATTICE_MM, Bowel
from models.research.phantom.deformation import Texture, draw_texture
from models.research.phantom.streams import stream
from models.research.phantom.tumour import Growth
from models.volume import Float32, image_from

VOLUME_TOLERANCE = 0.02
_BORDER_GRAIN_MM = 7.0
_BALLOON_RISE_MM = 3.0
#: Ranges of a tumour before it is scaled to its volume: share of the circumference, rise into the lumen and depth
#: beyond the wall (mm), half its length (mm). An assumption, as in the phantom.
_HABITS: dict[Growth, tuple[tuple[float, float], ...]] = {
    Growth.POLYPOID: ((0.16, 0.3), (12, 20), (0.5, 2), (10, 18)),
    Growth.ULCERATING: ((0.25, 0.45), (6, 12), (1, 6), (14, 24)),
    Growth.SEMICIRCUMFERENTIAL: ((0.4, 0.7), (5, 10), (1, 6), (14, 24)),
    Growth.CIRCUMFERENTIAL: ((1.0, 1.0), (4, 8), (1, 5), (12, 22)),
}
_SHARES = (0.2, 0.35, 0.3, 0.15)


@dataclass(frozen=True, slots=True)
class Form:
    """Site and shape of a painted tumour.

    height_mm: of its middle above the lowest outlined slice; clock: position in hours (12 in front, 3 on the patient's
    left); circumference: share of it; rise_mm into the lumen; invasion_mm beyond the outer wall; half_length_mm;
    border: offsets (mm) of the texture of its surface.
    """

    growth: Growth
    height_mm: float
    clock: float
    circumference: float
    rise_mm: float
    invasion_mm: float
    half_length_mm: float
    border: tuple[float, float, float]


def draw_form(seed: int, bowel: Bowel, volume_ml: float, balloon: bool) -> Form:
    """A form of a volume (to 2 %) at a random site of a bowel; `balloon`: an endorectal coil fills the lumen."""
    rng = stream(seed, "painted tumour")
    growth = list(Growth)[int(rng.choice(len(_SHARES), p=_SHARES))]
    if balloon and growth is Growth.POLYPOID:
        growth = Growth.SEMICIRCUMFERENTIAL
    around, rise, beyond, half = (float(rng.uniform(*limits)) for limits in _HABITS[growth])
    height, clock = float(rng.uniform(0, 1)), float(rng.uniform(0, 12))
    border = draw_texture(rng, _BORDER_GRAIN_MM).offset
    average = Form(growth, height, clock, around, rise, beyond, half, border)
    return _of_volume(average, bowel, volume_ml, balloon)


def field_of(form: Form, bowel: Bowel) -> Float32:
    """Signed distance (z, y, x; about mm) from the tumour's surface on the bowel's lattice, negative inside."""
    z, y, x = np.indices(bowel.outer.shape, np.float32) * np.float32(LATTICE_MM)
    rough = _rough(form.border, bowel.outer.shape)
    spread = _spread(form, bowel, x, y, z)
    if form.growth is Growth.POLYPOID:
        depth = (bowel.lumen + np.float32(0.3 * form.rise_mm)) / np.float32(0.7 * form.rise_mm)
        smallest = min(0.7 * form.rise_mm, form.half_length_mm)
        body = (np.sqrt(depth**2 + spread**2) - 1) * np.float32(smallest) + np.float32(0.7) * rough
        return np.maximum(body, bowel.outer - np.float32(form.invasion_mm))
    uneven = np.maximum(spread + np.float32(0.07) * rough, 0)
    swell = 1 - uneven ** np.float32(2.2)
    rise = np.float32(form.rise_mm + 1.0) * swell - np.float32(1.0)
    if form.growth is Growth.ULCERATING:
        rise = rise - np.float32(0.8 * form.rise_mm) * np.exp(-((uneven / np.float32(0.42)) ** 2))
    front = np.float32(form.invasion_mm + 1.0) * (1 - uneven ** np.float32(3.2)) - np.float32(1.0)
    inner = -(bowel.lumen + rise) + np.float32(0.5) * rough
    outer = bowel.outer - front + np.float32(0.6) * rough
    made: Float32 = np.maximum(inner, outer).astype(np.float32)
    return made


def distance_image(form: Form, bowel: Bowel) -> sitk.Image:
    """`field_of` as an image in LPS."""
    return image_from(field_of(form, bowel), bowel.grid)


def volume_of(form: Form, bowel: Bowel) -> float:
    """Volume on the lattice, ml."""
    return float(np.count_nonzero(field_of(form, bowel) < 0)) * LATTICE_MM**3 / 1000


@lru_cache(maxsize=2)
def _rough(border: tuple[float, float, float], shape: tuple[int, ...]) -> Float32:
    """The unevenness of a surface on the lattice; kept, because a form is scaled many times until it has its volume."""
    z, y, x = np.indices(shape, np.float32) * np.float32(LATTICE_MM)
    return Texture(_BORDER_GRAIN_MM, border).values(x, y, z).clip(-2, 2)


def _spread(form: Form, bowel: Bowel, x: Float32, y: Float32, z: Float32) -> Float32:
    """0 in the middle of the tumour, 1 at its edge along the wall."""
    centre = bowel.centre.astype(np.float32)[:, None, None]
    away = np.arctan2(x - centre[..., 0], -(y - centre[..., 1])) - np.float32(form.clock * np.pi / 6)
    away = np.abs((away + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi))
    whole = form.growth is Growth.CIRCUMFERENTIAL
    around = np.zeros_like(away) if whole else away / np.float32(np.pi * form.circumference)
    along = (z - np.float32(form.height_mm)) / np.float32(form.half_length_mm)
    made: Float32 = np.sqrt(around**2 + along**2)
    return made


def _of_volume(average: Form, bowel: Bowel, volume_ml: float, balloon: bool) -> Form:
    """The form scaled, by halving the interval, until it has its volume; its middle keeps clear of both ends."""
    low, high = 0.15, 12.0
    made = average
    for _ in range(24):
        scale = float(np.sqrt(low * high))
        made = _scaled(average, scale, bowel, balloon)
        found = volume_of(made, bowel)
        if abs(found / volume_ml - 1) <= VOLUME_TOLERANCE:
            break
        low, high = (scale, high) if found < volume_ml else (low, scale)
    return made


def _scaled(form: Form, scale: float, bowel: Bowel, balloon: bool) -> Form:
    half = min(form.half_length_mm * scale, 0.5 * bowel.height_mm)
    rise = min(form.rise_mm * scale**0.8, 30.0)
    return replace(
        form,
        half_length_mm=half,
        height_mm=half + form.height_mm * (bowel.height_mm - 2 * half),
        circumference=1.0 if form.circumference == 1 else min(form.circumference * scale**0.7, 0.9),
        rise_mm=min(rise, _BALLOON_RISE_MM) if balloon else rise,
        invasion_mm=min(form.invasion_mm * scale, 15.0),
    )
