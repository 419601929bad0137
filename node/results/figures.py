"""How the figures of a result are written: the same digits in the report, on the page and wherever else they stand."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from node.recognition.record import Stack
from node.results.findings import SequenceResult

_SIDES = (("R", "L"), ("A", "P"), ("F", "H"))


def millilitres(volume: float) -> str:
    """A volume, with two decimals below one millilitre and one above."""
    return f"{volume:.2f} ml" if volume < 0.995 else f"{volume:.1f} ml"


def tumour_volumes(result: SequenceResult) -> str:
    """The volume of every mask that is delivered for a sequence, the one that counts first, each with its grid."""
    acquired = f"{millilitres(result.acquired_ml)} on the acquired grid"
    if result.mask_super is None:
        return acquired
    return f"{millilitres(result.volume_ml)} on the super-resolved grid, {acquired}"


def selection(stack: Stack) -> str:
    """Which of the volumes that a sequence has was taken: its b-value, its time; empty where there is but one."""
    b_value = "" if stack.b_value is None else f"b = {stack.b_value:g} s/mm²"
    time = "" if stack.phase_time_s is None else f"{stack.phase_time_s:.1f} s after injection"
    return ", ".join(filter(None, (b_value, time)))


def largest_section(mask: sitk.Image) -> int | None:
    """Index of the slice with the most tumour; None where there is none."""
    areas = np.count_nonzero(sitk.GetArrayViewFromImage(mask), axis=(1, 2))
    return int(np.argmax(areas)) if areas.any() else None


def slice_number(index: int, mask: sitk.Image) -> str:
    """A slice with the sides of the patient between which it is counted: scanners and readers count either way."""
    normal = np.reshape(mask.GetDirection(), (3, 3))[:, 2]
    return f"slice {index + 1} of {mask.GetSize()[2]} ({side(-normal)} to {side(normal)})"


def side(direction: np.ndarray) -> str:
    """Letters of a direction (3,) in LPS, the strongest component first; weak ones are left out."""
    order = np.argsort(-np.abs(direction))
    return "".join(_SIDES[axis][int(direction[axis] > 0)] for axis in order[:2] if abs(direction[axis]) > 0.35)
