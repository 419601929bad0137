"""Records of a prediction, and of what a prediction bundle says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.sequence import Sequence

Resolution = Literal["normal", "super"]


@dataclass(frozen=True, slots=True)
class CodedConcept:
    """A code as DICOM writes it: value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Target:
    """The predicted outcome. `concept` names the probability of `positive_class`."""

    name: str
    positive_class: str
    concept: CodedConcept


@dataclass(frozen=True, slots=True)
class Contribution:
    """The share of one feature of a case in the answer of a model.

    Attributes:
        name: ``<sequence>|<resolution>|<pyradiomics name>``.
        value: of this case.
        low: least value in the training cohort.
        high: greatest value in the training cohort.
        log_odds: Shapley value of the feature on the scale of the calibrated log odds; positive raises the probability.
    """

    name: str
    value: float
    low: float
    high: float
    log_odds: float

    @property
    def outside(self) -> bool:
        """Whether the training cohort held no such value."""
        return not self.low <= self.value <= self.high


@dataclass(frozen=True, slots=True)
class ModelPrediction:
    """The answer of one model: calibrated probability of the positive class, 0 to 1.

    `cutoff` was fixed on the training cohort; `cross_validated_auc` is that model's, not this case's. `base` and the
    `contributions` (every feature, the strongest first) add up to the calibrated log odds of `probability`.
    """

    name: str
    version: str
    inputs: tuple[Sequence, ...]
    resolution: Resolution
    probability: float
    cutoff: float
    cross_validated_auc: float
    base: float
    contributions: tuple[Contribution, ...]

    @property
    def out_of_range(self) -> tuple[Contribution, ...]:
        """The features whose values lie outside what the training cohort held."""
        return tuple(feature for feature in self.contributions if feature.outside)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The bundle's first choice, where it could not answer: features of the sequences `lacking` are missing."""

    name: str
    lacking: tuple[Sequence, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """All answers that the available features allow; `main` is the one to read first.

    `unanswered` is the model that would be the main one if every feature were there; None when it is.
    """

    main: ModelPrediction
    others: tuple[ModelPrediction, ...]
    target: Target
    unanswered: Unanswered | None = None


class FeatureCard(BaseModel):
    """One selected feature: range in the training cohort, and weight (those of a model sum to 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    low: float
    high: float
    weight: float


class ModelCard(BaseModel):
    """One boosted-trees model. `intercept` and `slope` calibrate its log odds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    file: str
    inputs: tuple[Sequence, ...]
    resolution: Resolution
    features: tuple[FeatureCard, ...] = Field(min_length=1)
    intercept: float
    slope: float
    cutoff: float = Field(ge=0, le=1)
    cross_validated_auc: float = Field(ge=0, le=1)
    cross_validated_auc_interval: tuple[float, float]
    leave_one_scanner_out_auc: float = Field(ge=0, le=1)
    cases: int = Field(ge=1)


class Catalogue(BaseModel):
    """`models.json` of a prediction bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target
    radiomics_digest: str
    """Digest of the `RadiomicsSettings` that the features must come from."""
    models: tuple[ModelCard, ...] = Field(min_length=1)
