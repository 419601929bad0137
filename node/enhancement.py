"""The time of contrast injection, measured in the images of a dynamic T1-weighted run of the pelvis.

The arteries show when the bolus arrives; the injection lies the arm-to-pelvis delay before. Arteries are found by
their curve: the vessels that brighten first, at once and for good. The arrival is the unknown of a fit of the
population arterial input function (Parker et al., Magn Reson Med 2006;56:993-1000) through the spoiled
gradient-echo equation; width and height of the bolus, recirculation, T1 of blood and flip angle are averaged over
what is plausible, gain and inflow are free, so that only the shape of the curve counts. With phases seconds apart the
onset decides, with phases of a breath-hold each the ratio of first pass to later phases.

The phantom of `models` uses the same population curve: agreement there is partly circular.
docs/recognition/injection-time.md has the sources, the measured errors and the limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage
from scipy.integrate import cumulative_trapezoid

from node.errors import Refusal

CODE = "E-DCE-T0"
DELAY_S = 19.0
"""From the start of the injection to the first sight of contrast in the pelvic arteries, adults, 2-3 ml/s."""
DELAY_DEVIATION_S = 5.0
"""Standard deviation of that delay between patients: circulation and injection differ, and no image shows them."""
LARGEST_UNCERTAINTY_S = 15.0

_PIXEL_MM = 2.0  # in-plane, after binning: an external iliac artery is 7-10 mm wide
_SHELL_MM = 10.0  # skin and what breathes with it
_REFERENCE_ML = 0.5
_SMALLEST_VESSEL_ML = 0.15
_SHORTEST_VESSEL_MM = 15.0
_SHEET_RADIUS_MM = 3.5
_NEIGHBOURHOOD = (1, 5, 5)  # pixels (z, y, x), all within 4 mm: what may have moved here
_MOVED_AWAY = 0.1  # share of phases in which a vessel may lie elsewhere
_FIRST_PASS_S = 10.0
_LEAST_RISE = 0.3
_SAMPLE = 50_000  # voxels
_DRAWS = 1500
_STEP_S = 0.5
_MARGIN_S = 3.0
_SLOWEST_RISE_S = 30.0
_LARGEST_MISFIT = 3.0  # variances a phase

Array = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Phase:
    """One volume of the run.

    image: LPS, the same grid in all phases; time_s: centre of k-space on the clock of the run; tr_ms, flip_deg,
    field_strength_t: None where the header does not say.
    """

    image: sitk.Image
    time_s: float
    tr_ms: float | None
    flip_deg: float | None
    field_strength_t: float | None


@dataclass(frozen=True, slots=True)
class Injection:
    """Start of the injection on the clock of the run, with one standard deviation and a sentence for a radiologist."""

    time_s: float
    uncertainty_s: float
    evidence: str


@dataclass(frozen=True, slots=True)
class _Body:
    """The body without its outer centimetre, as a mask (z, y, x) with its spacing (mm)."""

    inside: Mask
    spacing: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        return math.prod(self.spacing) / 1000

    @property
    def rank(self) -> int:
        """Voxels in `_REFERENCE_ML`."""
        return math.ceil(_REFERENCE_ML / self.voxel_ml)


@dataclass(frozen=True, slots=True)
class _Arteries:
    """Curves of arteries and tissue (one signal a phase), the first enhanced phase, and how much artery was found."""

    curve: Values
    tissue: Values
    first: int
    volume_ml: float
    vessels: int


def measure_injection(phases: Sequence[Phase]) -> Injection:
    """The time of injection of a run in order of time.

    Raises:
        Refusal: E-DCE-T0 with the reason: fewer than three phases, times that do not increase, phases on different
            grids, no phase before the contrast, no enhancement, no artery, or an uncertainty above 15 s.
    """
    _check(phases)
    times = np.array([phase.time_s for phase in phases])
    arteries = _arteries(phases, times)
    arrival, spread = _arrival(arteries, times, phases[0])
    uncertainty = math.hypot(spread, DELAY_DEVIATION_S)
    if uncertainty > LARGEST_UNCERTAINTY_S:
        raise _refusal(
            f"arterial arrival at {arrival:.0f} s is only known to ± {spread:.0f} s: the phases are too far apart"
        )
    return Injection(round(arrival - DELAY_S, 1), round(uncertainty, 1), _evidence(arteries, times, arrival, spread))


def _refusal(reason: str) -> Refusal:
    return Refusal(CODE, f"no time of injection from the images: {reason}")


def _evidence(arteries: _Arteries, times: Values, arrival: float, spread: float) -> str:
    first = arteries.first
    before = float(arteries.curve[:first].mean())
    rise = 100 * (float(arteries.curve.max()) / before - 1) if before > 0 else math.inf
    return (
        f"{arteries.volume_ml:.1f} ml of {arteries.vessels} artery segment(s) rise by {rise:.0f} % between "
        f"{times[first - 1]:.1f} and {times[first]:.1f} s; the bolus arrives at {arrival:.1f} ± {spread:.1f} s, "
        f"{DELAY_S:.0f} ± {DELAY_DEVIATION_S:.0f} s after an injection into an arm vein"
    )


def _check(phases: Sequence[Phase]) -> None:
    if len(phases) < 3:
        raise _refusal(f"{len(phases)} phase(s), at least 3 are needed")
    if any(later.time_s <= phase.time_s for phase, later in pairwise(phases)):
        raise _refusal("the times of the phases do not increase")
    grids = [_grid(phase.image) for phase in phases]
    if any(len(grid) != len(grids[0]) or not np.allclose(grid, grids[0], atol=1e-2) for grid in grids):
        raise _refusal("the phases do not lie on one grid")


def _grid(image: sitk.Image) -> tuple[float, ...]:
    return (*image.GetSize(), *image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())


# ---- arteries


def _arteries(phases: Sequence[Phase], times: Values) -> _Arteries:
    volumes, spacing = _binned(phases)
    body = _Body(_interior(volumes.mean(axis=0), spacing), spacing)
    if np.count_nonzero(body.inside) < 10 * body.rank:
        raise _refusal("too little of a body in the field of view")
    curves = volumes[:, body.inside]
    around = np.stack([ndimage.maximum_filter(volume, _NEIGHBOURHOOD)[body.inside] for volume in volumes])
    fillings = _fillings(curves, around, times)
    first = _onset(fillings, curves, body.rank)
    _refuse_washout(curves, around, fillings, body)
    filling = fillings[first - 1]
    vessels = _tubes(body, filling > 0.6 * _largest(filling, body.rank))
    if not vessels.any():
        raise _refusal("what enhances first does not have the form of vessels")
    blood = _filled_first(curves[:, vessels > 0], first)
    curve = np.median(blood, axis=1).astype(np.float64)
    _refuse_unlike_artery(curve, times, first)
    return _Arteries(curve, _tissue(curves), first, blood.shape[1] * body.voxel_ml, int(vessels.max()))


def _binned(phases: Sequence[Phase]) -> tuple[Array, tuple[float, float, float]]:
    """All phases (phase, z, y, x) with pixels of about 2 mm, and their spacing (z, y, x)."""
    spacing = phases[0].image.GetSpacing()
    factors = [max(1, round(_PIXEL_MM / side)) for side in spacing[:2]]
    images = [sitk.BinShrink(sitk.Cast(phase.image, sitk.sitkFloat32), [*factors, 1]) for phase in phases]
    x, y, z = images[0].GetSpacing()
    return np.stack([sitk.GetArrayViewFromImage(image) for image in images]), (z, y, x)


def _interior(mean: Array, spacing: tuple[float, float, float]) -> Mask:
    """The body without its outer centimetre, slice by slice."""
    threshold = 0.25 * np.median(mean[mean > mean.mean()]) if mean.max() > mean.min() else math.inf
    plane = np.zeros((3, 3, 3), dtype=bool)
    plane[1] = True
    labels, count = ndimage.label(ndimage.binary_opening(mean > threshold, plane))
    if count == 0:
        return np.zeros(mean.shape, dtype=bool)
    body = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    filled = np.pad(np.stack([ndimage.binary_fill_holes(part) for part in body]), ((0, 0), (1, 1), (1, 1)))
    depth = ndimage.distance_transform_edt(filled, sampling=(1e4, *spacing[1:]))
    return np.asarray(depth[:, 1:-1, 1:-1] > _SHELL_MM)


def _largest(values: Array, rank: int) -> float:
    """The `rank`-th largest value: a maximum that a few odd voxels do not make."""
    return float(np.partition(values, -rank)[-rank])


def _fillings(curves: Array, around: Array, times: Values) -> Array:
    """Lasting rise of each voxel at each phase but the first: (phase - 1, voxel).

    From the mean of the phases before to the highest of the phases within a first pass; 0 where more than a few of
    the later phases do not lie above all that was near the voxel (`around`) before. Breathing brings nothing new.
    """
    highest = np.maximum.accumulate(around)
    fillings = np.zeros((len(times) - 1, curves.shape[1]), dtype=np.float32)
    for first in range(1, len(times)):
        end = int(np.searchsorted(times, times[first] + _FIRST_PASS_S, side="right"))
        rise = curves[first:end].max(axis=0) - curves[:first].mean(axis=0)
        lost = np.count_nonzero(curves[first:] <= highest[first - 1], axis=0)
        fillings[first - 1] = np.where(lost <= _MOVED_AWAY * (len(times) - first), rise, 0)
    return fillings


def _onset(fillings: Array, curves: Array, rank: int) -> int:
    """Index of the first phase with half of the largest filling of any phase."""
    largest = np.array([_largest(filling, rank) for filling in fillings])
    if largest.max() < _LEAST_RISE * float(np.median(curves[0])):
        raise _refusal("nothing enhances and stays enhanced")
    return 1 + int(np.argmax(largest >= 0.5 * largest.max()))


def _refuse_washout(curves: Array, around: Array, fillings: Array, body: _Body) -> None:
    """Vessels that lose what they have, for good and without a dark phase before, were filled before the run."""
    lowest = np.minimum.accumulate(curves)
    largest = max(_largest(filling, body.rank) for filling in fillings)
    for split in range(1, len(curves)):
        fall = lowest[split - 1] - curves[split:].mean(axis=0)
        kept = np.count_nonzero(around[split:] >= lowest[split - 1], axis=0)
        emptied = (fall > 0.4 * largest) & (kept <= _MOVED_AWAY * (len(curves) - split))
        if np.count_nonzero(_tubes(body, emptied)) > body.rank:
            raise _refusal("vessels lose contrast from the first phase on: no phase lies before the contrast")


def _tubes(body: _Body, chosen: Mask) -> Labels:
    """Labels from 1 of the connected parts of the chosen voxels that have the form of a vessel.

    Of one dimension, the voxels of the interior; 0 outside the vessels.
    """
    found = np.zeros(body.inside.shape, dtype=bool)
    found[body.inside] = chosen
    labels, _ = ndimage.label(found, np.ones((3, 3, 3)))
    tubes = np.zeros(labels.shape, dtype=np.int32)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[box] == index
        if _is_tube(part, body):
            tubes[box][part] = tubes.max() + 1
    return tubes[body.inside]


def _is_tube(part: Mask, body: _Body) -> bool:
    """Long for its volume, and no thin sheet, as moving surfaces are; a bifurcation is flat, but not thin."""
    volume_ml = np.count_nonzero(part) * body.voxel_ml
    if volume_ml < _SMALLEST_VESSEL_ML:
        return False
    spread = np.cov((np.argwhere(part) * np.asarray(body.spacing)).T)
    thickness, breadth, length = np.sqrt(12 * np.maximum(np.linalg.eigvalsh(spread), 0))
    if length < _SHORTEST_VESSEL_MM or volume_ml > 0.3 * length**3 / 1000:
        return False
    radius = ndimage.distance_transform_edt(np.pad(part, 1), sampling=body.spacing).max()
    return bool(breadth <= 3 * thickness or radius >= _SHEET_RADIUS_MM)


def _filled_first(blood: Array, first: int) -> Array:
    """Where some vessels have risen before the others in the phase before `first`, only those: the arteries."""
    if first < 2:
        return blood
    before = blood[: first - 1].mean(axis=0)
    share = (blood[first - 1] - before) / (blood[first:].max(axis=0) - before)
    tenth = max(1, blood.shape[1] // 10)
    top, bottom = _largest(share, tenth), -_largest(-share, tenth)
    return blood[:, share > 0.5 * top] if top > max(0.15, -3 * bottom) else blood


def _tissue(curves: Array) -> Values:
    """Mean of the 20th to 60th percentile in each phase: muscle above all, and whatever moves stays among them."""
    sample = np.sort(curves[:, :: max(1, curves.shape[1] // _SAMPLE)], axis=1)
    low, high = (int(share * sample.shape[1]) for share in (0.2, 0.6))
    return sample[:, low:high].mean(axis=1, dtype=np.float64)


def _refuse_unlike_artery(curve: Values, times: Values, first: int) -> None:
    if curve[first:].max() < (1 + _LEAST_RISE) * curve[:first].mean():
        raise _refusal("what enhances first enhances less than an artery does")
    if np.argmax(curve) == len(curve) - 1 and times[-1] > times[first] + 3 * _FIRST_PASS_S:
        raise _refusal("what enhances first has no wash-out, as arteries have")


# ---- arrival


@dataclass(frozen=True, slots=True)
class _Boluses:
    """Plausible courses of the signal (draw, time in steps of `_STEP_S` from the start) in artery and tissue.

    `seen_s`: when the artery reaches a tenth of its first peak.
    """

    artery: Values
    tissue: Values
    seen_s: Values


def _arrival(arteries: _Arteries, times: Values, phase: Phase) -> tuple[float, float]:
    """Mean and standard deviation (s) of the time at which a tenth of the first-pass peak is reached.

    The posterior over the start of the bolus, uniform before, and over plausible boluses; gain and offset of either
    signal are fitted for each.
    """
    earliest = max(times[0], times[arteries.first - 1] - _SLOWEST_RISE_S) - _MARGIN_S
    starts = np.arange(earliest, times[arteries.first] + _MARGIN_S, _STEP_S)
    since = np.maximum(times[None, :] - starts[:, None], 0)
    boluses = _plausible(float(since.max()), phase)
    misfit = _misfit(boluses.artery, arteries.curve, arteries.first, since, 0.08)
    misfit += _misfit(boluses.tissue, arteries.tissue, arteries.first, since, 0.15)
    if misfit.min() > _LARGEST_MISFIT * len(times):
        raise _refusal("the curve of what enhances first is not that of an artery")
    weights = np.exp(-0.5 * (misfit - misfit.min()))
    seen = starts + boluses.seen_s[:, None]
    mean = float(np.average(seen, weights=weights))
    return mean, math.sqrt(float(np.average((seen - mean) ** 2, weights=weights)))


def _plausible(duration_s: float, phase: Phase) -> _Boluses:
    """`_DRAWS` boluses by Parker's curve, stretched in time and scaled, the first pass apart from what follows.

    Tissue takes the bolus up by the extended Tofts model; the spread of its ratio of plasma volume to Ktrans, of kep
    and of its lag covers muscle, bowel wall and prostate.
    """
    rng = np.random.default_rng(0)
    width, height, later, volume, kep = (
        median * np.exp(rng.normal(0, deviation, (_DRAWS, 1)))
        for median, deviation in ((1, 0.25), (1, 0.4), (1, 0.4), (0.2, 1.0), (0.5, 0.4))
    )
    lag = np.abs(rng.normal(0, 4, (_DRAWS, 1)))
    blood_t1 = (1.93 if (phase.field_strength_t or 3.0) > 2 else 1.44) * np.exp(rng.normal(0, 0.1, (_DRAWS, 1)))
    angle = np.deg2rad(phase.flip_deg or 12.0) * np.exp(rng.normal(0, 0.2, (_DRAWS, 1)))
    minutes = np.arange(0, duration_s + 2 * _STEP_S, _STEP_S)[None, :] / 60
    blood = height * _concentration(minutes / width, later)
    delayed = height * _concentration((minutes - lag / 60) / width, later)
    decay = np.exp(kep * minutes)
    uptake = cumulative_trapezoid(delayed * decay, minutes, axis=1, initial=0) / decay
    first_pass = blood[:, : round(30 / _STEP_S)]
    seen_s = _STEP_S * np.argmax(first_pass >= 0.1 * first_pass.max(axis=1, keepdims=True), axis=1)
    return _Boluses(_signal(blood, blood_t1, angle, phase), volume * delayed + uptake, seen_s)


def _concentration(minutes: Values, later: Values) -> Values:
    """Blood concentration (mmol/l) after the start of the bolus; `later` scales what follows the first pass.

    Parker et al., Magn Reson Med 2006;56:993-1000, table 1, 0.1 mmol/kg.
    """
    t = np.maximum(minutes, 0)
    first = _gaussian(t, 0.809, 0.0563, 0.17046)
    second = _gaussian(t, 0.330, 0.132, 0.365)
    tail = 1.050 * np.exp(-0.1685 * t) / (1 + np.exp(-38.078 * (t - 0.483)))
    return np.where(minutes >= 0, first + later * (second + tail), 0.0)


def _gaussian(t: Values, area: float, sigma: float, centre: float) -> Values:
    return area / (sigma * math.sqrt(2 * math.pi)) * np.exp(-((t - centre) ** 2) / (2 * sigma**2))


def _signal(concentration: Values, t1_s: Values, angle: Values, phase: Phase) -> Values:
    """Ernst formula with 1/T1 = 1/T1(0) + r1 C; r1 = 5 l/(mmol s) (Rohrer et al., Invest Radiol 2005;40:715-724)."""
    recovery = np.exp(-(phase.tr_ms or 4.0) / 1000 * (1 / t1_s + 5.0 * concentration))
    return np.asarray((1 - recovery) / (1 - np.cos(angle) * recovery))


def _misfit(courses: Values, curve: Values, first: int, since: Values, share: float) -> Values:
    """Squared distances (draw, start) of a measured curve from the courses, in standard deviations.

    `since` (start, phase) is the time (s) after the start. Gain (not negative) and offset are the best ones. A course
    is taken to be right to a `share` of the range of the curve, and not better than the baseline repeats itself.
    """
    place = since / _STEP_S
    below = np.minimum(place.astype(int), courses.shape[1] - 2)
    model = courses[:, below] + (place - below) * (courses[:, below + 1] - courses[:, below])
    model -= model.mean(axis=-1, keepdims=True)
    data = curve - curve.mean()
    gain = np.maximum(model @ data, 0) / np.maximum((model**2).sum(axis=-1), 1e-12)
    residual = ((data - gain[..., None] * model) ** 2).sum(axis=-1)
    noise = float(curve[:first].std(ddof=1)) if first > 2 else 0.0
    return np.asarray(residual / max(share * float(np.ptp(curve)), noise, 0.003 * float(curve.mean())) ** 2)
