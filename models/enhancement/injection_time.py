"""The time of injection of contrast agent on the clock of a dynamic run; who keeps it needs no arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InjectionTime:
    """A time of injection on the clock of the run, and what tells it.

    `uncertainty_s`: one standard deviation of one that was measured in the images, 0 of one that was stated.
    """

    time_s: float
    uncertainty_s: float
    evidence: str
