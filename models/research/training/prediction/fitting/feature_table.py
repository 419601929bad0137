"""Features of many cases as one table, and what was measured again under other masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Perturbed:
    """Some cases measured again under masks as other readers would draw them.

    Attributes:
        rows: (perturbed cases,) their rows in the table.
        values: (perturbed cases, masks, columns), the true mask first; NaN where a feature could not be computed.
    """

    rows: NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Complete cases.

    Attributes:
        cases: name of each case.
        values: (cases, columns), finite.
        names: of the columns, ``<sequence>|<resolution>|<pyradiomics name>``.
        labels: 0 or 1.
        scanners: manufacturer and model of each case.
        patients: whose cases stay in one fold.
        oracle: probability of the label given what it was drawn with; None where nobody knows.
        perturbed: None where no case was measured twice.
    """

    cases: tuple[str, ...]
    values: Floats
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    scanners: NDArray[np.str_]
    patients: NDArray[np.str_]
    oracle: Floats | None = None
    perturbed: Perturbed | None = None

    def of(self, sequences: Iterable[str], resolution: str) -> FeatureTable:
        """The same cases with the columns of some sequences at one resolution."""
        wanted = {(str(sequence), resolution) for sequence in sequences}
        columns = [index for index, name in enumerate(self.names) if tuple(name.split("|")[:2]) in wanted]
        return replace(
            self,
            values=self.values[:, columns],
            names=tuple(self.names[index] for index in columns),
            perturbed=_measured_twice(self.perturbed, columns),
        )

    @property
    def numbered(self) -> Floats:
        """(cases, 1 + columns): the row number of each case before its values, so that a step knows its cases."""
        return np.column_stack([np.arange(len(self.cases)), self.values])

    def followed_by(self, unseen: FeatureTable) -> FeatureTable:
        """Both one after the other, so that cases that nothing is fitted on have row numbers, too.

        Nobody asks for their masks or their oracle: those of the first are kept and no oracle.
        """
        return FeatureTable(
            cases=self.cases + unseen.cases,
            values=np.concatenate([self.values, unseen.values]),
            names=self.names,
            labels=np.concatenate([self.labels, unseen.labels]),
            scanners=np.concatenate([self.scanners, unseen.scanners]),
            patients=np.concatenate([self.patients, unseen.patients]),
            perturbed=self.perturbed,
        )


def _measured_twice(perturbed: Perturbed | None, columns: list[int]) -> Perturbed | None:
    """None, too, where a control was never measured under the other masks."""
    if perturbed is None:
        return None
    values = perturbed.values[:, :, columns]
    if not np.isfinite(values).all(axis=(0, 1)).any():
        return None
    return Perturbed(perturbed.rows, values)
