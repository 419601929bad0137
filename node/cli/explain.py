"""Plans of studies for a terminal: why each series is used or not, condition by condition."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node.recognition.record import DynamicRun, SeriesVerdict, StudyPlan
from node.recognition.rules.findings import Confidence

_STYLES = {Confidence.HIGH: "green", Confidence.MEDIUM: "yellow", Confidence.LOW: "red"}


def as_text(plan: StudyPlan, series_number: int | None = None) -> RenderableType:
    """A plan for a terminal of 80 columns or more; only one of its series where a number is given."""
    verdicts = [it for it in plan.verdicts if series_number is None or it.series_number == series_number]
    parts: list[RenderableType] = [] if series_number is not None else [_summary(plan)]
    if plan.dynamic is not None and series_number is None:
        parts.append(_run(plan.dynamic))
    return Group(*parts, *(_series(verdict) for verdict in verdicts))


def _summary(plan: StudyPlan) -> RenderableType:
    images = sum(verdict.instance_count for verdict in plan.verdicts)
    title = Text(f"Study {plan.study_instance_uid}", style="bold")
    lines: list[RenderableType] = [
        title,
        Text(f"  {len(plan.verdicts)} series, {images} images; body part {plan.body_part or 'not stated'}"),
    ]
    numbers = {verdict.series_instance_uid: verdict.series_number for verdict in plan.verdicts}
    for stack in plan.stacks:
        weighting = "" if stack.b_value is None else f", b = {stack.b_value:g} s/mm²"
        time = "" if stack.phase_time_s is None else f", {stack.phase_time_s:.1f} s after injection"
        number = numbers.get(stack.series_instance_uid)
        lines.append(Text(f"  {stack.role:<5} series {number}, {len(stack.frames)} slices{weighting}{time}"))
    lines += [_hanging(f"{it.role} not analysed, {it.code}: {it.reason}", "magenta") for it in plan.refusals]
    lines += [_hanging(str(finding), "magenta") for finding in plan.set_aside]
    lines += [_hanging(str(location), "yellow") for location in plan.locations if not location.established]
    lines += [_hanging(f"warning: {warning}", "yellow") for warning in plan.warnings]
    return Group(*lines, Text(""))


def _run(run: DynamicRun) -> RenderableType:
    """The phases by time; those around the chosen one only where there are many."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("series", "slices", "s from the first", "s after injection", ""):
        table.add_column(name, justify="left" if not name else "right")
    for phase in run.phases:
        after = "-" if phase.after_injection_s is None else f"{phase.after_injection_s:.1f}"
        chosen = "portal-venous" if phase.chosen else ""
        style = "bold" if phase.chosen else ""
        table.add_row(str(phase.series_number), str(phase.slices), f"{phase.time_s:.1f}", after, chosen, style=style)
    clock, *others = run.clocks
    also = f" (also: {', '.join(others)})" if others else ""
    uncertain = f", ±{run.uncertainty_s:.0f} s" if run.uncertainty_s else ""
    return Group(
        Text("Dynamic run", style="bold"),
        _hanging(f"time of each phase: {clock}{also}"),
        _hanging(f"time of injection: {run.zero or 'not known'}{uncertain}"),
        Padding(table, (0, 0, 1, 2), expand=False),
    )


def _series(verdict: SeriesVerdict) -> RenderableType:
    head = Text(f"Series {verdict.series_number}  ", style="bold")
    head.append(f"{verdict.description or '(no description)'}", style="bold")
    head.append(f"  {_count(verdict.instance_count)}, {verdict.manufacturer or 'manufacturer not stated'}", "not bold")
    state = Text("  ")
    state.append("USED" if verdict.used else "not used", "bold green" if verdict.used else "")
    state.append(", confidence ")
    state.append(verdict.confidence, _STYLES[verdict.confidence])
    parts: list[RenderableType] = [head, state, _hanging(verdict.reason)]
    parts += [_hanging(line) for line in (verdict.geometry, verdict.scaling) if line]
    parts += [_hanging(f"volume: {volume}") for volume in verdict.volumes]
    parts += [_hanging(f"doubt: {doubt}", "yellow") for doubt in verdict.doubts]
    if verdict.rule:
        parts += [_hanging(f"rule {verdict.rule!r}:"), _conditions(verdict)]
    for miss in verdict.near_misses:
        needed = "; ".join(f"{it.fact} is {it.found}, wanted {it.wanted}" for it in miss.failed)
        parts.append(_hanging(f"near miss, rule {miss.rule!r} ({miss.finding}): {needed}", "dim"))
    return Group(*parts, Text(""))


def _conditions(verdict: SeriesVerdict) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    for entry in verdict.evidence:
        mark = Text("~" if entry.doubtful else "+", style="yellow" if entry.doubtful else "green")
        table.add_row(mark, entry.fact, entry.found, f"wanted: {entry.wanted}")
    return Padding(table, (0, 0, 0, 4), expand=False)


def _count(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"


def _hanging(text: str, style: str = "") -> RenderableType:
    return Padding(Text(text, style=style), (0, 0, 0, 2), expand=False)


def group(plans: Iterable[StudyPlan], series_number: int | None) -> RenderableType:
    """Several plans, one after the other."""
    return Group(*(as_text(plan, series_number) for plan in plans))
