"""Commands on what is removed: retention, hold and its end, erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user
from node.cli.record import ordered
from storage.audit import AuditAction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.operations.erasure import ErasureReport
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

    settings = node_settings(config)
    with ordered(settings, AuditAction.ORDERED, study, "hold", reason):
        held = operation.hold(settings, study, reason, by or this_user())
    show(
        held,
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

    settings = node_settings(config)
    with ordered(settings, AuditAction.ORDERED, study, "release of the hold", reason):
        released = operation.release(settings, study, reason, by or this_user())
    show(
        released,
        as_json,
        lambda it: f"{study}: on hold no more, by {it.released_by}: {it.released_because}",
    )


@app.command()
def erase(
    patient_id: Annotated[str, typer.Option(help="Patient ID of who is meant.")],
    reason: Annotated[str, typer.Option(help="Why, without any name: it stays on record.")] = "",
    by: ByOption = "",
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID, where two have that Patient ID.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, what would be erased is shown.")] = False,
    whole_studies: Annotated[
        bool, typer.Option("--whole-studies", help="Also studies that name other patients as well, wholly.")
    ] = False,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Erase all that is kept of one patient, on order; a record that it was done remains, without who that was."""
    from node.operations import erasure as operation

    settings = node_settings(config)
    if yes:
        report = operation.erase(settings, patient_id, issuer, reason, by or this_user(), whole_studies)
    else:
        report = operation.look(settings, patient_id, issuer)
    show(report, as_json, _erased)


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


def _erased(report: ErasureReport) -> RenderableType:
    done = f"erasure {report.number}: erased" if report.done else "would be erased (--yes does it)"
    size = in_words(sum(it.size for it in report.studies))
    lines = [f"{done}: {len(report.studies)} studies, {size}; {report.quarantined} entries of the quarantine"]
    for study in report.studies:
        notes = [*(["names other patients as well"] if study.names_others else []), *study.kept]
        said = f": {'; '.join(notes)}" if notes else ""
        lines.append(f"  {study.study_instance_uid}: {study.objects} objects, {in_words(study.size)}{said}")
    if report.spooled or report.arriving:
        lines.append(f"  spool: {report.spooled} files left by interruptions, {report.arriving} that may be arriving")
    lines += [f"  a copy of the database, removed whole: {name}" for name in report.copies]
    for order in report.orders:
        end = f"ended {order.ended_at:%Y-%m-%d %H:%M}" if order.ended_at else "has not ended: give the order again"
        lines.append(f"erasure {order.number} of the same patient, by {order.ordered_by}, {end}: {order.reason}")
    return "\n".join(lines)
