"""How bright a painted tumour is in a real image, drawn anew for each tumour from what the image itself shows.

T2WI and portal-venous phase: between skeletal muscle and the patient's own bowel wall, as T2WI shows adenocarcinoma
(Horvat et al., Radiographics 2019;39:367-387: intermediate signal, above muscle and below submucosa). DWI: the signal
of the wall times exp(-b (ADC - ADC of the wall)); ADC of adenocarcinoma 1.03 ± 0.15 (Cancer Imaging 2022;22, doi
10.1186/s40644-022-00461-7) or 0.76 ± 0.11, of the wall 1.22 ± 0.16 10⁻³ mm²/s (DWIBS, n = 42), each source in half of
the tumours; and a share for the longer T2, an assumption. Coil sensitivity: the bias field of the image by N4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from models.errors import VolumeError
from models.research.evaluation.pelvis.outlines import Mask, Points, indices_on
from models.research.phantom.deformation import draw_texture
from models.research.phantom.streams import stream
from models.sequence import Sequence
from models.volume import Float32, grid_of

MUSCLE_RADIUS_MM = 4.0
_N4_MM = 6.0
#: Share of the way from muscle to wall at which a tumour lies.
T2_SHARE, PVP_SHARE = (0.3, 0.9), (0.6, 1.4)
#: A wall that is hardly brighter than muscle (thin, or without its mucosa) is taken for this many times as bright.
LEAST_WALL = 1.6
HETEROGENEITY = (0.05, 0.15)
TEXTURE_GRAIN_MM = 6.0


@dataclass(frozen=True, slots=True)
class Appearance:
    """What is drawn for one tumour; ADC in 10⁻³ mm²/s; heterogeneity: deviation of its texture, share of its signal.

    t2_gain: of the DWI by the longer T2 of tumour.
    """

    t2_share: float
    pvp_share: float
    adc: float
    wall_adc: float
    t2_gain: float
    heterogeneity: float
    texture: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Levels:
    """What an image shows: its bias field (z, y, x), signal of muscle and wall without it, noise.

    noise: deviation beside the bowel: where coils are near or intensities evened out, it differs from that elsewhere;
    softness: of the Gaussian (pixels along x, y) that gives white noise the correlation between neighbouring pixels
    that the noise in muscle has.
    """

    bias: Float32
    muscle: float
    wall: float
    noise: float
    softness: tuple[float, float]


def draw_appearance(seed: int) -> Appearance:
    """The contrast of the tumour of a seed."""
    rng = stream(seed, "painted contrast")
    published = ((1.03, 0.15), (0.76, 0.11))[int(rng.integers(2))]
    return Appearance(
        t2_share=float(rng.uniform(*T2_SHARE)),
        pvp_share=float(rng.uniform(*PVP_SHARE)),
        adc=float(max(0.4, rng.normal(*published))),
        wall_adc=float(max(0.8, rng.normal(1.22, 0.16))),
        t2_gain=float(rng.uniform(1.0, 1.3)),
        heterogeneity=float(rng.uniform(*HETEROGENEITY)),
        texture=draw_texture(rng, TEXTURE_GRAIN_MM).offset,
    )


def levels_of(image: sitk.Image, muscle_mm: Points, wall: Mask, beside: Mask) -> Levels:
    """Measured in an image; `wall`, and what lies `beside` the bowel, on its grid.

    Raises VolumeError when the image shows no muscle there, or no wall.
    """
    values = sitk.GetArrayFromImage(image)
    ball = _ball(image, muscle_mm)
    if not ball.any() or not wall.any() or not beside.any():
        raise VolumeError("muscle or wall lies outside the image: outlines and series belong to different patients")
    bias = bias_field(image)
    plain = values / bias
    muscle, wall_signal = float(plain[ball].mean()), float(np.median(plain[wall]))
    return Levels(bias, muscle, wall_signal, _noise(values, beside), _softness_in(values, image, muscle_mm))


def signal_of(sequence: Sequence, levels: Levels, appearance: Appearance, b_value: float | None) -> float:
    """Mean signal of the tumour without the bias field."""
    wall = max(levels.wall, LEAST_WALL * levels.muscle)
    if sequence is Sequence.DWI:
        less = (appearance.adc - appearance.wall_adc) * 1e-3 * (b_value or 0.0)
        return wall * appearance.t2_gain * float(np.exp(-less))
    share = appearance.t2_share if sequence is Sequence.T2WI else appearance.pvp_share
    return levels.muscle + share * (wall - levels.muscle)


def bias_field(image: sitk.Image) -> Float32:
    """The coil's sensitivity (z, y, x), 1 on average, by N4 (Tustison et al., IEEE Trans Med Imaging 2010;29:1310)."""
    positive = sitk.Maximum(image, 1e-3 * float(sitk.GetArrayViewFromImage(image).max()))
    shrink = [
        max(1, min(round(_N4_MM / step), size // 4))
        for step, size in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    small = sitk.BinShrink(positive, shrink)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 30])
    n4.Execute(small, sitk.OtsuThreshold(small, 0, 1))
    field = np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))).astype(np.float32)
    made: Float32 = field / field.mean()
    return made


def _ball(image: sitk.Image, middle_mm: Points) -> Mask:
    grid = grid_of(image)
    z, y, x = np.indices(grid.size[::-1], np.float32)
    middle = indices_on(np.asarray(middle_mm)[None], grid)[0]
    steps = np.asarray(grid.spacing)
    away = ((x - middle[0]) * steps[0]) ** 2 + ((y - middle[1]) * steps[1]) ** 2 + ((z - middle[2]) * steps[2]) ** 2
    return np.asarray(away <= MUSCLE_RADIUS_MM**2)


def _noise(values: Float32, beside: Mask) -> float:
    """Deviation in the quietest quarter of small squares: the others hold edges."""
    left = values - ndimage.gaussian_filter(values, (0, 2, 2))
    square = ndimage.uniform_filter(left**2, (1, 7, 7))
    return float(np.sqrt(np.percentile(square[beside], 25)))


def _softness_in(values: Float32, image: sitk.Image, middle_mm: Points) -> tuple[float, float]:
    """Softness of the noise in a square of muscle: what is left without its smooth part."""
    x, y, z = (round(float(value)) for value in indices_on(np.asarray(middle_mm)[None], grid_of(image))[0])
    half = max(3, round(MUSCLE_RADIUS_MM / image.GetSpacing()[0]))
    patch = values[z, y - half : y + half + 1, x - half : x + half + 1].astype(np.float64)
    left = patch - ndimage.gaussian_filter(patch, half / 2)
    return _softness(left, 1), _softness(left, 0)


def _softness(noise: Points, axis: int) -> float:
    """Of white noise blurred by a Gaussian of s pixels neighbours correlate by exp(-1 / (4 s²))."""
    pairs = np.moveaxis(noise, axis, 0)
    alike = float(np.clip(np.corrcoef(pairs[1:].ravel(), pairs[:-1].ravel())[0, 1], 0.0, 0.95))
    return 0.0 if alike < 0.02 else float(np.sqrt(-1 / (4 * np.log(alike))))
