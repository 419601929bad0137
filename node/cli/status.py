"""The state of the node for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.operations.status import ARRIVED, Counts, Report, StudyLine
from node.recognition.record import STUDY, RoleRefusal
from storage.answer_checks import AnswerCheck, Outcome
from storage.commitment_requests import Unreported
from storage.commitments import Uncommitted
from storage.records import CommitmentState, DeliveryState, QuarantineRecord, ReportState, StudyState
from storage.removal_records import Scope
from storage.upkeep import Round

_NAMED = {
    DeliveryState.COMMITTED: "of them committed",
    DeliveryState.REVOKED: "of them to be withdrawn",
    DeliveryState.FAILED: "failed",
    DeliveryState.STOPPED: "stopped",
    DeliveryState.UNKNOWN: "unknown, sent again by `resend` only",
}
_ASKED = {
    CommitmentState.ASKED: "no answer",
    CommitmentState.ACCEPTED: "accepted, no report yet",
    CommitmentState.REPORTED: "reported",
    CommitmentState.REFUSED: "refused",
    CommitmentState.UNSUPPORTED: "not supported",
}
_STYLES = {StudyState.COMPLETED: "green", StudyState.REFUSED: "magenta", StudyState.FAILED: "red"}


def as_tables(report: Report) -> RenderableType:
    """The report for a terminal: a paragraph a study, so that UIDs and reasons stay whole on 80 columns."""
    parts: list[RenderableType] = [Text(f"warning: {warning}", style="yellow") for warning in report.warnings]
    parts += _alerts(report.counts)
    parts += [_answer_check(report.answer_check)] if report.answer_check else []
    parts += [_counts(report.counts)] if any(report.counts.studies.values()) else []
    parts += [Text(f"{_uncommitted(line)}\n") for line in report.uncommitted]
    parts += [_study(line) for line in report.studies] or [Text("no studies")]
    if len(report.studies) == 1 and report.studies[0].series:
        parts.append(_series(report.studies[0]))
    if report.quarantine:
        parts.append(_quarantine(report.quarantine, report.counts.quarantine))
    if report.unreported:
        parts.append(_unreported(report.unreported, report.counts.unreported))
    if report.counts.catalogue_faults:
        parts.append(_faults(report))
    parts += [Text(_round(each)) for each in report.rounds]
    if report.counts.damaged:
        parts.append(Text(f"{report.counts.damaged} objects are damaged or gone: `rectal-node alerts`", style="red"))
    if len(report.studies) < report.page.matching:
        parts.append(_page(report))
    return Group(*parts)


def _alerts(counts: Counts) -> list[RenderableType]:
    """The open alerts in a line; nothing where there is none."""
    of_code = {code: count for code, count in counts.alerts.items() if count.open}
    if not of_code:
        return []
    unseen = sum(count.unacknowledged for count in of_code.values())
    codes = ", ".join(f"{code} {count.open}" for code, count in of_code.items())
    number = sum(count.open for count in of_code.values())
    text = f"alerts: {number} open, {unseen} not acknowledged ({codes}): `rectal-node alerts`"
    return [Text(text, style="bold red" if unseen else "yellow")]


def _answer_check(check: AnswerCheck) -> Text:
    """The latest known-answer check, in a line."""
    reason = f": {check.reason}" if check.reason else ""
    said = f"known-answer check: {check.outcome.lower().replace('_', ' ')}, {_ago(check.ended_at or check.started_at)}"
    return Text(f"{said}{reason}", style="bold red" if check.outcome is Outcome.FAILED else "")


def _counts(counts: Counts) -> Text:
    """All studies by state in a line, and a line for each destination that lacks results."""
    states = ", ".join(f"{count} {state.lower()}" for state, count in counts.studies.items() if count)
    undelivered = f"; {counts.undelivered} undelivered" if counts.undelivered else ""
    text = Text(f"{states}{undelivered}\n")
    for name, of_state in counts.deliveries.items():
        text.append(f"{name}: {', '.join(f'{count} {state.lower()}' for state, count in of_state.items())}\n")
    return text


def _round(it: Round) -> str:
    """A way through all files: of the one under way, else of the last, what it found."""
    name = {"reconciliation": "files and rows compared", "scrub": "objects read again"}.get(it.name, it.name)
    found = it.found if it.is_under_way else it.last_found
    told = ", ".join(f"{count} {what}" for what, count in sorted(found.items()) if count) or "nothing yet"
    when = "under way" if it.is_under_way or it.ended_at is None else f"last {_ago(it.ended_at)}"
    return f"{name}: {when}: {told}"


def _page(report: Report) -> Text:
    page, shown = report.page, len(report.studies)
    more = page.offset + shown < page.matching
    following = f"; the next by --offset {page.offset + shown}" if more else ""
    return Text(f"studies {page.offset + 1} to {page.offset + shown} of {page.matching}{following}")


def _study(line: StudyLine) -> Text:
    study = line.study
    changed = ", changed since first received" if study.changed else ""
    text = Text(f"{study.study_instance_uid}\n", style="bold")
    text.append(f"  {study.state}", style=_STYLES.get(study.state, "yellow"))
    text.append(
        f"  revision {study.revision}{changed}, {study.series_count} series, {study.instance_count} images, "
        f"last {_ago(study.last_received_at)}\n",
        style="not bold",
    )
    for note in _of_removing(line):
        text.append(f"  {note}\n", style="not bold")
    if line.running:
        text.append(f"  analysis under way{f', {line.step!r} is done' if line.step else ''}\n", style="not bold")
    for withdrawal in line.withdrawals:
        text.append(f"  {withdrawal}\n", style="not bold red")
    unlocated = (str(location) for location in line.locations if not location.established)
    judged = (*map(str, line.set_aside), *unlocated)
    caution = [] if study.caution in line.warnings else [study.caution]
    notes = [study.reason, *caution, *judged, *map(_refusal, line.refusals), *line.warnings]
    delivered = [_delivered(name, count) for name, count in line.deliveries.items()]
    for note in (*delivered, *line.delivery_reasons, *dict.fromkeys(note for note in notes if note)):
        text.append(f"  {note}\n", style="not bold")
    return text


def _of_removing(line: StudyLine) -> Iterator[str]:
    if line.hold is not None:
        yield f"on hold since {line.hold.held_at:%Y-%m-%d %H:%M} UTC by {line.hold.held_by}: {line.hold.reason}"
    if line.removal is not None:
        what = "its images were" if line.removal.scope is Scope.IMAGES else "what came before was"
        yield f"{what} removed by {line.removal.rule!r} at {line.removal.begun_at:%Y-%m-%d %H:%M} UTC"


def _refusal(refusal: RoleRefusal) -> str:
    """In the words of `why_refused` for the whole study, so that they are shown once."""
    of_role = "" if refusal.role == STUDY else f"{refusal.role} "
    return f"{of_role}{refusal.code}: {refusal.reason}"


def _delivered(name: str, count: dict[DeliveryState, int]) -> str:
    text = f"{name}: {sum(count.get(state, 0) for state in ARRIVED)} of {sum(count.values())} delivered"
    others = {state: count.get(state, 0) for state in _NAMED}
    return ", ".join([text, *(f"{number} {_NAMED[state]}" for state, number in others.items() if number)])


def _series(line: StudyLine) -> Table:
    table = Table(title="Series", title_justify="left")
    for name in ("no.", "description", "images", "role", "used", "why"):
        table.add_column(name, overflow="fold")
    for verdict in line.series:
        row: tuple[Any, ...] = (
            verdict.series_number,
            verdict.description,
            verdict.instance_count,
            verdict.role or "-",
            "yes" if verdict.used else "no",
            verdict.reason,
        )
        table.add_row(*map(str, row))
    return table


def _quarantine(records: tuple[QuarantineRecord, ...], held: int) -> Table:
    latest = f", the latest {len(records)} of {held}" if len(records) < held else ""
    table = Table(title=f"Quarantine{latest}", title_justify="left")
    for name in ("no.", "received", "from", "file", "why"):
        table.add_column(name, overflow="fold")
    for record in records:
        received = _ago(record.received_at)
        table.add_row(str(record.identifier), received, record.calling_ae, str(record.file.path), record.reason)
    return table


def _uncommitted(line: Uncommitted) -> str:
    """What a destination has not committed, since when, and what it said last."""
    text = f"{line.destination}: {line.count} stored, not committed, the first since {_ago(line.since)}"
    if line.state is None or line.asked_at is None:
        return f"{text}; not asked yet"
    reason = f": {line.reason}" if line.reason else ""
    text += f"; last asked {_ago(line.asked_at)}: {_ASKED[line.state]}{reason}"
    return f"{text}; {line.given_up} of them are not asked for any more" if line.given_up else text


def _unreported(requests: tuple[Unreported, ...], count: int) -> Table:
    latest = f", the latest {len(requests)} of {count}" if len(requests) < count else ""
    table = Table(title=f"Commitment asked for here, report not taken{latest}", title_justify="left")
    for name in ("received", "from", "objects", "attempts", "state", "why"):
        table.add_column(name, overflow="fold")
    for each in requests:
        state = {ReportState.QUEUED: "tried again"}.get(each.state, "given up")
        row = (_ago(each.received_at), each.remote, each.objects, each.attempts, state, each.reason)
        table.add_row(*map(str, row))
    return table


def _faults(report: Report) -> RenderableType:
    """How many files the catalogue lacks, and which, where that was asked for."""
    count, shown = report.counts.catalogue_faults, report.catalogue_faults
    files = "1 file is" if count == 1 else f"{count} files are"
    lacking = f"{files} not, or not wholly, in the catalogue"
    if not shown:
        return Text(f"{lacking}: `rectal-node status --faults` says which, and why")
    latest = f", the latest {len(shown)} of them" if len(shown) < count else ""
    table = Table(title=f"{lacking}{latest}", title_justify="left")
    for name in ("study", "object", "file", "why"):
        table.add_column(name, overflow="fold")
    for fault in shown:
        table.add_row(fault.study_instance_uid, fault.sop_instance_uid, str(fault.path), fault.reason)
    return table


def _ago(moment: datetime) -> str:
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
