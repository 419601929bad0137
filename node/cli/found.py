"""Studies that were looked for, for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from node.operations.studies import StudyFound, StudyPage


def as_table(page: StudyPage) -> RenderableType:
    """A row a study."""
    if not page.studies:
        return Text("no study fits")
    table = Table()
    for name in ("patient", "study", "scanner", "received", "state", "results"):
        table.add_column(name, overflow="fold")
    for found in page.studies:
        table.add_row(*_row(found))
    last = page.offset + len(page.studies)
    more = f"; the next by --offset {last}" if last < page.matching else ""
    return Group(table, Text(f"studies {page.offset + 1} to {last} of {page.matching}{more}"))


def _row(found: StudyFound) -> tuple[Text, ...]:
    """As text: what headers say is no markup."""
    of, study = found.of, found.study
    results = "\n".join(
        f"{name}: {', '.join(f'{count} {state.lower()}' for state, count in states.items())}"
        for name, states in found.deliveries.items()
    )
    state = f"analysis under way{f', {found.step!r} is done' if found.step else ''}" if found.running else study.state
    cells = (
        f"{of.patient_name}\n{of.patient_id}",
        f"{study.study_instance_uid}\n{of.study_date} {of.accession} {of.description}",
        of.scanner,
        f"{study.last_received_at:%Y-%m-%d %H:%M:%SZ}",
        str(state),
        results,
    )
    return tuple(map(Text, cells))
