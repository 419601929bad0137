"""The real pelvic patients without a known rectal tumour, and where their series lie.

`patients.csv` says whether an endorectal coil distends the rectum and where skeletal muscle (obturator internus) lies,
`series.csv` which file or folder below the data is which sequence. All series of a patient are in one frame of
reference. Sources and licences: PROSTATEx (Litjens et al., doi 10.7937/K9TCIA.2017.MURS5CL), PROSTATE-MRI (Choyke et
al., doi 10.7937/K9/TCIA.2016.6046GUDv), Prostate Fused-MRI-Pathology (Madabhushi, Feldman, TCIA), all CC BY 3.0.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import SimpleITK as sitk

from models.errors import ModelError
from models.research.cohort.series import read_series
from models.sequence import Sequence


@dataclass(frozen=True, slots=True)
class PelvicSeries:
    """A series of a patient; `path` below the folder of the data, `b_value` in s/mm², None of what is no DWI."""

    sequence: Sequence
    path: Path
    b_value: float | None


@dataclass(frozen=True, slots=True)
class PelvicPatient:
    """A patient; `muscle_mm`: middle of a ball of skeletal muscle of 4 mm radius (LPS, mm)."""

    name: str
    endorectal_coil: bool
    muscle_mm: tuple[float, float, float]
    series: tuple[PelvicSeries, ...]

    def images(self, data: Path) -> Mapping[Sequence, sitk.Image]:
        """Its volumes by sequence (float32). Raises VolumeError when one cannot be read."""
        return {series.sequence: read_series(data / series.path) for series in self.series}


@lru_cache(maxsize=1)
def pelvic_patients() -> tuple[PelvicPatient, ...]:
    """All of them, in the order of their table."""
    series: dict[str, list[PelvicSeries]] = {}
    for row in _rows("series.csv"):
        b_value = float(row["b_value"]) if row["b_value"] else None
        series.setdefault(row["patient"], []).append(
            PelvicSeries(Sequence(row["sequence"]), Path(row["path"]), b_value)
        )
    return tuple(
        PelvicPatient(
            row["patient"],
            row["endorectal_coil"] == "yes",
            (float(row["muscle_x_mm"]), float(row["muscle_y_mm"]), float(row["muscle_z_mm"])),
            tuple(series[row["patient"]]),
        )
        for row in _rows("patients.csv")
    )


def find_pelvic_patient(name: str) -> PelvicPatient:
    """The patient of a name. Raises ModelError when there is none, naming those that there are."""
    for patient in pelvic_patients():
        if patient.name == name:
            return patient
    raise ModelError(f"no pelvic patient {name!r}; there are {', '.join(it.name for it in pelvic_patients())}")


def _rows(name: str) -> list[dict[str, str]]:
    with resources.files(__package__).joinpath(name).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
