"""The arteries of a run, found by their curve: the vessels that brighten first, at once and for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from models.enhancement.phases import Array, Phase, Values, unmeasurable
from models.enhancement.vessels import Interior, interior, tubes_of
from models.rounding import whole_nearest

_PIXEL_MM = 2.0  # in-plane, after binning: an external iliac artery is 7-10 mm wide
_NEIGHBOURHOOD = (1, 5, 5)  # pixels (z, y, x), all within 4 mm: what may have moved here
_MOVED_AWAY = 0.1  # share of phases in which a vessel may lie elsewhere
_FIRST_PASS_S = 10.0
_SAME_TIME_S = 0.01  # clocks of headers go no finer
_LEAST_RISE = 0.3  # of the median before contrast
_LEAST_ARTERIAL_RISE = 0.6  # of the artery's own signal before contrast
_SAMPLE = 50_000  # voxels


@dataclass(frozen=True, slots=True)
class Arteries:
    """Curves of arteries and tissue (one signal a phase), the first enhanced phase, and how much artery was found.

    `curve` and `tissue`: (phases,).
    """

    curve: Values
    tissue: Values
    first: int
    volume_ml: float
    vessels: int


def find_arteries(phases: Sequence[Phase], times: Values) -> Arteries:
    """The arteries of a run in order of time (s), on one grid. `times` (phases,): s, rising.

    Raises:
        EnhancementError: where no phase lies before the contrast, nothing enhances, or nothing does as arteries do.
    """
    volumes, spacing = _binned(phases)
    body = Interior(interior(volumes.mean(axis=0), spacing), spacing)
    if np.count_nonzero(body.inside) < 10 * body.rank:
        raise unmeasurable("too little of a body in the field of view")
    curves = volumes[:, body.inside]
    around = np.stack([ndimage.maximum_filter(volume, _NEIGHBOURHOOD)[body.inside] for volume in volumes])
    fillings = _fillings(curves, around, times)
    first = _onset(fillings, curves, body.rank)
    _refuse_washout(curves, around, fillings, body)
    filling = fillings[first - 1]
    vessels = tubes_of(body, filling > 0.6 * _largest(filling, body.rank))
    if not vessels.any():
        raise unmeasurable("what enhances first does not have the form of vessels")
    blood = _filled_first(curves[:, vessels > 0], first)
    curve = np.median(blood, axis=1).astype(np.float64)
    first = _brightened(curve, first)
    _refuse_unlike_artery(curve, times, first)
    return Arteries(curve, _tissue(curves), first, blood.shape[1] * body.voxel_ml, int(vessels.max()))


def _binned(phases: Sequence[Phase]) -> tuple[Array, tuple[float, float, float]]:
    """All phases (phase, z, y, x) with pixels of about 2 mm, and their spacing (z, y, x)."""
    spacing = phases[0].image.GetSpacing()
    factors = [max(1, int(whole_nearest(_PIXEL_MM / side))) for side in spacing[:2]]
    images = [sitk.BinShrink(sitk.Cast(phase.image, sitk.sitkFloat32), [*factors, 1]) for phase in phases]
    x, y, z = images[0].GetSpacing()
    return np.stack([sitk.GetArrayViewFromImage(image) for image in images]), (z, y, x)


def _largest(values: Array, rank: int) -> float:
    """The `rank`-th largest value: a maximum that a few odd voxels do not make."""
    return float(np.partition(values, -rank)[-rank])


def _fillings(curves: Array, around: Array, times: Values) -> Array:
    """Lasting rise of each voxel at each phase but the first: (phase - 1, voxel).

    From the mean of the phases before (without the last one, which may have caught the beginning) to the highest
    within a first pass; 0 where more than a few of the later phases do not lie above all that was near the voxel
    (`around`) before. Breathing brings nothing new.
    """
    highest = np.maximum.accumulate(around)
    fillings = np.zeros((len(times) - 1, curves.shape[1]), dtype=np.float32)
    for first in range(1, len(times)):
        end = int(np.searchsorted(times, times[first] + _FIRST_PASS_S + _SAME_TIME_S, side="right"))
        rise = curves[first:end].max(axis=0) - curves[: max(1, first - 1)].mean(axis=0)
        lost = np.count_nonzero(curves[first:] <= highest[first - 1], axis=0)
        fillings[first - 1] = np.where(lost <= _MOVED_AWAY * (len(times) - first), rise, 0)
    return fillings


def _onset(fillings: Array, curves: Array, rank: int) -> int:
    """Index of the first phase with half of the largest filling of any phase."""
    largest = np.array([_largest(filling, rank) for filling in fillings])
    if largest.max() < _LEAST_RISE * float(np.median(curves[0])):
        raise unmeasurable("nothing enhances and stays enhanced")
    return 1 + int(np.argmax(largest >= 0.5 * largest.max()))


def _refuse_washout(curves: Array, around: Array, fillings: Array, body: Interior) -> None:
    """Vessels that lose what they have, for good and without a dark phase before, were filled before the run."""
    lowest = np.minimum.accumulate(curves)
    largest = max(_largest(filling, body.rank) for filling in fillings)
    for split in range(1, len(curves)):
        fall = lowest[split - 1] - curves[split:].mean(axis=0)
        kept = np.count_nonzero(around[split:] >= lowest[split - 1], axis=0)
        emptied = (fall > 0.4 * largest) & (kept <= _MOVED_AWAY * (len(curves) - split))
        if np.count_nonzero(tubes_of(body, emptied)) > body.rank:
            raise unmeasurable(
                "vessels fade from the first phase on: no phase lies before the contrast, or the body moved too much"
            )


def _filled_first(blood: Array, first: int) -> Array:
    """Where some vessels have risen before the others in the phase before `first`, only those: the arteries."""
    if first < 2:
        return blood
    before = blood[: first - 1].mean(axis=0)
    share = (blood[first - 1] - before) / (blood[first:].max(axis=0) - before)
    tenth = max(1, blood.shape[1] // 10)
    top, bottom = _largest(share, tenth), -_largest(-share, tenth)
    return blood[:, share > 0.5 * top] if top > max(0.15, -3 * bottom) else blood


def _brightened(curve: Values, first: int) -> int:
    """Index of the first phase with a quarter of the rise; `first` may lie before it by as much as a first pass."""
    before = curve[:first].mean()
    return first + int(np.argmax(curve[first:] - before >= 0.25 * (curve[first:].max() - before)))


def _tissue(curves: Array) -> Values:
    """Mean of the 20th to 60th percentile in each phase: muscle above all, and whatever moves stays among them."""
    sample = np.sort(curves[:, :: max(1, curves.shape[1] // _SAMPLE)], axis=1)
    low, high = (int(share * sample.shape[1]) for share in (0.2, 0.6))
    return sample[:, low:high].mean(axis=1, dtype=np.float64)


def _refuse_unlike_artery(curve: Values, times: Values, first: int) -> None:
    if curve[first:].max() < (1 + _LEAST_ARTERIAL_RISE) * curve[:first].mean():
        raise unmeasurable("what enhances first enhances less than an artery does")
    if np.argmax(curve) == len(curve) - 1 and times[-1] > times[first] + 3 * _FIRST_PASS_S:
        raise unmeasurable("what enhances first has no wash-out, as arteries have")
