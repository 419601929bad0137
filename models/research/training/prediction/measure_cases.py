"""Measure the simulated cohort of the prediction models: `python -m models.research.training.prediction.measure_cases`.

Done once and kept case by case, so that an interrupted run goes on where it was, and the training begins at once. With
`--own-masks N` the last N of `--cases`, which a training with `--test-cases N` holds out, are measured as the node
would: whole fields of view, under the masks of the segmentation bundle. `own_masks` compares both; it
needs no others under the true masks, which `--last N` gives.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

import models
from models.research.training.prediction.cases import PERTURBED_CASES, MeasuredCase, cache_key, cohort
from models.research.training.prediction.own_masks.cases import OwnMaskCase, case_folder, own_mask_cases

WEIGHTS = Path(models.__file__).parent / "weights"

app = typer.Typer(add_completion=False)


@app.command()
def measure_cases(
    cases: Annotated[int, typer.Option(min=1, help="simulated patients, the scanners in turn")] = 300,
    first_seed: Annotated[int, typer.Option(help="seed of the first patient")] = 700_000,
    perturbed: Annotated[int, typer.Option(min=0, help="cases measured under other masks, too")] = PERTURBED_CASES,
    last: Annotated[int, typer.Option(min=0, help="only the last so many; 0: all")] = 0,
    own_masks: Annotated[int, typer.Option(min=0, help="only the last so many, under the node's masks")] = 0,
    super_resolution: Annotated[Path, typer.Option(help="super-resolution bundle")] = WEIGHTS / "super-resolution",
    segmentation: Annotated[Path, typer.Option(help="segmentation bundle of --own-masks")] = WEIGHTS / "segmentation",
    cache: Annotated[Path, typer.Option(help="where finished cases are kept")] = Path("runs/prediction"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
) -> None:
    """Measure the cases that the cache lacks; a line for each case."""
    if max(own_masks, last) > cases:
        raise typer.BadParameter(f"--own-masks {own_masks}, --last {last}: there are {cases} cases")
    if own_masks:
        bundles = (super_resolution, segmentation)
        typer.echo(f"{own_masks} cases under the masks of {segmentation} into {case_folder(*bundles, cache)}")
        _told(own_mask_cases(own_masks, cases, first_seed, *bundles, cache, workers), own_masks)
    else:
        wanted = last or cases
        typer.echo(f"{wanted} cases into {cache / cache_key(super_resolution)}")
        made = cohort(cases, first_seed, super_resolution, cache, workers, perturbed, passed_over=cases - wanted)
        _told(made, wanted)


def _told(made: Iterable[MeasuredCase | OwnMaskCase], total: int) -> None:
    """A line a case, which a log file can hold, with the time that is left."""
    start = time.perf_counter()
    for done, case in enumerate(made, start=1):
        left = timedelta(seconds=round((time.perf_counter() - start) / done * (total - done)))
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in case.seconds.items())
        typer.echo(f"{done}/{total} {case.seed} {case.scanner}: {len(case.features)} features; {steps}; {left} left")


if __name__ == "__main__":
    app()
