"""Phases of a dynamic run, and the error of a run that cannot be measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from models.errors import EnhancementError

Array = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


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


def unmeasurable(reason: str) -> EnhancementError:
    """The error of a run that does not show when contrast was injected."""
    return EnhancementError(f"no time of injection from the images: {reason}")
