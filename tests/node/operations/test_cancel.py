"""A person ends an analysis that is queued or under way."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient

from node.analysis.progress import running_steps, unfinished
from node.analysis.queue import Worklist, queue_engine, queue_url
from node.analysis.records import JsonRecords
from node.errors import NodeError
from node.operations.cancel import cancel
from node.operations.rerun import rerun
from node.settings import SHIPPED, AnalysisSettings
from storage.errors import TransitionError
from storage.records import StudyState

from ..site import FIRST, Site, running


@pytest.fixture
def site(tmp_path: Path, written_by: Callable[[str], Any]) -> Iterator[Site]:
    """A node that has received the axial T2WI of a study and whose worker runs."""
    with running(tmp_path) as site:
        site.receive(written_by("Siemens Skyra").series("t2_tse_tra"), FIRST)
        yield site


@pytest.fixture
def worklist(site: Site) -> Iterator[Worklist]:
    opened = Worklist(queue_url(site.folder))
    yield opened
    opened.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def dbos(site: Site) -> Iterator[DBOSClient]:
    """What DBOS itself says of the queue."""
    engine = queue_engine(queue_url(site.folder))
    client = DBOSClient(system_database_engine=engine, serializer=JsonRecords())
    yield client
    client.destroy()
    engine.dispose()


def _steps_by_dbos(client: DBOSClient) -> dict[str, str]:
    steps = {
        it.workflow_id: client.list_workflow_steps(it.workflow_id) for it in client.list_workflows(status="PENDING")
    }
    return {
        identifier.rpartition(":")[0]: found[-1]["function_name"] if found else ""
        for identifier, found in steps.items()
    }


def _volumes(site: Site) -> list[Path]:
    return list((site.folder / "work").rglob("*.nrrd"))


def test_a_queued_study_is_never_analysed_and_can_be_run_again(site: Site) -> None:
    site.worker.stop()
    site.sweep()
    assert site.index.study(site.uid).state is StudyState.QUEUED
    assert cancel(site.settings, site.uid, "sent by mistake").revision == 1
    site.worker.start()
    assert unfinished(site.folder) == []
    site.sweep()
    study = site.index.study(site.uid)
    assert (study.state, study.reason) == (StudyState.CANCELLED, "sent by mistake")
    assert rerun(site.settings, site.uid, None).revision == 2
    site.sweep()
    assert site.index.study(site.uid).state is StudyState.QUEUED


def test_an_analysis_under_way_ends_without_results(site: Site, worklist: Worklist, dbos: DBOSClient) -> None:
    site.sweep()
    wait_for(lambda: _steps_by_dbos(dbos) == running_steps(site.folder) != {})
    wait_for(lambda: bool(_volumes(site)))
    cancel(site.settings, site.uid)
    wait_for(lambda: worklist.ended([(site.uid, 1)]) and not running_steps(site.folder))
    wait_for(lambda: not _volumes(site))  # after the step that was under way
    study = site.index.study(site.uid)
    assert (study.state, study.reason) == (StudyState.CANCELLED, "cancelled by a person")
    assert site.deliveries.records(site.uid) == ()


def test_an_analysis_that_fails_leaves_no_volumes(tmp_path: Path, written_by: Callable[[str], Any]) -> None:
    broken = shutil.copytree(SHIPPED / "segmentation", tmp_path / "broken")
    next(broken.glob("*.safetensors")).write_bytes(b"no weights")
    with running(tmp_path, AnalysisSettings(segmentation=broken, threads=1)) as site:
        site.receive(written_by("Siemens Skyra").series("t2_tse_tra"), FIRST)
        site.analyse()
        assert site.index.study(site.uid).state is StudyState.FAILED
        wait_for(lambda: not _volumes(site))
        (plan,) = (tmp_path / "work").rglob("plan.json")
        assert "T2WI" in plan.read_text()


def test_asking_again_does_no_harm_and_what_has_ended_is_refused(site: Site) -> None:
    site.worker.stop()
    with pytest.raises(TransitionError, match="is RECEIVING: only an analysis that is queued"):
        cancel(site.settings, site.uid)
    site.sweep()
    assert cancel(site.settings, site.uid, "once") == cancel(site.settings, site.uid, "once")
    rerun(site.settings, site.uid, None)
    site.index.move(site.uid, 2, StudyState.FAILED)
    with pytest.raises(TransitionError, match="is FAILED"):
        cancel(site.settings, site.uid)
    site.worker.start()


def test_a_study_that_is_not_known_is_named(site: Site) -> None:
    with pytest.raises(NodeError, match=r"1\.2\.3: no study of this node"):
        cancel(site.settings, "1.2.3")
