"""`rectal-node audit`: whether its files are whole, and who did what to whose study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from node.cli.options import CONFIG, ConfigOption, JsonOption, node_settings, show, this_user
from node.logs import escaped

if TYPE_CHECKING:
    from node.audit.verification import ChainRemark, Verified
    from node.operations.journal import JournalPage

app = typer.Typer(no_args_is_help=True, help="Who did what to whose study: find, verify the files.")


@app.command()
def verify(
    moved: Annotated[
        list[Path] | None, typer.Option(help="Folder to which older files were moved, repeatable.")
    ] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Read the files: every line that is gone, changed or moved is named, and the exit status says whether any is."""
    from node.operations import audit

    found = audit.verify(node_settings(config), this_user(), tuple(moved or ()))
    show(found, as_json, _verified)
    raise typer.Exit(1 if found.faults else 0)


@app.command()
def find(
    patient: Annotated[str, typer.Option(help="Part of a Patient ID, or of a name of a patient who is here.")] = "",
    who: Annotated[str, typer.Option(help="Account, AE title, or name of a remote.")] = "",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    since: Annotated[str, typer.Option(help="From this day on, YYYY-MM-DD.")] = "",
    until: Annotated[str, typer.Option(help="To this day, YYYY-MM-DD.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="The latest so many.")] = 100,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what was done, the latest first; with --patient: who had to do with that patient."""
    from node.operations import audit
    from node.operations.journal import JournalQuery

    wanted = JournalQuery(who, patient, study, frozenset(), since, until, limit)
    show(audit.find(node_settings(config), wanted, this_user()), as_json, _found)


def _verified(found: Verified) -> Text:
    text = Text()
    for style, remarks in (("yellow", found.notes), ("red", found.faults)):
        for each in remarks:
            text.append(f"{_place(each)}: {each.text}\n", style=style)
    end = f", up to event {found.last_event}" if found.lines else ""
    verdict = f"{len(found.faults)} faults" if found.faults else "whole"
    text.append(f"{len(found.files)} files, {found.lines} lines{end}: {verdict}")
    return text


def _place(remark: ChainRemark) -> str:
    return f"{remark.file}:{remark.line}" if remark.line else remark.file or "the audit"


def _found(page: JournalPage) -> Text:
    text = Text()
    for it in page.events:
        who = it.account or it.remote or "-"
        refused = "" if it.succeeded else " (refused)"
        said = (it.study_instance_uid, it.patient_id, it.subject, it.detail, it.address)
        text.append(f"{it.at:%Y-%m-%d %H:%M:%S}  {it.action}{refused}  {escaped(who)}  ")
        text.append(escaped("  ".join(filter(None, said))) + "\n")  # no terminal obeys what others have sent
    text.append(f"{len(page.events)} of {page.matching}")
    return text
