"""The time of injection of contrast agent, as it was measured in the images; records hold it, and load no arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InjectionTime:
    """A time of injection that was measured in the images, on the clock of the run; one standard deviation."""

    time_s: float
    uncertainty_s: float
    evidence: str
