"""`rectal-node check-answer`: whether the node still answers what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user
from storage.answer_checks import Outcome

if TYPE_CHECKING:
    from node.operations.answer_check import Checked


def check_answer(
    config: ConfigOption = CONFIG,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make the latest answer the reference for these bundles; check nothing.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who accepts it; without it the user of this machine.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Have a simulated study analysed by the running node and compare the results with the known ones."""
    from node.operations import answer_check

    settings = node_settings(config)
    checked = answer_check.accept(settings, by or this_user()) if accept else answer_check.check(settings)
    show(checked, as_json, _text)
    raise typer.Exit(0 if accept or checked.check.outcome is Outcome.PASSED else 1)


def _text(checked: Checked) -> Text:
    check = checked.check
    words = {
        Outcome.PASSED: "passed",
        Outcome.FAILED: "failed",
        Outcome.NO_REFERENCE: "answered",
        Outcome.RUNNING: "not ended",
    }[check.outcome]
    text = Text(f"known-answer check: {words}")
    for reason in filter(None, check.reason.split("; ")):
        text.append(f"\n  {reason}")
    if check.outcome is Outcome.NO_REFERENCE and not check.accepted_by:
        text.append("\n  `rectal-node check-answer --accept` makes this answer the reference for these bundles")
    if check.accepted_by:
        text.append(f"\n  the reference for these bundles, by {check.accepted_by}")
    return text
