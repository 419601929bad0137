"""How well the time of injection is measured in simulated runs, by the sampling of the run and the shape of the bolus.

The phantom's scanners, dose 0.6-1.2, breathing shifts of 0-2 mm; the arteries first show contrast 12-28 s after the
injection. `Parker` is the bolus that the node expects and the phantom is made with, so that agreement is partly
circular; `gamma` is a gamma variate of drawn width and height with a bi-exponential tail.

    python -m models.research.experiments.injection_time
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from models.enhancement.injection import DELAY_S, measure_injection
from models.enhancement.phases import Phase
from models.errors import EnhancementError
from models.research.phantom import contrast_kinetics, load_scanners
from models.research.phantom.measuring import Exposure, expose
from models.research.phantom.scanners import Scanner
from models.research.phantom.session import Session, open_session
from models.volume import image_from

Bolus = Callable[[npt.ArrayLike], npt.NDArray[np.float64]]
PARKER = contrast_kinetics.arterial_concentration
SAMPLINGS = {
    "every 4.2 s": tuple(np.arange(-12, 96, 4.2)),
    "every 10 s": tuple(np.arange(-15.0, 150, 10)),
    "-20, 25, 70, 120 s": (-20.0, 25.0, 70.0, 120.0),
    "-30, 25, 45, 70, 120 s": (-30.0, 25.0, 45.0, 70.0, 120.0),
    "-20, 18, 45, 75, 180 s": (-20.0, 18.0, 45.0, 75.0, 180.0),
    "-15, 35, 65, 100, 180 s": (-15.0, 35.0, 65.0, 100.0, 180.0),
    "-10, 30, 70 s": (-10.0, 30.0, 70.0),
}


DENSE_ON = ("Multiva", "uMR 770", "Skyra")
"""Many phases take long to simulate: on these scanners only."""


def main(seeds: Annotated[int, typer.Option(help="Patients a scanner.")] = 3) -> None:
    """Print the errors of arrival and injection, what was stated, and how often twice that held."""
    table = Table("phases", "bolus", "runs", "refused", "arrival", "injection", "stated", "within 2 σ")
    outcomes: dict[tuple[str, str], list[tuple[float, float, float] | None]] = {}
    for seed in range(11, 11 + seeds):
        for number, scanner in enumerate(load_scanners()):
            for key, outcome in _outcomes(seed, scanner, np.random.default_rng(seed * 100 + number)):
                outcomes.setdefault(key, []).append(outcome)
    for (sampling, bolus), found in outcomes.items():
        table.add_row(sampling, bolus, *_row(found))
    for bolus in ("Parker", "gamma"):
        table.add_row(
            "all", bolus, *_row([each for key, found in outcomes.items() if key[1] == bolus for each in found])
        )
    Console(width=140).print(table)


def _row(found: list[tuple[float, float, float] | None]) -> list[str]:
    known = np.array([outcome for outcome in found if outcome is not None])
    arrival, injection, stated = known.T
    return [
        str(len(found)),
        str(len(found) - len(known)),
        f"{arrival.mean():+.1f} ± {arrival.std():.1f}",
        f"{injection.mean():+.1f} ± {injection.std():.1f}",
        f"{stated.mean():.1f}",
        f"{(np.abs(injection) <= 2 * stated).mean():.0%}",
    ]


def _outcomes(
    seed: int, scanner: Scanner, rng: np.random.Generator
) -> Iterator[tuple[tuple[str, str], tuple[float, float, float] | None]]:
    """Errors of arrival and injection and the stated uncertainty (s); None where the run is refused."""
    session = open_session(seed, scanner)
    exposure = expose(session.patient, scanner.field_strength_t, session.plan["DCE"], None)
    samplings = {name: times for name, times in SAMPLINGS.items() if len(times) <= 5 or scanner.model in DENSE_ON}
    for sampling, times in samplings.items():
        for bolus, draw in (("Parker", _parker), ("gamma", _gamma)):
            concentration = draw(rng)
            seen_s, lead_s = float(rng.uniform(12, 28)), _first_sight_s(concentration)
            moved = [time if len(times) > 5 else time + rng.uniform(-2, 2) for time in times]
            with patch.object(contrast_kinetics, "arterial_concentration", concentration):
                run = _run(replace(session, arrival_s=seen_s - lead_s), exposure, moved, rng)
            try:
                found = measure_injection(run)
            except EnhancementError:
                yield (sampling, bolus), None
            else:
                yield (sampling, bolus), (found.time_s + DELAY_S - seen_s, found.time_s, found.uncertainty_s)


def _run(session: Session, exposure: Exposure, times: list[float], rng: np.random.Generator) -> list[Phase]:
    shift_mm = float(rng.choice([0, 1, 2])) * np.array([0.3, 1.0, 0.5])
    protocol, field = session.scanner.dce, session.scanner.field_strength_t
    phases = []
    for number, time in enumerate(times):
        volume = replace(replace(session, phase_times_s={"X": time}).dynamic("X"), name=f"DCE {number}")
        values = session.acquire(exposure, volume)
        shift = rng.normal(0, 1, 3) * shift_mm / np.array(exposure.grid.spacing[::-1])
        values = ndimage.shift(values, shift, order=1, mode="nearest")
        phases.append(Phase(image_from(values, exposure.grid), time, protocol.tr_ms, protocol.flip_deg, field))
    return phases


def _first_sight_s(concentration: Bolus) -> float:
    """From the start of a bolus to a tenth of its first peak."""
    times = np.arange(0, 30, 0.1)
    values = concentration(times)
    return float(times[np.argmax(values > 0.1 * values.max())])


def _parker(rng: np.random.Generator) -> Bolus:
    dose = float(rng.uniform(0.6, 1.2))
    return lambda time_s: dose * PARKER(time_s)


def _gamma(rng: np.random.Generator) -> Bolus:
    peak_s, order = float(rng.uniform(6, 13)), float(rng.uniform(2.5, 6))
    height, plateau = float(rng.uniform(2.5, 7)), float(rng.uniform(0.6, 1.3))

    def variate(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (np.maximum(x, 0) * np.exp(1 - x)) ** order

    def concentration(time_s: npt.ArrayLike) -> npt.NDArray[np.float64]:
        time = np.maximum(np.asarray(time_s, dtype=np.float64), 0)
        x = time / peak_s
        tail = plateau * (1 - np.exp(-(x**2) / 2)) * (0.6 * np.exp(-time / 400) + 0.4 * np.exp(-time / 60))
        return height * (variate(x) + 0.18 * variate(x - 2.2)) + tail

    return concentration


if __name__ == "__main__":
    typer.run(main)
