"""Measure the simulated cohort of the prediction models: `python -m models.training.measure_cases`.

Done once and kept case by case, so that an interrupted run goes on where it was, and the training begins at once. With
`--own-masks` the first cases are measured as the node would: whole fields of view, under the masks of the segmentation
bundle instead of the true ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import typer

from models.analysis import NORMAL, SUPER, find_tumours
from models.manifest import digest, load_manifest
from models.phantom.grade import parameters
from models.phantom.scanners import find_scanner
from models.phantom.study import simulate_case
from models.segmentation.inference import Segmenter, load_segmenter
from models.super_resolution.inference import SuperResolver, load_super_resolver
from models.training.prediction_cases import (
    PERTURBED_CASES,
    Case,
    at_resolutions,
    cache_key,
    cohort,
    keep,
    measure_case,
    patients,
    read_case,
)
from models.training.processes import in_processes
from models.training.simulated_cases import slice_thickness_mm

WEIGHTS = Path(__file__).parents[1] / "weights"

app = typer.Typer(add_completion=False)


@app.command()
def measure_cases(
    cases: Annotated[int, typer.Option(min=1, help="simulated patients, the scanners in turn")] = 300,
    first_seed: Annotated[int, typer.Option(help="seed of the first patient")] = 700_000,
    perturbed: Annotated[int, typer.Option(min=0, help="cases measured under other masks, too")] = PERTURBED_CASES,
    own_masks: Annotated[int, typer.Option(min=0, help="measure so many cases under the node's masks instead")] = 0,
    super_resolution: Annotated[Path, typer.Option(help="super-resolution bundle")] = WEIGHTS / "super-resolution",
    segmentation: Annotated[Path, typer.Option(help="segmentation bundle of --own-masks")] = WEIGHTS / "segmentation",
    cache: Annotated[Path, typer.Option(help="where finished cases are kept")] = Path("runs/prediction"),
    workers: Annotated[int, typer.Option(min=1, help="processes")] = 2,
) -> None:
    """Measure the cases that the cache lacks; a line for each case."""
    if own_masks:
        typer.echo(f"{own_masks} cases under masks of {segmentation}")
        _told(own_mask_cases(own_masks, first_seed, super_resolution, segmentation, cache, workers), own_masks)
    else:
        typer.echo(f"{cases} cases into {cache / cache_key(super_resolution)}")
        _told(cohort(cases, first_seed, super_resolution, cache, workers, perturbed), cases)


def own_mask_cases(
    count: int, first_seed: int, super_resolution: Path, segmentation: Path, cache: Path, workers: int
) -> Iterator[Case]:
    """The first `count` patients of `cohort` as the node measures them: masks found on the super-resolved study.

    The patients are the same, the noise of the whole field of view is another. A sequence in which no tumour was found
    has no features. Cases come as they get ready and are kept beside those of `cohort`.
    """
    folder = cache / f"{cache_key(super_resolution)}-own-masks-{digest(load_manifest(segmentation))[:16]}"
    missing = []
    for seed, scanner, _ in patients(count, first_seed, 0):
        path = folder / f"{seed:05d}.json"
        if path.is_file():
            yield read_case(path)
        else:
            missing.append((seed, scanner, super_resolution, segmentation, path))
    yield from in_processes(_make_and_keep, missing, workers)


def _make_and_keep(seed: int, scanner: str, super_resolution: Path, segmentation: Path, path: Path) -> Case:
    resolver, segmenter = _bundles(super_resolution, segmentation)
    start = time.perf_counter()
    simulated = simulate_case(seed, find_scanner(scanner))
    seconds = {"simulate": time.perf_counter() - start}
    volumes = at_resolutions(simulated.images, slice_thickness_mm(simulated.scanner), resolver, seconds)
    start = time.perf_counter()
    refined = {sequence: by_resolution[SUPER] for sequence, by_resolution in volumes.items()}
    found = find_tumours(simulated.images, refined, segmenter)
    seconds["segment"] = time.perf_counter() - start
    both = {sequence: {name: it[name] for name in (NORMAL, SUPER)} for sequence, it in volumes.items()}
    measured = measure_case(both, {sequence: tumour.mask_super for sequence, tumour in found.items()}, seconds)
    largest = max(tumour.volume_ml for tumour in found.values())
    label, oracle = int(simulated.label or 0), {} if simulated.oracle is None else parameters(simulated.oracle)
    case = Case(seed, scanner, label, oracle, largest, measured.features, seconds)
    keep(asdict(case), [measured], path)
    return case


@lru_cache(maxsize=1)
def _bundles(super_resolution: Path, segmentation: Path) -> tuple[SuperResolver, Segmenter]:
    return load_super_resolver(super_resolution), load_segmenter(segmentation)


def _told(made: Iterable[Case], total: int) -> None:
    """A line a case, which a log file can hold, with the time that is left."""
    start = time.perf_counter()
    for done, case in enumerate(made, start=1):
        left = timedelta(seconds=round((time.perf_counter() - start) / done * (total - done)))
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in case.seconds.items())
        typer.echo(f"{done}/{total} {case.seed} {case.scanner}: {len(case.features)} features; {steps}; {left} left")


if __name__ == "__main__":
    app()
