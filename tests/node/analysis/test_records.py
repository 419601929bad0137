"""What the queue records is JSON, and nothing that is pickled is loaded."""

from __future__ import annotations

import base64
import json
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from node.analysis.progress import queue_database, workflow_id
from node.analysis.records import JsonRecords
from node.errors import PermanentError, StepSetAsideError
from storage.records import StudyState

from ...parts.processes import wait_for
from ..site import FIRST, Site, running

RECORDS = JsonRecords()


@pytest.mark.parametrize("value", ["", "E-…", 3, 0.5, None, True, [1, 2], {"name": "a", "digest": "b"}])
def test_what_steps_return_comes_back(value: object) -> None:
    assert RECORDS.deserialize(RECORDS.serialize(value)) == value


def test_an_error_comes_back_with_what_may_be_told_of_it() -> None:
    found = RECORDS.deserialize(RECORDS.serialize(PermanentError("study 1.2.3: no volume")))
    assert (type(found), str(found)) == (PermanentError, "study 1.2.3: no volume")


def test_a_step_that_was_set_aside_is_told_from_other_errors() -> None:
    assert isinstance(RECORDS.deserialize(RECORDS.serialize(StepSetAsideError("5 times"))), StepSetAsideError)


def test_nothing_of_what_a_library_could_not_read_is_recorded() -> None:
    assert "Muster" not in RECORDS.serialize(ValueError("invalid literal for int(): 'Muster^Erika'"))


def test_what_json_does_not_have_is_refused_and_not_made_into_something_else() -> None:
    with pytest.raises(TypeError):
        RECORDS.serialize(Path("/a"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path) as found:
        yield found


def receive_one(site: Site, written_by: Any) -> str:
    """A study of one image, which is refused; its UID."""
    (image, *_) = written_by("Skyra").series("t2_tse_tra")
    site.receive([image], FIRST)
    return site.uid


def rows(site: Site, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(queue_database(site.folder))) as queue, queue:
        return queue.execute(query, values).fetchall()


def ended(site: Site, study: str) -> bool:
    found = site.index.study(study)
    return found is not None and found.state in (StudyState.REFUSED, StudyState.FAILED, StudyState.COMPLETED)


def test_all_that_an_analysis_leaves_in_the_queue_is_json(site: Site, written_by: Any) -> None:
    study = receive_one(site, written_by)
    site.sweep()
    wait_for(lambda: ended(site, study), "the end of the study", 60)
    runs = rows(site, "SELECT serialization, i.inputs FROM workflow_status JOIN workflow_input i USING (workflow_uuid)")
    steps = rows(site, "SELECT serialization, output FROM operation_outputs")
    assert {serialization for serialization, _ in (*runs, *steps)} == {"json"}
    assert json.loads(runs[0][1]) == {"args": [study, 1], "kwargs": {}}
    assert len([json.loads(output) for _, output in steps if output is not None]) >= 4


class Program:
    """What runs where it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.touched,)


def test_a_record_that_somebody_has_pickled_is_not_loaded_and_others_go_on(site: Site, written_by: Any) -> None:
    site.worker.stop()
    study, touched = receive_one(site, written_by), site.folder / "touched"
    site.sweep()
    pickled = base64.b64encode(pickle.dumps({"args": (Program(touched),), "kwargs": {}})).decode()
    rows(
        site,
        "INSERT INTO workflow_status (workflow_uuid, status, name, executor_id, application_version, queue_name,"
        " priority, inputs, serialization, recovery_attempts, created_at, updated_at)"
        " SELECT ?, status, name, executor_id, application_version, queue_name, 0, ?, 'py_pickle', 0, created_at - 1,"
        " updated_at FROM workflow_status WHERE workflow_uuid = ?",
        workflow_id("1.2.3", 1),
        pickled,
        workflow_id(study, 1),
    )
    site.worker.start()
    wait_for(lambda: ended(site, study), "the end of the study", 60)
    assert not touched.exists()
    pickle.loads(base64.b64decode(pickled))
    assert touched.exists()  # it would have been
