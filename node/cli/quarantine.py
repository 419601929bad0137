"""`rectal-node quarantine`: what cannot be indexed, listed, shown, released or discarded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType
from rich.table import Table

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show
from node.cli.record import ordered
from node.settings import Settings
from storage.audit import AuditAction
from storage.records import QuarantineRecord, QuarantineState

if TYPE_CHECKING:
    from node.operations.quarantine import DiscardedMany, QuarantineDetail, QuarantineList, ReleasedMany

app = typer.Typer(no_args_is_help=True, help="What was received and cannot be indexed: list, show, release, discard.")

NumberArgument = Annotated[int, typer.Argument(metavar="NO.", help="Number of the entry; see `list`.")]
NumbersArgument = Annotated[list[int] | None, typer.Argument(metavar="NO. …", help="Numbers of entries; see `list`.")]
SenderOption = Annotated[str, typer.Option("--from", help="All that this AE title sent.")]
AgeOption = Annotated[float | None, typer.Option(min=0, help="All that were received so many days ago, or more.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that are held.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before several are taken.")]


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
    numbers: NumbersArgument = None,
    config: ConfigOption = CONFIG,
    sender: SenderOption = "",
    older_than_days: AgeOption = None,
    every: AllOption = False,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")] = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take objects in as if they were received now, once the cause is gone; what is broken still comes back."""
    from node.operations.quarantine import release_many

    settings = node_settings(config)
    meant = _meant(settings, numbers, sender, older_than_days, every, "release", yes)
    with ordered(settings, AuditAction.RELEASED, subject=_numbered(meant), detail=reason) as order:
        released = release_many(settings, meant, reason)
        order.studies += sorted({it.study_instance_uid for it in released.released})
    show(released, as_json, _released)
    raise typer.Exit(1 if released.came_back else 0)


@app.command()
def discard(
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    numbers: NumbersArgument = None,
    config: ConfigOption = CONFIG,
    sender: SenderOption = "",
    older_than_days: AgeOption = None,
    every: AllOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove files for good; their entries stay with the reason."""
    from node.operations.quarantine import discard_many

    settings = node_settings(config)
    meant = _meant(settings, numbers, sender, older_than_days, every, "discard", yes)
    with ordered(settings, AuditAction.DISCARDED, subject=_numbered(meant), detail=reason):
        discarded = discard_many(settings, meant, reason)
    show(discarded, as_json, _discarded)


def _numbered(entries: tuple[int, ...]) -> str:
    return ", ".join(map(str, entries))


def _meant(
    settings: Settings,
    numbers: list[int] | None,
    sender: str,
    older_than_days: float | None,
    every: bool,
    what: str,
    yes: bool,
) -> tuple[int, ...]:
    """The numbers of the entries that are meant, after a person has agreed where they are not named one by one."""
    from node.operations.quarantine import Selection, chosen

    by_rule = bool(sender) or older_than_days is not None or every
    if bool(numbers) == by_rule:
        raise typer.BadParameter("name entries, or say which: --from, --older-than-days, --all")
    age = None if older_than_days is None else timedelta(days=older_than_days)
    found = chosen(settings, Selection(tuple(numbers or ()), sender, age))
    if by_rule and found and not yes:
        typer.confirm(f"{what} {len(found)} entries?", abort=True, err=True)
    return tuple(entry.identifier for entry in found)


def _released(done: ReleasedMany) -> str:
    lines = [
        f"quarantine {it.identifier}: object {it.sop_instance_uid} of study {it.study_instance_uid}: {it.registration}"
        for it in done.released
    ]
    lines += [it.sentence for it in done.came_back]
    return "\n".join(lines) or "nothing to release"


def _discarded(done: DiscardedMany) -> str:
    lines = (
        f"quarantine {it.identifier}: discarded{'' if it.file_removed else '; another entry holds its file'}"
        for it in done.discarded
    )
    return "\n".join(lines) or "nothing to discard"


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
