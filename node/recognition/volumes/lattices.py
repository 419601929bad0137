"""Lattices: matrix, spacing and orientation that frames of one stack share, compared with tolerances."""

from __future__ import annotations

from collections.abc import Sequence

from node.recognition.header.facts import Placement

SAME_SPACING_MM = 1e-3
SAME_B_VALUE = 1.0


class Clusters:
    """Groups vectors by the first of them that lies within a tolerance in every component."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._centres: list[tuple[float, ...]] = []

    def centre(self, vector: Sequence[float]) -> tuple[float, ...]:
        """The vector that stands for the group of this one."""
        for centre in self._centres:
            if all(abs(one - other) <= self._tolerance for one, other in zip(vector, centre, strict=True)):
                return centre
        self._centres.append(tuple(vector))
        return self._centres[-1]


class Lattices:
    """Groups frames by orientation, matrix, pixel spacing, frame of reference and stack."""

    def __init__(self, orientation_tolerance: float) -> None:
        self._orientations = Clusters(orientation_tolerance)
        self._spacings = Clusters(SAME_SPACING_MM)

    def key(self, placement: Placement, orientation: Sequence[float]) -> tuple[object, ...]:
        """The key of a lattice, the same for equal ones; `orientation` are the direction cosines that count."""
        return (
            self._orientations.centre(orientation),
            placement.rows,
            placement.columns,
            self._spacings.centre(placement.spacing),
            placement.frame_of_reference_uid,
            placement.stack,
        )
