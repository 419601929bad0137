"""Commands on studies: what is known of them, and what a person orders."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

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
    out,
    show,
    watched,
)
from node.cli.record import ordered
from storage.audit import AuditAction
from storage.records import DeliveryState, StudyState

app = typer.Typer()

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")]


@app.command()
def status(
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
    study: Annotated[str, typer.Option(help="Study Instance UID: show its series and why each is used.")] = "",
    state: Annotated[list[StudyState] | None, typer.Option(help="Only studies in this state; repeatable.")] = None,
    since: Annotated[str, typer.Option(help="Only what arrived since then: ISO 8601, UTC unless it says.")] = "",
    destination: Annotated[str, typer.Option(help="Only studies with results for this destination.")] = "",
    reason: Annotated[str, typer.Option(help="Only studies with this text in a reason.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Studies on a page.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Studies to pass over.")] = 0,
    faults: Annotated[bool, typer.Option("--faults", help="List files that the catalogue lacks, and why.")] = False,
) -> None:
    """Show what the node knows: studies, open work first, deliveries, quarantine."""
    from node.cli.status import as_tables
    from node.operations.status import collect
    from storage.overview import StudyQuery

    query = StudyQuery(study, frozenset(state or ()), _moment(since), destination, reason, limit, offset)
    show(collect(node_settings(config), query, faults), as_json, as_tables)


@app.command()
def find(
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
    patient: PatientFilter = "",
    accession: AccessionFilter = "",
    date_from: DateFromFilter = "",
    date_to: DateToFilter = "",
    scanner: ScannerFilter = "",
    state: StateFilter = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Studies on a page.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Studies to pass over.")] = 0,
) -> None:
    """Look for studies as the page does, the latest first; unlike `status` it shows whose they are."""
    from node.cli.found import as_table
    from node.operations.studies import find as look
    from storage.database import open_engine
    from storage.search import StudySearch

    wanted = StudySearch(patient, accession, date_from, date_to, scanner, frozenset(state or ()), limit, offset)
    settings = node_settings(config)
    show(look(open_engine(settings.storage_url), settings.root, wanted), as_json, as_table)


@app.command()
def explain(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or a folder or file that never entered the node.")],
    config: ConfigOption = CONFIG,
    series: Annotated[int | None, typer.Option(help="Show only the series of this number.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole record as JSON, one line a study.")] = False,
) -> None:
    """Say why each series of a study is used or not: conditions wanted and found, near misses, confidence."""
    from node.cli.explain import group
    from node.operations.explain import of_files, of_stored
    from node.recognition.record import to_json

    settings = node_settings(config)
    path = Path(study)
    plans = list(of_files(path, settings, watched("headers"))) if path.exists() else [of_stored(study, settings)]
    if as_json:
        sys.stdout.writelines(to_json(plan) + "\n" for plan in plans)
    else:
        out.print(group(plans, series), highlight=False)


@app.command()
def replay(
    studies: Annotated[list[str] | None, typer.Argument(help="Study Instance UIDs; without any: all studies.")] = None,
    config: ConfigOption = CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Say what the rules in the configuration would change about stored studies; changes nothing."""
    from node.cli.replay import as_text
    from node.operations.replay import replay as replayed

    show(replayed(node_settings(config), tuple(studies or ()), watched("studies")), as_json, as_text)


@app.command()
def rerun(
    study: StudyArgument,
    config: ConfigOption = CONFIG,
    patient: Annotated[str, typer.Option(help="Of a study that names two patients: Patient ID of who is meant.")] = "",
    born: Annotated[str, typer.Option(help="Birth date (YYYYMMDD), where two have that Patient ID.")] = "",
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID, where two have that Patient ID.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Analyse a study again that has ended: after a change of rules or models, a failure, or two patients in it."""
    from node.operations import rerun as operation

    settings = node_settings(config)
    with ordered(settings, AuditAction.REPROCESSED, study):
        begun = operation.rerun(settings, study, operation.said(patient, issuer, born))
    show(
        begun,
        as_json,
        lambda it: f"{study}: revision {it.revision} is analysed at the next look of the running node",
    )


@app.command()
def resend(
    study: StudyArgument,
    config: ConfigOption = CONFIG,
    to: Annotated[str, typer.Option(help="Only to this destination, also what was never meant for it.")] = "",
    objects: Annotated[list[str] | None, typer.Option("--object", help="SOP Instance UID; repeatable.")] = None,
    also: Annotated[
        list[DeliveryState] | None, typer.Option(help="STORED, COMMITTED or REVOKED ones as well; repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send results of a study again: those that failed or are unknown, and others that are named."""
    from node.operations.resend import resend as send_again

    settings = node_settings(config)
    with ordered(settings, AuditAction.RESENT, study, to):
        resent = send_again(settings, study, to, objects or (), also or ())
    show(
        resent,
        as_json,
        lambda it: "\n".join(
            (
                f"{study}: {it.queued} of {it.deliveries} deliveries queued again"
                + (f", {it.added} more for the first time" if it.added else ""),
                *(f"{it.refused} not sent, name them by --object if they are right: {why}" for why in it.reasons),
            )
        ),
    )
    raise typer.Exit(1 if resent.refused else 0)


@app.command()
def cancel(
    study: StudyArgument,
    config: ConfigOption = CONFIG,
    reason: Annotated[str, typer.Option(help="Why; it stands in `status`.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Take a study out of the queue, or end its analysis after the step under way; `rerun` begins it again."""
    from node.operations.cancel import cancel as end

    settings = node_settings(config)
    with ordered(settings, AuditAction.CANCELLED, study, detail=reason):
        ended = end(settings, study, reason)
    show(ended, as_json, lambda it: f"{study}: the analysis of revision {it.revision} is cancelled")


@app.command()
def reindex(config: ConfigOption = CONFIG, as_json: JsonOption = False) -> None:
    """Make a lost database anew from the files of the root, while the node is stopped."""
    from node.operations.reindex import reindex as make_anew

    show(
        make_anew(node_settings(config)),
        as_json,
        lambda it: "\n".join(
            (
                f"{it.received} objects received, {it.made} made here, {it.returned} that came back, "
                f"{it.quarantined} in quarantine",
                f"{it.completed} studies with results, {it.receiving} without, which are taken up as if they came now",
                *(f"left out: {path}: {reason}" for path, reason in it.left_out.items()),
            )
        ),
    )


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("no time; give it as 2026-11-30 or 2026-11-30T16:00", param_hint="--since") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
