"""Commands on what is removed: retention, hold and its end."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.operations.retention import Fitting, Removals, RetentionPlan

app = typer.Typer()

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]
ByOption = Annotated[str, typer.Option(help="Who says so; without it the user of this machine.")]
_UNITS = ("B", "kB", "MB", "GB", "TB")


@app.command()
def retention(
    config: ConfigOption = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go and what stays, and why.")] = False,
    removed: Annotated[bool, typer.Option("--removed", help="Show what was removed.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Studies that are listed; all are counted.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Remove at once what the rules of `retention` say, as the running node does by itself."""
    from node.operations import retention as operation

    settings = node_settings(config)
    if dry_run:
        show(operation.plan(settings, limit), as_json, _plan)
    else:
        done = operation.removed(settings, limit) if removed else operation.remove(settings)
        show(done, as_json, _removals)


@app.command()
def hold(
    study: StudyArgument,
    reason: Annotated[str, typer.Option(help="Why.")],
    by: ByOption = "",
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Put a study under hold: nothing of it is removed, by no rule and no order, until it is released."""
    from node.operations import hold as operation

    show(
        operation.hold(node_settings(config), study, reason, by or getpass.getuser()),
        as_json,
        lambda it: f"{study}: on hold since {it.held_at:%Y-%m-%d %H:%M} UTC by {it.held_by}: {it.reason}",
    )


@app.command("release-hold")
def release_hold(
    study: StudyArgument,
    reason: Annotated[str, typer.Option(help="Why; it stays on record.")],
    by: ByOption = "",
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End the hold of a study."""
    from node.operations import hold as operation

    show(
        operation.release(node_settings(config), study, reason, by or getpass.getuser()),
        as_json,
        lambda it: f"{study}: on hold no more, by {it.released_by}: {it.released_because}",
    )


def in_words(size: int) -> str:
    """Bytes as a person reads them."""
    amount, unit = float(size), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{size} B"


def _plan(plan: RetentionPlan) -> RenderableType:
    enabled = "" if plan.enabled else " retention.enabled is false: nothing of it is done."
    parts: list[RenderableType] = [Text(f"{in_words(plan.free)} of the disk are free.{enabled}")]
    parts.append(_studies(f"Would go: {plan.going_count} studies, {in_words(plan.going_size)}", plan.going, ""))
    if plan.kept_count:
        title = f"Fits a rule and stays: {plan.kept_count} studies, {in_words(plan.kept_size)}"
        parts.append(_studies(title, plan.kept, "why it stays"))
        parts += [Text(f"{count}: {reason}") for reason, count in plan.kept_because.items()]
    return Group(*parts)


def _studies(title: str, studies: Sequence[Fitting], why: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("study", "last object", "rule", "removes", "objects", "size", *([why] if why else [])):
        table.add_column(name, overflow="fold")
    for each in studies:
        reasons = ["; ".join(each.kept)] if why else []
        last = f"{each.last_received_at:%Y-%m-%d %H:%M}"
        row = (each.study_instance_uid, last, each.rule, each.remove, str(each.objects), in_words(each.size), *reasons)
        table.add_row(*row)
    return table


def _removals(done: Removals) -> RenderableType:
    if not done.removals:
        return "nothing was removed"
    table = Table(title=f"Removed: {in_words(sum(it.size for it in done.removals))}", title_justify="left")
    for name in ("when", "study", "what", "rule", "objects", "size"):
        table.add_column(name, overflow="fold")
    for each in done.removals:
        left = "" if each.ended_at else ", files are left"
        what = f"{each.scope.lower()}{left}"
        study = each.study_instance_uid or "(erased)"
        when = f"{each.begun_at:%Y-%m-%d %H:%M}"
        table.add_row(when, study, what, each.rule, str(each.objects), in_words(each.size))
    return table
