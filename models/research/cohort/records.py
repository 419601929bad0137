"""A cohort: cases with their volumes, scanner, split and label; and what a training needs of one.

One folder a case: `CASE/T2WI.nii.gz`, `CASE/T2WI.mask.nii.gz`, `CASE/T2WI.json` (acquisition parameters, optional), the
same for DWI and PVP; one row a case in `labels.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from models.sequence import ANALYSED, Sequence
from models.volume import Grid

TABLE_NAME = "labels.csv"
#: The acquisition parameters of a manifest's `protocol`; ms, degrees, mm, T.
ACQUISITION_NAMES = ("tr_ms", "te_ms", "flip_deg", "slice_thickness_mm", "pixel_spacing_mm", "field_strength_t")


class Split(StrEnum):
    """Use of a case; a case without one is drawn into training or validation."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Equipment:
    """The scanner, in the words of the General Equipment module; field strength in T."""

    manufacturer: str
    model: str
    field_strength_t: float

    @property
    def name(self) -> str:
        """Manufacturer and model, such as "Siemens Skyra"."""
        return f"{self.manufacturer} {self.model}"


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One row of the table.

    Attributes:
        case_id: name of the case's folder.
        patient_id: pseudonym; cases of one patient share it and never come into different splits.
        label: 1 for the positive class, 0 for the other, None where it is not known.
        tumour: False for a case that is known to have none, whose masks are empty.
        clinical: further columns, as text.
    """

    case_id: str
    patient_id: str
    equipment: Equipment
    split: Split | None = None
    label: int | None = None
    tumour: bool = True
    clinical: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseVolume:
    """One sequence of a case: its files, its grid (LPS, mm), and the parameters it was acquired with.

    `acquisition` holds those of `ACQUISITION_NAMES` that are known. `mask` is None where none lies beside the image.
    """

    image: Path
    mask: Path | None
    grid: Grid
    acquisition: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """One examination that was found whole."""

    facts: CaseFacts
    volumes: Mapping[Sequence, CaseVolume]

    @property
    def slice_thickness_mm(self) -> dict[Sequence, float]:
        """Of the volumes of which it is known."""
        known = {sequence: volume.acquisition.get("slice_thickness_mm") for sequence, volume in self.volumes.items()}
        return {sequence: thickness for sequence, thickness in known.items() if thickness is not None}


@dataclass(frozen=True, slots=True)
class Cohort:
    """Cases in the order of the table."""

    folder: Path
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Needs:
    """Conditions that a training has on a cohort.

    Attributes:
        sequences: every case must have these; others are not looked at.
        masks: whether each volume needs a tumour mask.
        labels: whether each case needs a label, and both classes must occur.
        cases: least number of cases.
        cases_a_class: least number of cases of each class, where labels are needed.
    """

    sequences: tuple[Sequence, ...] = ANALYSED
    masks: bool = True
    labels: bool = False
    cases: int = 5
    cases_a_class: int = 2


def image_path(folder: Path, sequence: Sequence) -> Path:
    """The image of a sequence in the folder of a case."""
    return folder / f"{sequence}.nii.gz"


def mask_path(folder: Path, sequence: Sequence) -> Path:
    """The tumour mask of a sequence."""
    return folder / f"{sequence}.mask.nii.gz"


def acquisition_path(folder: Path, sequence: Sequence) -> Path:
    """The acquisition parameters of a sequence."""
    return folder / f"{sequence}.json"
