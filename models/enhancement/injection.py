"""From the arrival of the bolus in the pelvic arteries back to the injection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import SimpleITK as sitk

from models.enhancement.arrival import measure_arrival
from models.enhancement.arteries import Arteries, find_arteries
from models.enhancement.injection_time import InjectionTime
from models.enhancement.phases import Phase, Values, unmeasurable

DELAY_S = 19.0
"""From the start of the injection to the first sight of contrast in the pelvic arteries, adults, 2-3 ml/s."""
DELAY_DEVIATION_S = 5.0
"""Standard deviation of that delay between patients: circulation and injection differ, and no image shows them."""
LARGEST_UNCERTAINTY_S = 15.0


def measure_injection(phases: Sequence[Phase]) -> InjectionTime:
    """The time of injection of a run in order of time, with a sentence for a radiologist.

    Raises:
        EnhancementError: with the reason: fewer than three phases, times that do not increase, phases on different
            grids, no phase before the contrast, no enhancement, no artery, or an uncertainty above 15 s.
    """
    _check(phases)
    times = np.array([phase.time_s for phase in phases])
    arteries = find_arteries(phases, times)
    arrival, spread = measure_arrival(arteries, times, phases[0])
    uncertainty = math.hypot(spread, DELAY_DEVIATION_S)
    if uncertainty > LARGEST_UNCERTAINTY_S:
        raise unmeasurable(
            f"arterial arrival at {arrival:.0f} s is only known to ± {spread:.0f} s: the phases are too far apart"
        )
    return InjectionTime(
        round(arrival - DELAY_S, 1), round(uncertainty, 1), _evidence(arteries, times, arrival, spread)
    )


def _check(phases: Sequence[Phase]) -> None:
    if len(phases) < 3:
        raise unmeasurable(f"{len(phases)} phase(s), at least 3 are needed")
    if not all(later.time_s > phase.time_s for phase, later in pairwise(phases)):
        raise unmeasurable("the times of the phases do not increase")
    grids = [_grid(phase.image) for phase in phases]
    if any(len(grid) != len(grids[0]) or not np.allclose(grid, grids[0], atol=1e-2) for grid in grids):
        raise unmeasurable("the phases do not lie on one grid")


def _grid(image: sitk.Image) -> tuple[float, ...]:
    return (*image.GetSize(), *image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())


def _evidence(arteries: Arteries, times: Values, arrival: float, spread: float) -> str:
    first = arteries.first
    before = float(arteries.curve[:first].mean())
    rise = 100 * (float(arteries.curve.max()) / before - 1) if before > 0 else math.inf
    return (
        f"{arteries.volume_ml:.1f} ml of {arteries.vessels} artery segment(s) rise by {rise:.0f} % between "
        f"{times[first - 1]:.1f} and {times[first]:.1f} s; the bolus arrives at {arrival:.1f} ± {spread:.1f} s, "
        f"{DELAY_S:.0f} ± {DELAY_DEVIATION_S:.0f} s after an injection into an arm vein"
    )
