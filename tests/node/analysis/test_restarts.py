"""What ends a process, and what this machine cannot do for a while, ends no analysis: through the real worker."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from node.analysis.progress import queue_database, running_steps
from node.codes import Alert
from storage.alerts import AlertRecord, Alerts
from storage.records import StudyState

from ...parts.processes import wait_for
from ..copies import copied
from ..site import FIRST, Site, running

RESTARTS = 60 if os.environ.get("RECTAL_NODE_LONG") else 6
#: Left on a disk that is full: enough for a row, not for a volume.
SCRAP = 200_000
DISK = 64 * 2**20
WHILE_FULL_S = 3.0

#: Five processes one after another that end with the step that they are in, as native code that crashes ends one.
STEPS_THAT_KILL = """
import os, signal, sys
from node.analysis.runs import Runs
from storage.database import open_engine
for _ in range(5):
    if not os.fork():
        with Runs(open_engine(sys.argv[1])).attempt(sys.argv[2], 1, sys.argv[2] + ":1", sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a file system can fill one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def site(disk: Path) -> Iterator[Site]:
    with running(disk) as found:
        yield found


@pytest.fixture
def receive(site: Site, written_by: Callable[[str], Any]) -> Callable[[], str]:
    """Axial T2 of a study of its own, for each call; gives its UID."""

    def received() -> str:
        images = [copied(image) for image in written_by("Skyra").series("t2_tse_tra")]
        study = generate_uid()
        for image in images:
            image.StudyInstanceUID = study
        site.receive(images, FIRST)
        return study

    return received


def fill(disk: Path) -> None:
    with (disk / "filling").open("ab") as file:
        os.posix_fallocate(file.fileno(), 0, file.tell() + max(0, shutil.disk_usage(disk).free - SCRAP))


def state(site: Site, study: str) -> StudyState:
    found = site.index.study(study)
    assert found is not None
    return found.state


def has_ended(site: Site, study: str) -> bool:
    return state(site, study) is not StudyState.QUEUED


def alerts(site: Site) -> dict[str, AlertRecord]:
    return {it.code: it for it in Alerts(site.index.engine).open()}


def test_restarts_in_order_during_one_analysis_end_in_results(site: Site, receive: Callable[[], str]) -> None:
    """Six made a study FAILED for good once, and each took as long as the step that was under way."""
    study, stops = receive(), []
    site.sweep()
    for _ in range(RESTARTS):
        wait_for(lambda: running_steps(site.folder) or has_ended(site, study), "a step", 60, 0.01)
        begun = time.monotonic()
        assert site.worker.stop()
        stops.append(time.monotonic() - begun)
        site.worker.start()
    assert max(stops) < 10
    wait_for(lambda: has_ended(site, study), "the end of the study", 60, 0.01)
    assert state(site, study) is StudyState.COMPLETED


def test_a_disk_that_is_full_for_a_while_delays_an_analysis_and_does_not_end_it(
    site: Site, receive: Callable[[], str], disk: Path
) -> None:
    study = receive()
    fill(disk)
    site.sweep()
    wait_for(lambda: Alert.DISK_FULL in alerts(site), "the alert", 60, 0.01)
    # Meanwhile the process may end, which gives a part of the disk back that its databases had; when that is taken as
    # well, not even a row can be written.
    site.worker.stop()
    fill(disk)
    site.worker.start()
    time.sleep(WHILE_FULL_S)
    assert state(site, study) is StudyState.QUEUED
    (disk / "filling").unlink()
    wait_for(lambda: has_ended(site, study), "the end of the study", 60, 0.01)
    assert state(site, study) is StudyState.COMPLETED
    wait_for(lambda: Alert.DISK_FULL not in alerts(site), "the end of the alert", 60, 0.01)


def test_what_was_under_way_and_what_waited_at_an_upgrade_is_analysed_by_the_new_release(
    site: Site, receive: Callable[[], str]
) -> None:
    site.worker.stop()
    waiting, begun = receive(), receive()
    site.sweep()
    with closing(sqlite3.connect(queue_database(site.folder))) as queue, queue:
        queue.execute("UPDATE workflow_status SET application_version = 'analysis-5' WHERE status = 'ENQUEUED'")
        of_begun = "UPDATE workflow_status SET status = 'PENDING', executor_id = 'worker-1' WHERE workflow_uuid LIKE ?"
        assert queue.execute(of_begun, (f"{begun}:%",)).rowcount == 1
    site.worker.start()
    wait_for(lambda: has_ended(site, waiting) and has_ended(site, begun), "the end of both studies", 120, 0.01)
    assert (state(site, waiting), state(site, begun)) == (StudyState.COMPLETED, StudyState.COMPLETED)


def test_a_step_that_kills_its_process_again_and_again_is_set_aside_and_the_queue_goes_on(
    site: Site, receive: Callable[[], str]
) -> None:
    fatal = receive()
    command = [sys.executable, "-c", STEPS_THAT_KILL, site.settings.storage_url, fatal, "assemble volumes"]
    subprocess.run(command, check=True)
    harmless = receive()
    site.sweep()
    wait_for(lambda: has_ended(site, fatal) and has_ended(site, harmless), "the end of both studies", 60, 0.01)
    assert (state(site, fatal), state(site, harmless)) == (StudyState.FAILED, StudyState.COMPLETED)
    found = site.index.study(fatal)
    assert found is not None
    assert found.reason.startswith(f"{Alert.STEP_SET_ASIDE}: 'assemble volumes' has ended its process 5 times")
    assert alerts(site)[Alert.STEP_SET_ASIDE].subject == fatal
