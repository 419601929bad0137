"""The commands `retrieve` and `retrievals`: studies fetched from a PACS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, watched
from node.cli.record import ordered
from node.settings import Method
from storage.audit import AuditAction

if TYPE_CHECKING:
    from rich.console import RenderableType

    from node.operations.retrieve import Known, Retrieved


def retrieve(
    remote: Annotated[str, typer.Option("--from", help="Name of a [[remotes]] entry with host and port.")],
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    accession: Annotated[str, typer.Option(help="Accession Number.")] = "",
    patient: Annotated[str, typer.Option(help="Patient ID.")] = "",
    date: Annotated[str, typer.Option(help="Study Date: 20261130, or a range 20261101-20261130.")] = "",
    modality: Annotated[str, typer.Option(help="Only studies with this modality, such as MR.")] = "",
    method: Annotated[
        Method, typer.Option(help="move: C-MOVE to the running node; get: C-GET by this command.")
    ] = Method.MOVE,
    destination: Annotated[
        str, typer.Option(help="AE title by which the remote knows this node's listener, if it is another.")
    ] = "",
    ceiling: Annotated[int, typer.Option(min=1, help="Images that may be fetched; of more nothing is.")] = 5000,
    studies: Annotated[int, typer.Option(min=1, help="Studies that may be fetched; of more nothing is.")] = 50,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched; fetch nothing.")] = False,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Fetch studies from a PACS; what an earlier try left short is asked for again."""
    from node.operations import retrieve as operation
    from node.retrieval.search import Ceiling

    settings = node_settings(config)
    order = operation.Order(remote, study, accession, patient, date, modality, method, destination)
    action = AuditAction.ASKED_REMOTE if dry_run else AuditAction.RETRIEVED
    with ordered(settings, action, subject=remote) as on_record:
        done = operation.retrieve(settings, order, Ceiling(studies, ceiling), dry_run, watched("objects"))
        on_record.studies += [it.study_instance_uid for it in done.studies]
    show(done, as_json, _retrieved)
    raise typer.Exit(1 if done.short or not done.studies else 0)


def retrievals(
    remote: Annotated[str, typer.Option("--from", help="Only those of this remote.")] = "",
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show which studies were fetched from a PACS or are to be, and why something is short."""
    from node.operations.retrieve import known

    show(known(node_settings(config), remote), as_json, _known)


def _retrieved(done: Retrieved) -> RenderableType:
    if not done.studies:
        return Text(f"{done.remote} has no such study", style="red")
    table = Table(box=None, pad_edge=False)
    for column in ("study", "date", "description", "modalities", f"at {done.remote}", "here", "state"):
        table.add_column(column, overflow="fold")
    for study in done.studies:
        counts = (str(study.at_remote) if study.at_remote else "not told", str(study.here))
        modalities = " ".join(study.modalities)
        table.add_row(
            study.study_instance_uid, study.study_date, Text(study.description), modalities, *counts, study.state or "-"
        )
        if study.reason:
            table.add_row(Text(study.reason, style="red"))
    return table


def _known(known: Known) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for column in ("study", "remote", "state", "at remote", "here", "attempts", "last attempt", "reason"):
        table.add_column(column, overflow="fold")
    for it in known.retrievals:
        last = f"{it.last_attempt_at:%Y-%m-%d %H:%M:%S}" if it.last_attempt_at else "-"
        counts = (str(it.at_remote), str(it.here), str(it.attempts))
        table.add_row(it.study_instance_uid, it.remote, it.state, *counts, last, Text(it.reason))
    return table
