"""A table of predictions to try `rectal-node evaluate` with: numbers drawn at random, no image behind them.

Each case has a severity that its label is drawn with; every input sees it with noise of its own, and each resolution
with a little more, so that by construction no resolution is better than another. The test cohort has a scanner that
training lacks.

    python -m models.research.experiments.example_predictions docs/evaluation-example.csv
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.special import expit

from models.research.evaluation.predictions import CohortPart, Resolution
from models.spreadsheet import write_table

SCANNERS = ("Philips Multiva", "UIH uMR 560", "UIH uMR 570", "UIH uMR 770", "GE MR750", "Siemens Skyra")
#: Cases and scanners of each cohort.
COHORTS = {CohortPart.TRAINING: (150, 5), CohortPart.VALIDATION: (50, 5), CohortPart.TEST: (90, 6)}
#: How much of the severity an input sees.
INPUTS = {"T2WI": 0.7, "DWI": 0.6, "PVP": 0.5, "All-sequence": 1.0}
STEEPNESS, LEVEL = 1.4, -0.4
INPUT_NOISE, RESOLUTION_NOISE = 0.6, 0.35


def main(
    path: Annotated[Path, typer.Argument(help="The table that is written.")],
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Write the table."""
    generator = np.random.default_rng(seed)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write("# data: simulated\n# target: Drawn grade\n# positive class: high\n")
        stream.write("# training probabilities: out-of-fold\n")
        models = [f"{looks_at} {resolution}" for resolution, looks_at in product(Resolution, INPUTS)]
        rows = (
            [f"C{number:03d}", cohort, scanner, *_case(generator)]
            for number, (cohort, scanner) in enumerate(_cases(), start=1)
        )
        write_table(stream, ["case", "cohort", "scanner", "label", *models, "oracle"], rows)


def _cases() -> Iterator[tuple[CohortPart, str]]:
    for cohort, (count, scanners) in COHORTS.items():
        yield from ((cohort, SCANNERS[case % scanners]) for case in range(count))


def _case(generator: np.random.Generator) -> list[str]:
    severity = generator.normal()
    oracle = float(expit(STEEPNESS * severity + LEVEL))
    label = str(int(generator.random() < oracle))
    seen = {name: share * severity + generator.normal(0, INPUT_NOISE) for name, share in INPUTS.items()}
    odds = [seen[name] + generator.normal(0, RESOLUTION_NOISE) for _, name in product(Resolution, INPUTS)]
    return [label, *(f"{expit(each + LEVEL):.4f}" for each in odds), f"{oracle:.4f}"]


if __name__ == "__main__":
    typer.run(main)
