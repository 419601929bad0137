"""Geometry of a stack from the headers: evenly spaced parallel slices, or a named fault. Nothing is repaired.

Tolerances follow highdicom where it has one; each is named below. Positions are mm, LPS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.rounding import at_least, beyond
from node.codes import Code
from node.recognition.header.facts import UNIT_TOLERANCE, Fault, Placement, Vector

SHEAR_TOLERANCE_MM = 0.1
SPACING_TOLERANCE = 0.05
SAME_POSITION_MM = 0.01
OVERLAP_TOLERANCE = 0.02
#: Shortest and longest side of an image, least and greatest distance between slices of any patient, mm.
FIELD_OF_VIEW_MM = (10.0, 2000.0)
SLICE_STEP_MM = (0.1, 200.0)
_MISSING_RATIO = (1.8, 2.2)


@dataclass(frozen=True, slots=True)
class StackGeometry:
    """A regular stack: `order` sorts the given placements along `normal`; lengths in mm."""

    order: tuple[int, ...]
    origin: Vector
    row_direction: Vector
    column_direction: Vector
    normal: Vector
    pixel_spacing: tuple[float, float]
    slice_step_mm: float
    overlaps: bool


def along_normal(placements: tuple[Placement, ...]) -> np.ndarray:
    """The position of each slice along the normal of the first: float64, (slices,), mm, in the given order."""
    normal = np.asarray(placements[0].normal)
    return np.asarray([placement.position for placement in placements]) @ normal


def plane_of(placement: Placement) -> tuple[str, float]:
    """`axial`, `sagittal`, `coronal` or `double oblique`, and the angle of the normal to that axis in degrees."""
    components = np.abs(placement.normal)
    largest, second = np.sort(components)[::-1][:2]
    angle = math.degrees(math.acos(min(1.0, float(largest))))
    name = ("sagittal", "coronal", "axial")[int(np.argmax(components))]
    if angle >= 45 or largest - second < 0.1:
        return "double oblique", angle
    return name, angle


def check_stack(placements: tuple[Placement, ...]) -> StackGeometry | Fault:
    """The geometry of parallel slices that make a regular stack, or why they make none.

    Slices of one orientation and one frame of reference are expected; the split by orientation comes before.
    """
    fault = _orientation_fault(placements[0])
    if fault is not None:
        return fault
    along = along_normal(placements)
    order = np.argsort(along, kind="stable")
    positions = np.asarray([placements[index].position for index in order])
    steps = np.diff(along[order])
    step = float(np.median(steps)) if len(steps) else placements[0].thickness_mm or 1.0
    fault = (
        _extent_fault(placements[0], step)
        or _step_fault(steps, step)
        or _shear_fault(positions, along[order], placements[0])
    )
    if fault is not None:
        return fault
    first = placements[int(order[0])]
    mean_step = float((along[order[-1]] - along[order[0]]) / (len(along) - 1)) if len(along) > 1 else step
    return StackGeometry(
        order=tuple(int(index) for index in order),
        origin=first.position,
        row_direction=first.row_direction,
        column_direction=first.column_direction,
        normal=first.normal,
        pixel_spacing=first.spacing,
        slice_step_mm=mean_step,
        overlaps=bool(first.thickness_mm and not at_least(mean_step, first.thickness_mm * (1 - OVERLAP_TOLERANCE))),
    )


def _orientation_fault(placement: Placement) -> Fault | None:
    row, column = np.asarray(placement.row_direction), np.asarray(placement.column_direction)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    product = float(row @ column)
    if max(abs(length - 1) for length in lengths) > UNIT_TOLERANCE or abs(product) > UNIT_TOLERANCE:
        return Fault(
            Code.IOP,
            f"direction cosines are no orthogonal unit vectors (lengths {lengths[0]:.4f} and {lengths[1]:.4f}, "
            f"product {product:.4f})",
        )
    return None


def _extent_fault(placement: Placement, step: float) -> Fault | None:
    """Lengths that no patient and no scanner has; whatever is computed with them is none either."""
    sides = placement.rows * placement.spacing[0], placement.columns * placement.spacing[1]
    within = FIELD_OF_VIEW_MM[0] <= min(sides) and max(sides) <= FIELD_OF_VIEW_MM[1]
    # Two slices at one position are told apart later, by name.
    if within and (step < SAME_POSITION_MM or SLICE_STEP_MM[0] <= step <= SLICE_STEP_MM[1]):
        return None
    return Fault(Code.EXTENT, f"images of {sides[0]:.4g} x {sides[1]:.4g} mm, {step:.4g} mm apart")


def _step_fault(steps: np.ndarray, step: float) -> Fault | None:
    """Slices at one position, missing or unevenly spaced; `steps` (slices - 1,) and their median `step` in mm."""
    if not len(steps):
        return None
    double = np.flatnonzero(steps < SAME_POSITION_MM)
    if len(double):
        return Fault(Code.SLICE_DUP, f"two slices at the same position, index {int(double[0]) + 1}")
    deviation = np.abs(steps - step) / step
    if not beyond(deviation, SPACING_TOLERANCE).any():
        return None
    holes = np.flatnonzero(_is_multiple(steps / step))
    if len(holes) and not beyond(np.delete(deviation, holes), SPACING_TOLERANCE).any():
        missing = sum(round(float(steps[hole] / step)) - 1 for hole in holes)
        return Fault(
            Code.SLICE_MISSING,
            f"{missing} slice(s) missing, first behind index {int(holes[0])} "
            f"(gap {float(steps[holes[0]]):.2f} mm, step {step:.2f} mm)",
        )
    return _uneven(steps, step)


def _is_multiple(ratio: np.ndarray) -> np.ndarray:
    """Which steps, as multiples of the median step (slices - 1,), span slices that are missing: bool, same shape."""
    nearest = np.round(ratio)
    close_to_two = (ratio > _MISSING_RATIO[0]) & (ratio < _MISSING_RATIO[1])
    return close_to_two | ((nearest > 2) & (np.abs(ratio - nearest) < 0.1 * nearest))


def _uneven(steps: np.ndarray, step: float) -> Fault:
    """E-STACK-OVERLAP where two step lengths alternate, as of two interleaved stacks; else E-SPACING.

    `steps` (slices - 1,) and their median `step` in mm.
    """
    pairs = steps[:-1] + steps[1:]
    if len(pairs) >= 3 and float(np.ptp(pairs)) <= SPACING_TOLERANCE * float(np.median(pairs)):
        return Fault(
            Code.STACK_OVERLAP,
            f"two interleaved stacks: steps alternate between {float(steps.min()):.2f} and {float(steps.max()):.2f} mm",
        )
    worst = int(np.argmax(np.abs(steps - step)))
    return Fault(
        Code.SPACING, f"uneven slice spacing: {float(steps[worst]):.2f} mm behind index {worst}, median {step:.2f} mm"
    )


def _shear_fault(positions: np.ndarray, along: np.ndarray, placement: Placement) -> Fault | None:
    """E-SHEAR where origins do not lie on one line along the normal.

    `positions` (slices, 3) are LPS, mm, in the order of `along` (slices,), their place along the normal, mm.
    """
    normal = np.asarray(placement.normal)
    expected = positions[0] + np.outer(along - along[0], normal)
    shift = np.linalg.norm(positions - expected, axis=1)
    worst = int(np.argmax(shift))
    # A tilt of the stack against its normal grows from slice to slice, so the tolerance is for the whole stack.
    tolerance = SHEAR_TOLERANCE_MM + UNIT_TOLERANCE * float(abs(along[-1] - along[0]))
    if float(shift[worst]) <= tolerance:
        return None
    return Fault(Code.SHEAR, f"slice {worst} is shifted in plane by {float(shift[worst]):.2f} mm")
