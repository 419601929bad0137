"""What completion had to say of a study reaches its plan, and with it report, page and status."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.analysis.steps import Models, read_plan, recognise_study
from node.analysis.workflow import Rooms
from node.settings import RecognitionSettings, Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import StudyState

CAUTION = "E-INCOMPLETE: 9 of 10 instances of series 1.2.3.4 had arrived; the PACS has the rest"


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    settings = Settings(root=tmp_path)
    engine = open_engine(settings.storage_url)
    storage = ObjectStore(tmp_path), Index(engine), Ledger(engine), Deliveries(engine)
    return Rooms(settings, *storage, Models(settings.analysis))


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


def test_objects_that_another_study_has_as_well_are_named_in_the_plan(rooms: Rooms, uid: str) -> None:
    """Both studies are whole; only who looks an object up by its UID alone may find the other."""
    known = rooms.index.instances(uid)[:3]
    for record in known:
        header = replace(record.header, study_instance_uid="1.2.3", series_instance_uid="1.2.3.4")
        rooms.index.register(header, record.file, "SCANNER", datetime.now(UTC))
    plan = recognise_study(rooms.study(uid, 1), RecognitionSettings(), rooms.models)
    (clash,) = (warning for warning in plan.warnings if warning.startswith("E-UID-CLASH"))
    assert "3 SOP Instance UIDs stand for one object in series " in clash
    assert "another in study 1.2.3:" in clash
    assert sum(verdict.instance_count for verdict in plan.verdicts) == len(rooms.index.instances(uid))


def test_a_series_that_shares_uids_with_another_arrives_and_is_analysed_whole(
    rooms: Rooms, written_by: Callable[[str], Any], tmp_path: Path
) -> None:
    """Through the object store and the index: what came last under a UID once took the place of the other series."""
    axial, sagittal = (written_by("Siemens Skyra").series(f"t2_tse_{plane}") for plane in ("tra", "sag"))
    for one, other in zip(axial, sagittal, strict=True):
        shared = deepcopy(other)
        shared.SOPInstanceUID = shared.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        for instance in (one, shared):
            instance.save_as(tmp_path / "one.dcm")
            header = read_header(tmp_path / "one.dcm")
            file = rooms.files.store((tmp_path / "one.dcm").read_bytes(), header)
            rooms.index.register(header, file, "SCANNER", datetime.now(UTC))
    plan = recognise_study(rooms.study(header.study_instance_uid, 1), RecognitionSettings(), rooms.models)
    assert [verdict.instance_count for verdict in plan.verdicts] == [len(axial), len(sagittal)]
    (stack,) = plan.stacks
    assert len(stack.frames) == len(axial)
    assert any(warning.startswith("E-UID-CLASH") for warning in plan.warnings)
