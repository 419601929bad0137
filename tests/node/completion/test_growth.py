"""What a look at waiting studies costs, whatever their number, and that nothing waits for the next look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from node.analysis.intake import Intake
from node.analysis.progress import unfinished
from node.completion.settling import Completion
from node.settings import CompletionSettings, RecognitionSettings
from storage import schema
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.records import StudyState

from .conftest import LONG_AGO, Arrived

QUIET, LONGER = 20.0, 300.0


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    yield opened
    opened.dispose()


@pytest.fixture
def fill(engine: Engine, clock: Any) -> Callable[[int], None]:
    """Half of so many studies are QUEUED; half wait for the end of an association."""

    def make(studies: int) -> None:
        table = schema.study
        values = {name: 1 for name in ("revision", "series_count", "instance_count")}
        times = dict.fromkeys(("first_received_at", "last_received_at"), clock() - LONG_AGO)
        states = (StudyState.QUEUED, StudyState.RECEIVING)
        with engine.begin() as connection:
            connection.execute(
                insert(table),
                [
                    {"study_instance_uid": f"1.{n}", "state": states[n % 2], "changed": False, "reason": ""}
                    | values
                    | times
                    for n in range(studies)
                ],
            )
            connection.execute(
                insert(schema.association),
                [
                    {"identifier": "a", "study_instance_uid": f"1.{n}", "open_until": clock() + LONG_AGO}
                    for n in range(1, studies, 2)
                ],
            )

    return make


def asked(engine: Engine, act: Callable[[], object]) -> list[str]:
    """The statements of an act but those that begin transactions."""
    found: list[str] = []

    def note(*call: Any) -> None:
        found.append(call[2])

    event.listen(engine, "before_cursor_execute", note)
    act()
    event.remove(engine, "before_cursor_execute", note)
    return [statement for statement in found if not statement.startswith(("BEGIN", "PRAGMA"))]


@pytest.mark.parametrize("studies", [4, 400])
def test_a_sweep_asks_three_things_whatever_number_of_studies_waits(engine, fill, tmp_path, clock, studies):
    fill(studies)
    settings = CompletionSettings(quiet_s=QUIET, incomplete_after_s=LONGER)
    completion = Completion(settings, RecognitionSettings(), ObjectStore(tmp_path), Index(engine), clock=clock)
    completion.sweep()  # says for what each of them waits
    assert len(asked(engine, completion.sweep)) == 3


@pytest.mark.parametrize("studies", [4, 400])
def test_a_look_at_the_queue_asks_storage_and_queue_one_thing_each(engine, fill, worklist, tmp_path, studies):
    fill(studies)
    intake = Intake(Index(engine), worklist)
    intake.look()
    assert len(unfinished(tmp_path)) == studies // 2
    assert len(asked(engine, intake.look)) == 1
    assert len(asked(worklist._engine, intake.look)) == 1


def test_what_broke_off_in_the_queue_fails(engine, fill, worklist):
    fill(4)
    intake = Intake(Index(engine), worklist)
    intake.look()
    worklist.cancel("1.2", 1)
    intake.look()
    states = {it.study_instance_uid: it.state for it in Index(engine).studies()}
    assert (states["1.0"], states["1.2"]) == (StudyState.QUEUED, StudyState.FAILED)


def test_a_study_that_settles_is_submitted_in_the_same_sweep(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    intake = Intake(arrived.index, arrived.worklist)
    settings = CompletionSettings(quiet_s=QUIET)
    storage = arrived.files, arrived.index
    Completion(settings, RecognitionSettings(), *storage, clock=arrived.clock, queued=intake.submit).sweep()
    assert arrived.waits


def test_a_sweep_says_when_the_next_study_can_settle(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    completion = arrived.completion(QUIET, LONGER)
    assert completion.sweep() is None
    arrived.receive(paths[-4:], ago=timedelta(0))
    came = arrived.study.last_received_at
    moments = [came + timedelta(seconds=seconds) for seconds in (QUIET / 2, QUIET, LONGER)]
    for moment in moments:
        assert completion.sweep() == moment
        arrived.clock.move((moment - arrived.clock()).total_seconds())
    assert completion.sweep() is None
    assert arrived.state is StudyState.QUEUED


def test_a_study_that_waits_for_the_end_of_an_association_is_looked_at_again_soon(engine, fill, tmp_path, clock):
    fill(2)
    settings = CompletionSettings(quiet_s=QUIET, incomplete_after_s=LONGER)
    again = Completion(settings, RecognitionSettings(), ObjectStore(tmp_path), Index(engine), clock=clock).sweep()
    assert again - clock() <= timedelta(seconds=0.25)


def test_headers_are_read_while_nothing_comes_so_that_the_end_waits_for_none(
    arrived: Arrived,
    paths: tuple[Path, ...],
    tmp_path: Path,
) -> None:
    arrived.receive(paths, ago=timedelta(seconds=QUIET / 2))
    completion = arrived.completion(QUIET, LONGER)
    completion.sweep()
    for path in (tmp_path / "objects").rglob("*.dcm"):
        path.unlink()
    arrived.clock.move(QUIET / 2)
    completion.sweep()
    assert arrived.state is StudyState.QUEUED
