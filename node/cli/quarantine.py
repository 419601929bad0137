"""`rectal-node quarantine`: what cannot be indexed, listed, shown, released or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show
from storage.records import QuarantineRecord, QuarantineState

if TYPE_CHECKING:
    from node.operations.quarantine import QuarantineDetail, QuarantineList

app = typer.Typer(no_args_is_help=True, help="What was received and cannot be indexed: list, show, release, discard.")

NumberArgument = Annotated[int, typer.Argument(metavar="NO.", help="Number of the entry; see `list`.")]


@app.command("list")
def list_entries(
    config: ConfigOption = CONFIG,
    ended: Annotated[bool, typer.Option("--all", help="Those that were released or discarded, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what is held, with the reasons."""
    from node.operations.quarantine import entries

    show(entries(node_settings(config), ended, limit), as_json, _table)


@app.command("show")
def show_entry(number: NumberArgument, config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Show one entry, and what the node of today makes of its file."""
    from node.operations.quarantine import detail

    show(detail(node_settings(config), number), as_json, _detail)


@app.command()
def release(
    number: NumberArgument,
    config: ConfigOption = CONFIG,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Take an object in as if it were received now, once the cause is gone."""
    from node.operations.quarantine import release as let_in

    show(
        let_in(node_settings(config), number, reason),
        as_json,
        lambda it: (
            f"quarantine {number}: object {it.sop_instance_uid} of study {it.study_instance_uid}: {it.registration}"
        ),
    )


@app.command()
def discard(
    number: NumberArgument,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Remove a file for good; the entry stays with the reason."""
    from node.operations.quarantine import discard as remove

    show(
        remove(node_settings(config), number, reason),
        as_json,
        lambda it: f"quarantine {number}: discarded{'' if it.file_removed else '; another entry holds its file'}",
    )


def _table(found: QuarantineList) -> RenderableType:
    table = Table(title=f"Quarantine, {found.held} held", title_justify="left")
    for name in ("no.", "received", "from", "bytes", "why"):
        table.add_column(name, overflow="fold")
    for entry in found.entries:
        received = f"{entry.received_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(entry.identifier), received, entry.calling_ae, str(entry.file.size), _why(entry))
    return table


def _why(entry: QuarantineRecord) -> str:
    if entry.state is QuarantineState.HELD:
        return entry.reason
    return f"{entry.reason}; {entry.state.lower()} {entry.ended_at:%Y-%m-%d %H:%M:%S}: {entry.ended_because}"


def _detail(found: QuarantineDetail) -> str:
    entry = found.entry
    today = f"cannot be indexed: {found.fault}" if found.fault else "can be released"
    object_uids = f"\nobject {found.sop_instance_uid} of study {found.study_instance_uid}" if not found.fault else ""
    received = f"from {entry.calling_ae}, {entry.received_at:%Y-%m-%d %H:%M:%S}: {_why(entry)}"
    return f"{found.path}\n{received}\nnow: {today}{object_uids}"
