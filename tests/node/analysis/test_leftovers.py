"""A disk does not fill: volumes of analyses that have ended go, whatever the end; those that are needed stay."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import insert

from node.analysis.leftovers import discard_leftovers
from node.analysis.queue import Worklist, queue_url
from storage import schema
from storage.database import open_engine
from storage.index import Index
from storage.records import ENDED_STATES, StudyState

from ..conftest import MovedClock

STUDIES, VOLUME_BYTES = 100, 50_000


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """A hundred studies for each state, at their second revision."""
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    now = MovedClock()()
    values = {"revision": 2, "series_count": 1, "instance_count": 1, "changed": False, "reason": ""}
    times = dict.fromkeys(("first_received_at", "last_received_at"), now)
    with engine.begin() as connection:
        connection.execute(
            insert(schema.study),
            [
                {"study_instance_uid": f"1.{state}.{n}", "state": state} | values | times
                for state in StudyState
                for n in range(STUDIES)
            ],
        )
    return Index(engine)


def leave(root: Path, study: str, revision: int) -> Path:
    """What an analysis that was killed leaves."""
    folder = root / "work" / study / str(revision)
    (folder / "results").mkdir(parents=True)
    for name in ("T2WI.acquired.nrrd", "partial-T2WI.super.nrrd", "results/1.dcm"):
        (folder / name).write_bytes(bytes(VOLUME_BYTES))
    (folder / "plan.json").write_text("{}")
    return folder


def occupied(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "work").rglob("*") if path.is_file())


def test_what_ended_analyses_left_goes_and_the_records_stay(tmp_path: Path, index: Index) -> None:
    folders = [leave(tmp_path, f"1.{state}.{n}", 2) for state in ENDED_STATES for n in range(STUDIES)]
    assert discard_leftovers(tmp_path, index) == len(folders)
    assert occupied(tmp_path) < VOLUME_BYTES
    assert all((folder / "plan.json").exists() for folder in folders)
    assert discard_leftovers(tmp_path, index) == 0


def test_what_an_analysis_still_needs_stays(tmp_path: Path, index: Index, empty_queue: Path) -> None:
    shutil.copy(empty_queue, tmp_path)
    worklist = Worklist(queue_url(tmp_path))
    for study, revision in (("1.QUEUED.1", 2), ("1.RECEIVING.1", 1)):
        worklist.submit(study, revision)
        leave(tmp_path, study, revision)
    worklist.close()
    before = occupied(tmp_path)
    assert discard_leftovers(tmp_path, index) == 0
    assert occupied(tmp_path) == before


def test_of_a_superseded_revision_and_of_an_unknown_study_nothing_is_needed(tmp_path: Path, index: Index) -> None:
    leave(tmp_path, "1.QUEUED.1", 1)
    leave(tmp_path, "9.9", 1)
    assert discard_leftovers(tmp_path, index) == 2
