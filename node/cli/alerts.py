"""`rectal-node alerts`: what an operator has to see, listed, acknowledged, and told by way of trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user
from node.cli.record import ordered
from storage.audit import AuditAction

if TYPE_CHECKING:
    from node.operations.alerts import AlertLine, AlertList, Tried

app = typer.Typer(
    invoke_without_command=True, help="What an operator has to see: list, acknowledge, test the channels."
)


@app.callback()
def list_alerts(
    context: typer.Context,
    config: ConfigOption = CONFIG,
    ended: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what is open: since when, how often, and what to do."""
    if context.invoked_subcommand is not None:
        return
    from node.operations.alerts import alerts

    show(alerts(node_settings(config), ended, limit), as_json, _list)


@app.command()
def acknowledge(
    number: Annotated[int, typer.Argument(metavar="NO.", help="Number of the alert.")],
    config: ConfigOption = CONFIG,
    by: Annotated[str, typer.Option(help="Who has seen it; without it the user of this machine.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say that you have seen an alert: it stays listed while it lasts, and is not told again."""
    from node.operations.alerts import acknowledge as note

    settings = node_settings(config)
    with ordered(settings, AuditAction.ACKNOWLEDGED, subject=str(number)):
        noted = note(settings, number, by or this_user())
    show(noted, as_json, _paragraph)


@app.command("test")
def try_channels(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Send a message to every channel of [alerts] now; the exit status says whether all have taken it."""
    from node.operations.alerts import try_channels as send

    tried = send(node_settings(config))
    show(tried, as_json, _tried)
    raise typer.Exit(0 if all(it.taken and not it.reason for it in tried.channels) else 1)


def _list(found: AlertList) -> Text:
    parts = [_paragraph(it) for it in found.alerts]
    return Text("\n").join(parts) if parts else Text("no alerts")


def _paragraph(line: AlertLine) -> Text:
    alert = line.alert
    ended = alert.cleared_at is not None
    text = Text(f"{alert.number}  {alert.code}", style="green" if ended else "bold red")
    about = f"  {alert.subject}" if alert.subject else ""
    text.append(f"{about}\n  {alert.text}\n", style="not bold default")
    often = f", {alert.times} times, last {alert.last:%Y-%m-%d %H:%M:%S}" if alert.times > 1 else ""
    text.append(f"  since {alert.since:%Y-%m-%d %H:%M:%S} UTC{often}", style="not bold default")
    if alert.cleared_at is not None:
        text.append(f"; ended {alert.cleared_at:%Y-%m-%d %H:%M:%S}", style="not bold default")
    if alert.acknowledged_at is not None:
        seen = f"; acknowledged by {alert.acknowledged_by}, {alert.acknowledged_at:%Y-%m-%d %H:%M:%S}"
        text.append(seen, style="not bold default")
    if not ended and line.what_to_do:
        text.append(f"\n  {line.meaning} {line.what_to_do}", style="not bold default")
    return text


def _tried(tried: Tried) -> Text:
    words = (
        f"{it.channel}: {'taken' if it.taken else 'not taken'}{f' ({it.reason})' if it.reason else ''}"
        for it in tried.channels
    )
    return Text("\n".join(words))
