"""The findings of an analysis, as the encoders take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import SimpleITK as sitk

from models.prediction.records import Prediction
from models.volume import volume_ml
from node.recognition.record import Stack, StudyPlan
from storage.records import ResultRecord


@dataclass(frozen=True, slots=True)
class AlgorithmIdentity:
    """Which bundle computed something.

    Attributes:
        digest: digest of the bundle's manifest, which holds the digests of its weights.
        statement: the bundle's own words on its training and intended use.
    """

    name: str
    version: str
    digest: str
    statement: str


@dataclass(frozen=True, slots=True)
class SequenceResult:
    """The volumes and measurements computed from one stack. All images are in LPS, mm; index order x-y-z.

    Attributes:
        sequence: T2WI, DWI or PVP.
        stack: the source images; slice k of `acquired` and `mask` is frame k of the stack.
        acquired: float32, the scanner's grid, in the scale after the source's rescale.
        super_resolved: float32, same extents and same scale.
        mask: uint8 on the grid of `acquired`; empty where no tumour was found. It is delivered.
        mask_super: uint8 on the grid of `super_resolved`; only for the sequences of which it is delivered, too.
        probability: float32, 0 to 1, on the grid of `acquired`: of what `mask` shows; only where it is delivered.
        super_ml: tumour volume on the super-resolved grid, also where no mask on it is delivered.
        features: radiomics on the super-resolved grid by pyradiomics name.
    """

    sequence: str
    stack: Stack
    acquired: sitk.Image
    super_resolved: sitk.Image
    mask: sitk.Image
    mask_super: sitk.Image | None
    super_ml: float
    features: Mapping[str, float]
    probability: sitk.Image | None = None

    @property
    def has_tumour(self) -> bool:
        """Whether any voxel of the acquired grid was segmented."""
        return bool(np.any(sitk.GetArrayViewFromImage(self.mask)))

    @property
    def acquired_ml(self) -> float:
        """Volume of the mask on the acquired grid."""
        return volume_ml(self.mask)

    @property
    def volume_ml(self) -> float:
        """The tumour's volume: that of the finest mask that is delivered, so that whoever counts it finds the same."""
        return volume_ml(self.mask if self.mask_super is None else self.mask_super)


@dataclass(frozen=True, slots=True)
class StudyResults:
    """Everything that the objects of one study revision are made from.

    Attributes:
        input_digest: digest over the instances used.
        settings_digest: digest of the settings that affect results.
        created_at: when these results came to be (UTC); part of the objects' bytes, so a retry passes the same.
        algorithms: bundle identity by manifest kind.
        supersedes: the report of an earlier revision that these results supersede; `encode` finds it.
    """

    study_instance_uid: str
    revision: int
    input_digest: str
    settings_digest: str
    created_at: datetime
    sequences: tuple[SequenceResult, ...]
    prediction: Prediction | None
    algorithms: Mapping[str, AlgorithmIdentity]
    plan: StudyPlan
    supersedes: ResultRecord | None = None
