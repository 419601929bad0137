"""How far intensities and size alone get on the simulated cohort: Dice of masks, AUC for the label.

Fitted on training patients, judged on the two scanners that nothing is trained on.

    python -m models.research.experiments.baselines
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import numpy as np
import SimpleITK as sitk
import typer
from rich.console import Console
from rich.table import Table

from models.research.evaluation.baselines import (
    IntensityBand,
    ellipsoid_volume_ml,
    fit_band,
    largest_wall_component,
    within_band,
)
from models.research.evaluation.discrimination import auc_interval
from models.research.evaluation.overlap import compare
from models.research.phantom.cohort import TEST, TRAINING, SimulatedCohort
from models.research.phantom.study import SimulatedCase, simulate_case
from models.sequence import ANALYSED, Sequence


def main(
    training: Annotated[int, typer.Option(help="Patients to fit the bands on.")] = 24,
    test: Annotated[int, typer.Option(help="Patients to judge them on.")] = 40,
    labelled: Annotated[int, typer.Option(help="Patients of the test cohort for size against grade.")] = 120,
) -> None:
    """Fit, judge, print."""
    bands = _bands(_cases(TRAINING, training))
    dice: dict[tuple[str, Sequence], list[float]] = {}
    alarms: dict[tuple[str, Sequence], list[bool]] = {}
    for case in _cases(TEST, test):
        for sequence, image in case.images.items():
            for name, make in (("intensity band", within_band), ("largest wall component", largest_wall_component)):
                overlap = compare(make(image, bands[sequence]), case.masks[sequence])
                if case.tumour_volume_ml:
                    dice.setdefault((name, sequence), []).append(overlap.dice)
                else:
                    alarms.setdefault((name, sequence), []).append(overlap.volume_ml > 0.1)
    table = Table("baseline", "sequence", "band", "mean Dice", "median", "above 0.7", "tumour-free with a mask")
    for (name, sequence), values in sorted(dice.items()):
        false = alarms.get((name, sequence), [])
        band = f"{bands[sequence].low:.2f} to {bands[sequence].high:.2f}"
        figures = (f"{np.mean(values):.2f}", f"{np.median(values):.2f}", f"{np.mean(np.array(values) > 0.7):.0%}")
        table.add_row(name, str(sequence), band, *figures, f"{sum(false)} of {len(false)}")
    Console().print(table)
    area = auc_interval(*_size_against_grade(labelled))
    Console().print(f"ellipsoid volume against grade: AUC {area.auc:.2f} ({area.low:.2f} to {area.high:.2f})")


def _cases(cohort: SimulatedCohort, count: int) -> Iterator[SimulatedCase]:
    return (simulate_case(seed, scanner) for seed, scanner in islice(cohort.patients(), count))


def _bands(cases: Iterator[SimulatedCase]) -> dict[Sequence, IntensityBand]:
    kept = list(cases)
    return {
        sequence: fit_band([case.images[sequence] for case in kept], [case.masks[sequence] for case in kept])
        for sequence in ANALYSED
    }


def _size_against_grade(count: int) -> tuple[list[int], list[float]]:
    """Labels and ellipsoid volumes from the T2 masks."""
    labels, volumes = [], []
    for seed, scanner in islice(TEST.patients(), count):
        case = simulate_case(seed, scanner, region="tumour")
        if case.label is not None:
            labels.append(case.label)
            volumes.append(ellipsoid_volume_ml(case.masks[Sequence.T2WI]))
    return labels, volumes


if __name__ == "__main__":
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    typer.run(main)
