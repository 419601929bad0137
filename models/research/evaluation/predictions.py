"""Probabilities of many cases from many models: what an evaluation starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class CohortPart(StrEnum):
    """Part of the cases by their use. Cut-offs come from training, every judgement from the others."""

    TRAINING = "training"
    VALIDATION = "validation"
    TEST = "test"


class Resolution(StrEnum):
    """The images that the features were measured on; the mask is the same.

    `CUBIC` and `NONE` are the controls of `SUPER`: cubic interpolation to its grid, and the voxels as acquired.
    """

    NORMAL = "normal"
    SUPER = "super"
    CUBIC = "cubic"
    NONE = "none"


class TrainingProbabilities(StrEnum):
    """Where the probabilities of the training cases come from."""

    OUT_OF_FOLD = "out-of-fold"
    RESUBSTITUTION = "resubstitution"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Model:
    """One column of probabilities: what it looks at (`T2WI`, `All-sequence`, …) and at which resolution."""

    input: str
    resolution: Resolution

    @property
    def name(self) -> str:
        """As the column is called: `T2WI super`."""
        return f"{self.input} {self.resolution}"


@dataclass(frozen=True, slots=True)
class About:
    """The head of a table. `target` and `positive_class` may be empty; `simulated` is None where not said."""

    name: str
    digest: str
    target: str
    positive_class: str
    simulated: bool | None
    training_probabilities: TrainingProbabilities


@dataclass(frozen=True, slots=True)
class Predictions:
    """Complete cases.

    Attributes:
        cases, patients, cohorts, scanners: (cases,); a patient may have several cases.
        labels: (cases,), 1 for the positive class, 0 for the other.
        models: names of the rows of `probabilities` (models, cases), 0 to 1.
        oracle: (cases,) probability of the positive class given the drawn parameters of simulated cases, or None.
    """

    about: About
    cases: NDArray[np.str_]
    patients: NDArray[np.str_]
    cohorts: NDArray[np.str_]
    scanners: NDArray[np.str_]
    labels: NDArray[np.int64]
    models: tuple[Model, ...]
    probabilities: Floats
    oracle: Floats | None

    def where(self, chosen: NDArray[np.bool_]) -> Predictions:
        """The cases where `chosen` (cases,) is true."""
        return replace(
            self,
            cases=self.cases[chosen],
            patients=self.patients[chosen],
            cohorts=self.cohorts[chosen],
            scanners=self.scanners[chosen],
            labels=self.labels[chosen],
            probabilities=self.probabilities[:, chosen],
            oracle=None if self.oracle is None else self.oracle[chosen],
        )

    def cohort(self, cohort: CohortPart) -> Predictions:
        """The cases of one cohort."""
        return self.where(self.cohorts == cohort)

    def cohorts_present(self) -> Iterator[CohortPart]:
        """Training, validation, test, as far as they have cases."""
        return (cohort for cohort in CohortPart if (self.cohorts == cohort).any())

    def of(self, model: Model) -> Floats:
        """Probabilities (cases,) of one model."""
        return self.probabilities[self.models.index(model)]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of the models, in the order of the columns."""
        return tuple(dict.fromkeys(model.input for model in self.models))

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """The resolutions that occur, in the order of `Resolution`."""
        found = {model.resolution for model in self.models}
        return tuple(resolution for resolution in Resolution if resolution in found)
