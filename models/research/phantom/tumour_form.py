"""Site, growth and size of a patient's tumour.

Sizes: a median of 21 ml splits pretreatment volumes of locally advanced rectal cancer about in half (threshold of 21.1
ml, Zhong et al., Front Oncol 2024;14:1361300; 53 patients); early tumours are smaller, so volumes here are log-normal
around 15 ml with a factor of 3.0 a standard deviation: below 1 ml in under 1 %, above 100 ml in about 4 % (the spread
is an assumption). Shares of growth and of the thirds of the rectum (lower edge up to 5, 10, 15 cm above the anal
verge) are assumptions, too, as is that neither size nor form depends on the grade.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.research.phantom.deformation import Texture
from models.research.phantom.rectum import Rectum
from models.research.phantom.tumour import Growth, Tumour, TumourForm

MEDIAN_ML, SPREAD = 15.0, 3.0
_LEAST_ML, _LARGEST_ML = 0.4, 180.0
_THIRDS = ((0.33, (18.0, 50.0)), (0.42, (50.0, 100.0)), (0.25, (100.0, 132.0)))
POWER = 2.3
TOP_OF_TUMOURS_MM = 182.0
"""No tumour reaches higher above the anal verge: above it the bowel is modelled without its wall's detail."""


@dataclass(frozen=True, slots=True)
class _Habit:
    """Ranges of a growth at 15 ml: share, circumference, thickness and length (mm); its volume against the average."""

    share: float
    circumference: tuple[float, float]
    thickness_mm: tuple[float, float]
    length_mm: tuple[float, float]
    volume: float


_HABITS = {
    Growth.POLYPOID: _Habit(0.25, (0.16, 0.3), (16, 24), (24, 40), 0.6),
    Growth.ULCERATING: _Habit(0.3, (0.25, 0.45), (8, 14), (32, 50), 0.9),
    Growth.SEMICIRCUMFERENTIAL: _Habit(0.23, (0.45, 0.75), (6, 12), (32, 52), 1.2),
    Growth.CIRCUMFERENTIAL: _Habit(0.22, (1.0, 1.0), (5, 10), (28, 48), 1.6),
}


def draw_tumour(rng: np.random.Generator, rectum: Rectum, border: Texture, evenly: bool = False) -> Tumour:
    """A tumour on `rectum`: growth, site and volume drawn, then the form scaled until it has the volume.

    `evenly`: every growth is as frequent as any other.
    """
    shares = None if evenly else [_HABITS[growth].share for growth in Growth]
    growth = list(Growth)[int(rng.choice(len(Growth), p=shares))]
    habit = _HABITS[growth]
    third = int(rng.choice(3, p=[share for share, _ in _THIRDS]))
    target = float(np.clip(MEDIAN_ML * habit.volume * SPREAD ** rng.standard_normal(), _LEAST_ML, _LARGEST_ML))
    deep = rng.random() < 0.75 * min(1.0, (target / 8) ** 0.6)
    average = TumourForm(
        growth=growth,
        height_mm=float(rng.uniform(*_THIRDS[third][1])),
        length_mm=float(rng.uniform(*habit.length_mm)),
        clock=float(rng.uniform(0, 12)),
        circumference=float(rng.uniform(*habit.circumference)),
        thickness_mm=float(rng.uniform(*habit.thickness_mm)),
        invasion_mm=float(rng.uniform(1.5, 7)) if deep else 0.0,
    )
    return _of_volume(average, target, rectum, border)


def _of_volume(average: TumourForm, target_ml: float, rectum: Rectum, border: Texture) -> Tumour:
    """The form scaled towards a volume in three steps: the volume grows with about the 2.3rd power of the scale."""
    scale = float((target_ml / MEDIAN_ML) ** (1 / POWER))
    for _ in range(3):
        volume = Tumour(_scaled(average, scale), rectum, border).volume_ml()
        scale = float(np.clip(scale * (target_ml / max(volume, 0.05)) ** (1 / POWER), 0.15, 3.5))
    return Tumour(_scaled(average, scale), rectum, border)


def _scaled(form: TumourForm, scale: float) -> TumourForm:
    """A form `scale` times as long and deep, less so around the bowel; large ones are moved down below the top."""
    length = min(form.length_mm * scale, 110.0)
    annular = form.growth is Growth.CIRCUMFERENTIAL
    return replace(
        form,
        length_mm=length,
        height_mm=max(10.0, min(form.height_mm, TOP_OF_TUMOURS_MM - length)),
        circumference=1.0 if annular else min(form.circumference * scale**0.7, 0.85),
        thickness_mm=min(form.thickness_mm * scale**0.8, 40.0),
        invasion_mm=min(form.invasion_mm * scale, 20.0),
    )
