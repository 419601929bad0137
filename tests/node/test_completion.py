"""When a study counts as complete, and that no study is stuck between two states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dbos import DBOS

from node.completion import Completion
from node.settings import CompletionSettings, RecognitionSettings
from node.worklist import WORKFLOW_VERSION, Progress, Worklist, queue_url
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import StudyState
from storage.schema import open_engine

LONG_AGO = timedelta(seconds=60)


@pytest.fixture
def worklist(tmp_path: Path) -> Any:
    """A queue that nobody works off."""
    DBOS(
        config={
            "name": "rectal-node",
            "system_database_url": queue_url(tmp_path),
            "application_version": WORKFLOW_VERSION,
            "executor_id": "test",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.destroy()
    found = Worklist(queue_url(tmp_path))
    yield found
    found.close()


class Arrived:
    """A storage in which a study has arrived some time ago."""

    def __init__(self, root: Path, worklist: Worklist) -> None:
        self.files = ObjectStore(root)
        self.index = Index(open_engine(f"sqlite:///{root / 'index.sqlite'}"))
        self.worklist = worklist
        self.uid = ""

    def receive(self, paths: Sequence[Path], ago: timedelta = LONG_AGO) -> None:
        for path in paths:
            header = read_header(path)
            self.uid = header.study_instance_uid
            file = self.files.store(path.read_bytes(), header)
            self.index.register(header, file, "SCANNER", datetime.now(UTC) - ago)

    def sweep(self, quiet_s: float = 20, incomplete_after_s: float = 300) -> None:
        settings = CompletionSettings(quiet_s=quiet_s, incomplete_after_s=incomplete_after_s)
        Completion(settings, RecognitionSettings(), self.files, self.index, self.worklist).sweep()

    @property
    def state(self) -> StudyState:
        study = self.index.study(self.uid)
        assert study is not None
        return study.state

    @property
    def progress(self) -> Progress:
        study = self.index.study(self.uid)
        assert study is not None
        return self.worklist.progress(self.uid, study.revision)


@pytest.fixture
def arrived(tmp_path: Path, worklist: Worklist) -> Arrived:
    return Arrived(tmp_path, worklist)


@pytest.fixture
def paths(written_by: Callable[[str], Any]) -> tuple[Path, ...]:
    return tuple(written_by("Siemens Skyra").paths)


def without(paths: Sequence[Path], word: str) -> list[Path]:
    """Files whose Series Description does not hold a word."""
    return [p for p in paths if word not in pydicom.dcmread(p, stop_before_pixels=True).SeriesDescription]


def test_a_quiet_study_with_every_wanted_sequence_is_queued(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED
    assert arrived.progress is Progress.WAITING


def test_a_study_that_still_arrives_is_left_alone(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths, ago=timedelta(seconds=1))
    arrived.sweep(quiet_s=20)
    assert arrived.state is StudyState.RECEIVING


def test_a_study_without_its_dynamic_series_is_waited_for_longer_then_taken_as_it_is(
    arrived: Arrived, paths: tuple[Path, ...]
) -> None:
    arrived.receive(without(paths, "vibe"))
    arrived.sweep(quiet_s=20, incomplete_after_s=300)
    assert arrived.state is StudyState.RECEIVING
    arrived.sweep(quiet_s=20, incomplete_after_s=50)
    assert arrived.state is StudyState.QUEUED


def test_a_late_image_makes_a_new_revision_that_is_queued_again(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths[:-1])
    arrived.sweep(incomplete_after_s=50)
    arrived.receive(paths[-1:])
    study = arrived.index.study(arrived.uid)
    assert study is not None
    assert (study.revision, study.state) == (2, StudyState.RECEIVING)
    arrived.sweep(incomplete_after_s=50)
    assert arrived.state is StudyState.QUEUED
    assert {item.revision for item in arrived.worklist.unfinished()} == {1, 2}


def test_a_study_that_a_crash_left_queued_but_not_submitted_is_submitted(
    arrived: Arrived, paths: tuple[Path, ...]
) -> None:
    arrived.receive(paths)
    assert arrived.index.move(arrived.uid, 1, StudyState.QUEUED)
    assert arrived.progress is Progress.UNKNOWN
    arrived.sweep()
    assert arrived.progress is Progress.WAITING


def test_submitting_twice_is_one_analysis(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.worklist.submit("1.2.3", 1)
    arrived.worklist.submit("1.2.3", 1)
    assert [(item.study_instance_uid, item.revision) for item in arrived.worklist.unfinished()] == [("1.2.3", 1)]


def test_a_study_that_failed_is_queued_again_on_request(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    arrived.sweep()
    arrived.index.move(arrived.uid, 1, StudyState.FAILED, "broke")
    arrived.index.reopen(arrived.uid)
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED
    assert {item.revision for item in arrived.worklist.unfinished()} == {1, 2}
