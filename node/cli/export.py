"""`rectal-node export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.options import (
    CONFIG,
    AccessionFilter,
    ConfigOption,
    DateFromFilter,
    DateToFilter,
    JsonOption,
    PatientFilter,
    ScannerFilter,
    StateFilter,
    node_settings,
    show,
    this_user,
    watched,
)
from node.errors import NodeError

if TYPE_CHECKING:
    from node.operations.research_export import Exported


def export(
    target: Annotated[Path, typer.Argument(help="A new folder, or an empty one, outside the root.")],
    project: Annotated[str, typer.Option(help="Whose pseudonyms: a patient has the same in each export of it.")],
    profile: Annotated[
        str,
        typer.Option(
            help="basic, with what is kept beyond it after commas: "
            "dates, device, characteristics, descriptors, private; or research: all of these."
        ),
    ] = "basic",
    study: Annotated[list[str] | None, typer.Option(help="Study Instance UID; repeatable.")] = None,
    patient: PatientFilter = "",
    accession: AccessionFilter = "",
    date_from: DateFromFilter = "",
    date_to: DateToFilter = "",
    scanner: ScannerFilter = "",
    state: StateFilter = None,
    all_studies: Annotated[bool, typer.Option("--all", help="All studies of the node.")] = False,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write studies with their results, de-identified by PS3.15 Annex E, into a folder (docs/operations.md)."""
    from node.deidentification.profile import profile_of
    from node.operations.research_export import ExportOrder
    from node.operations.research_export import export as write
    from storage.search import StudySearch

    asked = (patient, accession, date_from, date_to, scanner, *(state or ()))
    if sum((bool(study), any(asked), all_studies)) != 1:
        raise NodeError("say which studies: by --study, by what they are looked for with (--patient, …), or --all")
    wanted = StudySearch(patient, accession, date_from, date_to, scanner, frozenset(state or ()))
    order = ExportOrder(project, profile_of(profile), this_user(), wanted, tuple(study or ()))
    done = write(node_settings(config), target, order, watched("studies"))
    show(done, as_json, _exported)
    raise typer.Exit(1 if done.missing or not done.objects else 0)


def _exported(it: Exported) -> str:
    size = f"{it.size / 1e9:.1f} GB"
    lines = [
        f"{it.path}: {it.objects} objects ({size}) of {it.studies} studies, {it.patients} patients of {it.project}"
    ]
    lines += [f"left out: {count} × {reason}" for reason, count in it.left_out.items()]
    lines += [f"replaced in {count} objects, since it named somebody: {name}" for name, count in it.replaced.items()]
    lines += [f"missing: {uid}: {reason}" for uid, reason in it.missing.items()]
    return "\n".join(lines)
