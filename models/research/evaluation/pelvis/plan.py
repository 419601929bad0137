"""Which tumours are painted into which patient: drawn once, and committed in `implants.csv` before any training.

The table, not the draw, is what is painted: it stays the same where random numbers or outlines change. Seeds of
painted tumours are used by nothing else. `python -m models.research.experiments.draw_implants` wrote it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from importlib import resources
from pathlib import Path

from models.research.evaluation.pelvis.appearance import Appearance, draw_appearance
from models.research.evaluation.pelvis.bowel import Bowel
from models.research.evaluation.pelvis.implants import Form, draw_form
from models.research.evaluation.pelvis.patients import PelvicPatient, pelvic_patients
from models.research.phantom.tumour import Growth
from models.spreadsheet import write_mappings

SIZES_ML = (20.0, 6.0)
COUNT = 20
"""Of each size in each patient."""
FIRST_SEED = 700_000
READING = 1
"""The outlines that tumours grow along."""
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Implant:
    """One painted tumour; `number` from 0 within its patient and size."""

    patient: str
    size_ml: float
    number: int
    seed: int
    form: Form
    appearance: Appearance


def implants(patient: str) -> tuple[Implant, ...]:
    """The tumours of a patient, by number and size."""
    return tuple(it for it in _all() if it.patient == patient)


def seed_of(patient: PelvicPatient, size_ml: float, number: int) -> int:
    """Of one painted tumour."""
    place = [it.name for it in pelvic_patients()].index(patient.name)
    return FIRST_SEED + 1000 * place + 100 * SIZES_ML.index(size_ml) + number


def draw(patient: PelvicPatient, bowel: Bowel, size_ml: float, number: int) -> Implant:
    """The tumour as it is drawn, not rounded."""
    seed = seed_of(patient, size_ml, number)
    form = draw_form(seed, bowel, size_ml, patient.endorectal_coil)
    return Implant(patient.name, size_ml, number, seed, form, draw_appearance(seed))


def write_plan(path: Path, drawn: Iterable[Implant]) -> None:
    """The table of drawn tumours, figures to three digits."""
    rows = [_row(it) for it in drawn]
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_mappings(stream, list(rows[0]), rows)


def read_plan(lines: Iterable[str]) -> Iterator[Implant]:
    """The tumours of a table that `write_plan` wrote."""
    for row in csv.DictReader(lines):
        form = {field.name: _value(row[field.name]) for field in fields(Form) if field.name != "growth"}
        appearance = {field.name: _value(row[field.name]) for field in fields(Appearance)}
        yield Implant(
            row["patient"],
            float(row["size_ml"]),
            int(row["number"]),
            int(row["seed"]),
            Form(growth=Growth(row["growth"]), **form),  # type: ignore[arg-type]
            Appearance(**appearance),  # type: ignore[arg-type]
        )


def _row(implant: Implant) -> dict[str, str]:
    whole = {"patient": implant.patient, "size_ml": f"{implant.size_ml:g}"}
    whole |= {"number": str(implant.number), "seed": str(implant.seed)}
    return whole | {
        name: _text(value) for part in (implant.form, implant.appearance) for name, value in asdict(part).items()
    }


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{number:.{_DIGITS}f}" for number in value)
    return f"{value:.{_DIGITS}f}" if isinstance(value, float) else str(value)


def _value(text: str) -> float | tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split())
    return numbers if len(numbers) > 1 else numbers[0]


@lru_cache(maxsize=1)
def _all() -> tuple[Implant, ...]:
    with resources.files(__package__).joinpath("implants.csv").open(encoding="utf-8") as stream:
        return tuple(read_plan(stream))
