"""`rectal-node cohort`: DICOM studies, or simulated patients, as a cohort to train on; and its check."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from models.sequence import Sequence, analysed
from node.errors import NodeError
from node.settings import load_settings

out = Console()
T = TypeVar("T")
CONFIG = Path("config.toml")


def cohort(
    paths: Annotated[list[Path], typer.Argument(metavar="[IN] OUT", help="Folder of DICOM studies; the cohort.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")] = CONFIG,
    masks: Annotated[Path | None, typer.Option(help="NIfTI masks; without: DICOM-SEG among the studies.")] = None,
    without_masks: Annotated[bool, typer.Option("--without-masks", help="Volumes only.")] = False,
    segment: Annotated[
        str, typer.Option(help="Labels of the DICOM segments that are tumour (regular expression).")
    ] = "",
    sequences: Annotated[str, typer.Option(help="What every case must have.")] = "T2WI,DWI,PVP",
    table: Annotated[Path | None, typer.Option(help="CSV: study, and case, patient, split, label, …")] = None,
    mapping: Annotated[Path | None, typer.Option(help="Write which case is which study, outside of OUT.")] = None,
    simulated: Annotated[int, typer.Option(min=0, help="Make so many simulated cases instead.")] = 0,
    seed: Annotated[int, typer.Option(help="First simulated patient.")] = 1,
    check: Annotated[
        bool, typer.Option("--check", help="Only look through OUT, whole, and say what is wrong.")
    ] = False,
) -> None:
    """Make a cohort to train on from DICOM studies and masks (docs/training.md); what is there is not made again."""
    roles = _roles(sequences)
    source, folder = _paths(paths, one=bool(simulated or check))
    if check:
        _check(folder, roles, not without_masks)
    elif simulated:
        _simulate(folder, simulated, seed)
    else:
        assert source is not None
        if mapping is not None and folder.resolve() in mapping.resolve().parents:
            raise NodeError(f"{mapping}: lies in the cohort; whoever gets the cohort would get the names with it")
        _import(source, folder, roles, (masks, segment, not without_masks), table, mapping, config)


def _import(
    source: Path,
    folder: Path,
    roles: tuple[Sequence, ...],
    wanted: tuple[Path | None, str, bool],
    table: Path | None,
    mapping: Path | None,
    config: Path,
) -> None:
    from models.spreadsheet import write_table
    from node.cohort.importing import Imported, ImportOptions, Outcome, import_studies
    from node.cohort.masks import MaskSources

    nifti, segment, with_masks = wanted
    sources = MaskSources(nifti, segment or MaskSources().segment, with_masks)
    options = ImportOptions(roles, sources, table)
    found: list[Imported] = []
    for imported in import_studies(source, folder, options, load_settings(config).recognition, _tracked):
        found.append(imported)
        if imported.outcome is Outcome.LEFT_OUT:
            name = imported.case_id or imported.study_instance_uid
            out.print(Text(f"{name}: left out: {imported.reason}", style="yellow"), soft_wrap=True)
    counts = {outcome: sum(each.outcome is outcome for each in found) for outcome in Outcome}
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    out.print(f"{folder}: {summary}", highlight=False, soft_wrap=True)
    if mapping is not None:
        with mapping.open("w", encoding="utf-8", newline="") as stream:
            cases = ((each.case_id, each.study_instance_uid) for each in found if each.case_id)
            write_table(stream, ("case", "study"), cases)
    raise typer.Exit(0 if counts[Outcome.WRITTEN] + counts[Outcome.PRESENT] else 1)


def _simulate(folder: Path, count: int, seed: int) -> None:
    from models.research.phantom.cohort import seeds_with_complete_truth
    from models.research.training.simulated_cohort import write_simulated_cohort

    seeds = islice(seeds_with_complete_truth(seed), count)
    made = write_simulated_cohort(folder, seeds, lambda missing: _tracked("patients", missing))
    out.print(f"{folder}: {made} written, {count - made} there already", highlight=False)


def _check(folder: Path, roles: tuple[Sequence, ...], masks: bool) -> None:
    from models.research.cohort.reading import read_cohort
    from models.research.cohort.records import Needs

    needs = Needs(sequences=roles, masks=masks)
    found = read_cohort(folder, needs, lambda cases: _tracked("cases", cases))
    labels = [case.facts.label for case in found.cases]
    patients = {case.facts.patient_id for case in found.cases}
    out.print(
        f"{folder}: good; {len(found.cases)} cases of {len(patients)} patients, {labels.count(1)} positive, "
        f"{labels.count(0)} negative, {labels.count(None)} without label",
        highlight=False,
    )


def _tracked(description: str, items: SequenceOf[T]) -> Iterable[T]:
    from rich.progress import track

    return track(items, description=description, console=out, transient=True, disable=not out.is_terminal)


def _paths(paths: list[Path], one: bool) -> tuple[Path | None, Path]:
    wanted = 1 if one else 2
    if len(paths) != wanted:
        raise typer.BadParameter(f"{'OUT' if one else 'IN and OUT'} wanted, got {len(paths)} paths")
    return (None if one else paths[0]), paths[-1]


def _roles(text: str) -> tuple[Sequence, ...]:
    try:
        roles = tuple(analysed(name.strip()) for name in text.split(",") if name.strip())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sequences") from error
    if not roles:
        raise typer.BadParameter("one or more of T2WI, DWI, PVP", param_hint="--sequences")
    return roles
