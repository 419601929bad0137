"""The arrival of the bolus: the unknown of a fit of plausible boluses to the curves of arteries and tissue.

A bolus is the population arterial input function (Parker et al., Magn Reson Med 2006;56:993-1000) seen through the
spoiled gradient-echo equation. Its width, height and recirculation, T1 of blood, flip angle and the uptake of tissue
are averaged over what is plausible, gain and inflow are free, so that only the shape of the curves counts. With phases
seconds apart the onset decides, with phases of a breath-hold each the ratio of the first pass to what follows.

The phantom of `models` is made with the same population curve: agreement there is partly circular.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.enhancement.arteries import Arteries
from models.enhancement.phases import Phase, Values, unmeasurable

_DRAWS = 1500
_STEP_S = 0.5
_MARGIN_S = 3.0
_SLOWEST_RISE_S = 30.0
_LARGEST_MISFIT = 3.0  # variances a phase


@dataclass(frozen=True, slots=True)
class Boluses:
    """Plausible courses of the signal (draw, time in steps of `_STEP_S` from the start) in artery and tissue.

    seen_s: from the start until the artery reaches a tenth of its first peak.
    """

    artery: Values
    tissue: Values
    seen_s: Values


def measure_arrival(arteries: Arteries, times: Values, phase: Phase) -> tuple[float, float]:
    """Mean and standard deviation (s) of the time at which the arteries reach a tenth of their first peak.

    `times` (phases,): s, rising.

    Taken over all starts of all plausible boluses, each weighted by how well it fits; gain and offset of either
    signal are fitted for each. Before the fit every start between two phases is equally likely.

    Raises:
        EnhancementError: where no bolus fits.
    """
    earliest = max(times[0], times[arteries.first - 1] - _SLOWEST_RISE_S) - _MARGIN_S
    starts = np.arange(earliest, times[arteries.first] + _MARGIN_S, _STEP_S)
    since = np.maximum(times[None, :] - starts[:, None], 0)
    boluses = _plausible(float(since.max()), phase)
    misfit = _misfit(boluses.artery, arteries.curve, arteries.first, since, 0.08)
    misfit += _misfit(boluses.tissue, arteries.tissue, arteries.first, since, 0.15)
    if misfit.min() > _LARGEST_MISFIT * len(times):
        raise unmeasurable("the curve of what enhances first is not that of an artery")
    weights = np.exp(-0.5 * (misfit - misfit.min()))
    seen = starts + boluses.seen_s[:, None]
    mean = float(np.average(seen, weights=weights))
    return mean, math.sqrt(float(np.average((seen - mean) ** 2, weights=weights)))


def _plausible(duration_s: float, phase: Phase) -> Boluses:
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
    rate = delayed * decay
    # Trapezoids, as scipy.integrate has them, whose import takes 0.4 s at every start of a node.
    areas = np.diff(minutes) * (rate[:, 1:] + rate[:, :-1]) / 2
    uptake = np.pad(np.cumsum(areas, axis=1), ((0, 0), (1, 0))) / decay
    first_pass = blood[:, : round(30 / _STEP_S)]
    seen_s = _STEP_S * np.argmax(first_pass >= 0.1 * first_pass.max(axis=1, keepdims=True), axis=1)
    return Boluses(_signal(blood, blood_t1, angle, phase), volume * delayed + uptake, seen_s)


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
