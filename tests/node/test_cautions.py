"""What completion had to say of a study reaches its plan, and with it report, page and status."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.pipeline import Models, read_plan, recognise_study
from node.settings import RecognitionSettings, Settings
from node.workflow import Rooms
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import StudyState
from storage.schema import open_engine

CAUTION = "E-INCOMPLETE: 9 of 10 instances of series 1.2.3.4 had arrived; the PACS has the rest"


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    settings = Settings(root=tmp_path)
    engine = open_engine(settings.storage_url)
    return Rooms(settings, ObjectStore(tmp_path), Index(engine), Ledger(engine), Models(settings.analysis))


@pytest.fixture
def uid(rooms: Rooms, written_by: Callable[[str], Any]) -> str:
    """A study that arrived and was queued with a caution."""
    for path in written_by("Siemens Skyra").paths:
        header = read_header(path)
        file = rooms.files.store(path.read_bytes(), header)
        rooms.index.register(header, file, "SCANNER", datetime.now(UTC))
    rooms.index.move(header.study_instance_uid, 1, StudyState.QUEUED, CAUTION)
    return header.study_instance_uid


def test_a_caution_is_the_first_warning_of_the_plan(rooms: Rooms, uid: str) -> None:
    study = rooms.study(uid, 1)
    plan = recognise_study(study, RecognitionSettings(), rooms.models)
    assert plan.warnings[0] == CAUTION
    assert read_plan(study) == plan


def test_a_study_without_caution_has_no_warning_of_it(rooms: Rooms, uid: str) -> None:
    rooms.index.move(uid, 1, StudyState.FAILED, "broke")
    rooms.index.reopen(uid)
    rooms.index.move(uid, 2, StudyState.QUEUED)
    plan = recognise_study(rooms.study(uid, 2), RecognitionSettings(), rooms.models)
    assert not [warning for warning in plan.warnings if "E-INCOMPLETE" in warning]


def test_a_revision_that_is_out_of_date_takes_nothing_from_the_next_one(rooms: Rooms, uid: str) -> None:
    rooms.index.move(uid, 1, StudyState.FAILED, "broke")
    rooms.index.reopen(uid)
    rooms.index.move(uid, 2, StudyState.QUEUED, CAUTION)
    assert (rooms.study(uid, 1).caution, rooms.study(uid, 2).caution) == ("", CAUTION)
