"""Queue and index apart: every pair of what they say has an end, and none stays for ever."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from node.analysis.intake import Intake
from node.analysis.progress import Run, runs, workflow_id
from node.analysis.queue import Worklist, queue_url
from node.analysis.reconciliation import MEASURES, Measure, Reconciliation, Standing
from storage import schema
from storage.database import open_engine
from storage.index import Index
from storage.records import StudyState

from ..conftest import MovedClock

#: What is there afterwards, in the index and in the queue; index and queue agree then.
AGREE = {
    Measure.SUBMIT: ("QUEUED", Run.ENQUEUED),
    Measure.RESTART: ("QUEUED", Run.ENQUEUED),
    Measure.FAIL: ("FAILED", None),
    Measure.FORGET: (None, Run.ABSENT),
    Measure.CANCEL: (None, Run.CANCELLED),
}
PAIRS = list(product(Standing, Run))


class Apart:
    """Index and queue with a study revision `1.N:1` for each pair, as a crash or a backup may leave them."""

    def __init__(self, root: Path, engine: Engine, worklist: Worklist) -> None:
        self.root, self.worklist, self.index = root, worklist, Index(engine)
        self.engine = engine

    def put(self, study: str, standing: Standing, run: Run) -> None:
        if standing is not Standing.UNKNOWN:
            superseded = standing is Standing.SUPERSEDED
            now = MovedClock()()
            with self.engine.begin() as connection:
                connection.execute(
                    insert(schema.study).values(
                        study_instance_uid=study,
                        revision=2 if superseded else 1,
                        state=StudyState.RECEIVING if superseded else standing.value,
                        series_count=1,
                        instance_count=1,
                        changed=False,
                        reason="",
                        first_received_at=now,
                        last_received_at=now,
                    )
                )
        if run is not Run.ABSENT:
            self.worklist.submit(study, 1)
            with closing(sqlite3.connect(self.root / "worklist.sqlite")) as queue, queue:
                changed = queue.execute(
                    "UPDATE workflow_status SET status = ? WHERE workflow_uuid = ?", (run, workflow_id(study, 1))
                )
                assert changed.rowcount == 1

    def is_of(self, version: str, study: str) -> None:
        """The run of a study is of this version of the workflow."""
        with closing(sqlite3.connect(self.root / "worklist.sqlite")) as queue, queue:
            of_study = "UPDATE workflow_status SET application_version = ? WHERE workflow_uuid = ?"
            assert queue.execute(of_study, (version, workflow_id(study, 1))).rowcount == 1

    def state(self, study: str) -> str | None:
        found = self.index.study(study)
        return None if found is None else found.state

    def run(self, study: str) -> Run:
        return next((run for part in runs(self.root, 3) for uid, _, run in part if uid == study), Run.ABSENT)


@pytest.fixture
def apart(tmp_path: Path, empty_queue: Path) -> Apart:
    shutil.copy(empty_queue, tmp_path)
    worklist = Worklist(queue_url(tmp_path))
    yield Apart(tmp_path, open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), worklist)
    worklist.close()


@pytest.fixture
def all_pairs(apart: Apart) -> dict[tuple[Standing, Run], str]:
    """The study of each pair."""
    studies = {pair: f"1.{number}" for number, pair in enumerate(PAIRS, start=1)}
    for pair, study in studies.items():
        apart.put(study, *pair)
    return studies


def test_the_table_has_every_pair():
    assert {(standing, run) for standing, row in MEASURES.items() for run in row} == set(PAIRS)
    assert len(PAIRS) == 64


def agrees(apart: Apart, pair: tuple[Standing, Run], study: str, before: str | None) -> bool:
    """Whether what was done about a pair is what the table says."""
    measure = MEASURES[pair[0]][pair[1]]
    state, run = AGREE.get(measure, (None, None))
    return (apart.state(study), apart.run(study)) == (state or before, run or pair[1])


def test_before_a_worker_begins_every_pair_is_brought_together(apart: Apart, all_pairs):
    """What the index takes up the intake does, which looks as soon as the worker runs."""
    before = {study: apart.state(study) for study in all_pairs.values()}
    reconciliation = Reconciliation(apart.root, apart.index, apart.worklist)
    reconciliation.before_work()
    Intake(apart.index, apart.worklist).look()
    reconciliation.all()
    wrong = [pair for pair, study in all_pairs.items() if not agrees(apart, pair, study, before[study])]
    assert wrong == []


def test_while_a_worker_runs_what_is_under_way_is_left_alone(apart: Apart, all_pairs):
    Reconciliation(apart.root, apart.index, apart.worklist).all()
    Intake(apart.index, apart.worklist).look()
    assert {apart.run(study) for (_, run), study in all_pairs.items() if run is Run.PENDING} == {Run.PENDING}


def test_brought_together_once_nothing_is_left_to_do(apart: Apart, all_pairs):
    reconciliation = Reconciliation(apart.root, apart.index, apart.worklist)
    intake = Intake(apart.index, apart.worklist)
    reconciliation.before_work()
    intake.look()
    reconciliation.all()
    assert not reconciliation.before_work()
    assert not reconciliation.all()


@pytest.mark.parametrize("run", [Run.ENQUEUED, Run.DELAYED, Run.PENDING])
def test_what_another_release_has_queued_or_begun_begins_anew(apart: Apart, run: Run):
    """DBOS takes up only what is of the same version of the workflow."""
    apart.put("1.2.3", Standing.QUEUED, run)
    apart.put("1.2.4", Standing.QUEUED, Run.PENDING)
    left = apart.root / "work" / "1.2.3" / "1" / "prediction.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    apart.is_of("analysis-5", "1.2.3")
    Reconciliation(apart.root, apart.index, apart.worklist).before_work()
    assert (apart.state("1.2.3"), apart.run("1.2.3")) == ("QUEUED", Run.ENQUEUED)
    assert apart.worklist.of_other_versions() == []
    assert not left.exists()
    assert apart.run("1.2.4") is Run.PENDING


def test_what_another_release_has_begun_and_nobody_wants_any_more_does_not_begin_anew(apart: Apart):
    apart.put("1.2.3", Standing.CANCELLED, Run.PENDING)
    apart.is_of("analysis-5", "1.2.3")
    Reconciliation(apart.root, apart.index, apart.worklist).before_work()
    assert (apart.state("1.2.3"), apart.run("1.2.3")) == ("CANCELLED", Run.CANCELLED)


def test_a_study_that_the_queue_knows_as_done_from_before_is_analysed(apart: Apart):
    """The index was lost, the study was sent again: it stayed QUEUED for ever."""
    apart.put("1.2.3", Standing.QUEUED, Run.SUCCESS)
    Intake(apart.index, apart.worklist).look()
    assert (apart.state("1.2.3"), apart.run("1.2.3")) == ("QUEUED", Run.ENQUEUED)


def test_a_queue_that_was_lost_gets_what_waits_and_nothing_that_has_ended(apart: Apart):
    for number, standing in enumerate(Standing):
        apart.put(f"1.{number}", standing, Run.ABSENT)
    Intake(apart.index, apart.worklist).look()
    waiting = [study for part in runs(apart.root, 500) for study, _, _ in part]
    assert waiting == [f"1.{list(Standing).index(Standing.QUEUED)}"]
