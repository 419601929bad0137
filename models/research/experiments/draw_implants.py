"""Draws the tumours that are painted into the real pelvises, and writes their table.

`python -m models.research.experiments.draw_implants DATA` wrote `models/research/evaluation/pelvis/implants.csv` before
any network was trained or judged on them. Drawing again makes other figures where the outlines have changed: the table
that is committed stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from models.research.evaluation.pelvis.cases import pelvis_of
from models.research.evaluation.pelvis.patients import pelvic_patients
from models.research.evaluation.pelvis.plan import COUNT, SIZES_ML, Implant, draw, write_plan


def main(
    data: Annotated[Path, typer.Argument(help="folder of the series in series.csv")],
    output: Annotated[Path, typer.Option()] = Path("models/research/evaluation/pelvis/implants.csv"),
) -> None:
    """Draw all, write the table."""
    write_plan(output, _drawn(data))


def _drawn(data: Path) -> Iterator[Implant]:
    for patient in pelvic_patients():
        bowel = pelvis_of(patient, data).bowel
        for size_ml in SIZES_ML:
            yield from (draw(patient, bowel, size_ml, number) for number in range(COUNT))
        typer.echo(patient.name)


if __name__ == "__main__":
    typer.run(main)
