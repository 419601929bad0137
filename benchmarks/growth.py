"""What a look costs in a node of no, 1,000 and 20,000 studies of 50 instances each, a twentieth of them in the queue.

The sweep that looks for settled studies (a twentieth waits), the intake of the queue, the look for due deliveries,
`status`, the record of one study, and queries of the catalogue. Rows are made as if files had come; a filled root is
kept in `--folder`. Filling 20,000 studies takes a minute or two.

    python -m benchmarks.growth
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from sqlalchemy import Engine

from benchmarks import filled_root
from benchmarks.comparison import NODE
from benchmarks.record import Row, record
from node.analysis.intake import Intake
from node.analysis.queue import Worklist, queue_url
from node.clock import utc_now
from node.completion.settling import Completion
from node.operations.explain import of_stored
from node.operations.status import collect
from node.settings import CompletionSettings, RecognitionSettings, Settings
from storage.catalogue.query import Level, find
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.migrations import REVISIONS

_FOR_EVER_S = 1e9
_MATCHES = 500  # of a query, at most
_Look = Callable[[], object]


def main(
    studies: Annotated[list[int] | None, typer.Option(help="Studies of a root; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each look; a value is the median of five looks.")] = 3,
    folder: Annotated[Path, typer.Option(help="Where filled roots are kept.")] = Path("runs/growth"),
) -> None:
    """Measure and record."""
    roots = {number: _root(folder, number) for number in studies or (0, 1_000, 20_000)}
    for number, root in roots.items():
        settings = Settings(root=root)
        engine, worklist = open_engine(settings.storage_url), Worklist(queue_url(root))
        for name, look in (*_looks(settings, engine, worklist, number), *_queries(engine, number)):
            look()  # what is new at the first look is another matter
            for run in range(1, rounds + 1):
                record(Row("growth", f"{name}, {number:,} studies", NODE, run, median(_times_ms(look)), "ms"))
        worklist.close()
        engine.dispose()


def _root(folder: Path, studies: int) -> Path:
    root = folder.absolute() / f"{studies}-studies-{REVISIONS[-1]}"
    if not root.exists():
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        size = filled_root.Size(studies, queued=studies // 20, receiving=studies // 20)
        filled_root.fill(partial, Settings(root=partial).storage_url, size)
        partial.rename(root)
    return root


def _times_ms(look: _Look) -> Iterator[float]:
    for _ in range(5):
        begun = time.perf_counter()
        look()
        yield 1000 * (time.perf_counter() - begun)


def _looks(settings: Settings, engine: Engine, worklist: Worklist, studies: int) -> Iterator[tuple[str, _Look]]:
    index = Index(engine)
    patient = CompletionSettings(incomplete_after_s=_FOR_EVER_S)
    completion = Completion(patient, RecognitionSettings(), ObjectStore(settings.root), index)
    deliveries = Deliveries(engine)
    yield "sweep", completion.sweep
    yield "intake", Intake(index, worklist).look
    yield "look for due deliveries", lambda: deliveries.is_due(filled_root.DESTINATION, utc_now())
    yield "status", lambda: collect(settings)
    if studies:
        last = filled_root.uid(studies - 1)
        yield "explain", lambda: of_stored(last, settings)


def _queries(engine: Engine, studies: int) -> Iterator[tuple[str, _Look]]:
    number = 3 * studies // 4
    study, patient, day = filled_root.uid(number), filled_root.patient_id(number), filled_root.day(number)
    name = f"{filled_root.family_name(number)[:8]}*"
    asked: list[tuple[Level, dict[str, str]]] = [
        (Level.PATIENT, {"PatientID": patient}),
        (Level.PATIENT, {"PatientName": name}),
        (Level.STUDY, {"PatientName": name}),
        (Level.STUDY, {"PatientName": "*99*"}),
        (Level.STUDY, {"StudyDate": f"{day}-{day}"}),
        (Level.STUDY, {"StudyDate": "20260101-20261231", "ModalitiesInStudy": "SEG"}),
        (Level.STUDY, {"AccessionNumber": filled_root.accession(number)}),
        (Level.STUDY, {"ModalitiesInStudy": "CT"}),
        (Level.SERIES, {"StudyInstanceUID": study, "Modality": "MR"}),
        (Level.SERIES, {"PatientName": name, "Modality": "MR"}),
        (Level.IMAGE, {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}),
        (Level.IMAGE, {"SOPInstanceUID": f"{study}.1.1"}),
        (Level.IMAGE, {"PatientName": name, "StudyDate": "20260101-"}),
    ]
    for level, keys in asked:
        told = ", ".join(f"{key} {_form(value)}" for key, value in keys.items())
        yield f"query {level} by {told}", lambda level=level, keys=keys: _find(engine, level, keys)  # type: ignore[misc]


def _form(value: str) -> str:
    """A value of a query without what is particular in it."""
    if "*" in value:
        return "*...*" if value.startswith("*") else "...*"
    return "..-.." if "-" in value else "..."


def _find(engine: Engine, level: Level, keys: dict[str, str]) -> object:
    with engine.connect() as connection:
        return find(connection, level, keys, _MATCHES)


if __name__ == "__main__":
    typer.run(main)
