"""Studies fetched by an entry of the configuration: within its hours, again where short, and to an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from node.damage import set_aside
from node.maintenance.mending import Mending
from node.retrieval.route import ByMove
from node.retrieval.schedule import Schedule
from node.retrieval.service import RetrievalService
from node.retrieval.worker import RetrievalWorker, Terms
from node.service import Service, ServiceRole
from node.settings import Method, RetrievalSettings
from storage import reconciliation
from storage.alerts import Alerts
from storage.retrievals import RetrievalState
from tests.parts.processes import wait_for

from .conftest import IMAGES, STUDY, Pacs, Site, an_image, remote


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def from_pacs(site: Callable[..., Site], pacs: Pacs) -> Site:
    return site(remote("pacs", "PACS", pacs.port))


@pytest.fixture
def schedule(from_pacs: Site, clock: Clock) -> Callable[..., Schedule]:
    """An entry for the archive, at a site in Shanghai."""

    def make(**values: object) -> Schedule:
        entry = RetrievalSettings(name="rectum", remote="pacs", first_retry_s=60, **values)
        (pacs,) = from_pacs.settings.remotes
        worker = RetrievalWorker(pacs, 60, ByMove("RECTALNODE"), from_pacs.retrievals, Terms.of(entry), clock)
        return Schedule(entry, worker, from_pacs.retrievals, ZoneInfo("Asia/Shanghai"), clock)

    return make


def test_what_is_new_of_the_last_days_is_fetched_once(schedule, from_pacs, pacs):
    entry = schedule(days=2)
    entry.look()
    entry.look()
    assert from_pacs.here() == IMAGES
    assert from_pacs.record().state is RetrievalState.COMPLETE
    assert pacs.asked == [("STUDY", (STUDY,))]
    assert pacs.found_at == {"20261129-20261130"}


def test_only_what_its_description_names_is_fetched(schedule, from_pacs, pacs):
    schedule(description="prostat").look()
    assert pacs.asked == []
    schedule(description="RECTUM|pelvis").look()
    assert from_pacs.here() == IMAGES


@pytest.mark.parametrize(
    ("hours", "fetches"), [("17:00-19:00", True), ("22:00-05:00", False), ("17:59-05:00", True), ("10:00-11:00", False)]
)
def test_it_is_fetched_in_the_hours_of_the_site(schedule, from_pacs, hours, fetches):
    """It is 18:00 in Shanghai."""
    schedule(hours=hours).look()
    assert bool(from_pacs.here()) == fetches


def test_what_is_short_comes_back_after_waits_that_double_and_an_end_is_said(schedule, from_pacs, pacs, clock, caplog):
    pacs.keeps_back = lambda _level, uid: uid == IMAGES[2]
    entry = schedule(maximum_attempts=3)
    waits = []
    for _ in range(3):
        entry.look()
        record = from_pacs.record()
        waits.append(int((record.next_attempt_at - clock.now).total_seconds()))
        clock.move(seconds=max(waits[-1] - 1, 0))
        before = len(pacs.asked)
        entry.look()
        assert len(pacs.asked) == before
        clock.move(seconds=1)
    assert waits == [60, 120, 0]
    assert (record.state, record.here, record.at_remote, record.attempts) == (RetrievalState.FAILED, 4, 5, 3)
    why = "given up after 3 attempts: PACS lists 5 objects, and sent 0 of the 1 that were not here"
    assert record.reason == why
    assert f"study {STUDY} of pacs: 4 of 5 objects are here: {why}" in caplog.text


def test_too_much_that_is_new_is_refused_and_said(schedule, from_pacs, pacs, caplog):
    pacs.images += [an_image(f"1.2.{study}.1.1") for study in range(3, 6)]
    schedule(maximum_studies=3).look()
    assert pacs.asked == []
    assert "retrieval rectum: more than 3 studies match: nothing is fetched" in caplog.text
    schedule(maximum_studies=4).look()
    assert len(from_pacs.retrievals.records()) == 4
    # What has been fetched does not count.
    pacs.images += [an_image(f"1.2.{study}.1.1") for study in range(6, 9)]
    schedule(maximum_studies=3).look()
    assert len(from_pacs.retrievals.records()) == 7


def test_an_archive_that_is_away_for_long_costs_no_attempt_of_what_is_known(schedule, from_pacs, pacs, clock):
    pacs.keeps_back = lambda _level, uid: uid == IMAGES[2]
    entry, waits = schedule(maximum_attempts=3), []
    entry.look()
    pacs.close()
    for _ in range(8):
        waits.append(int((from_pacs.record().next_attempt_at - clock.now).total_seconds()))
        clock.move(seconds=waits[-1])
        entry.look()
    record = from_pacs.record()
    assert (record.state, record.attempts) == (RetrievalState.QUEUED, 1)
    assert "no connection" in record.reason
    assert waits[1:] == [60, 120, 240, 480, 960, 1920, 3600]


def test_an_archive_that_is_away_costs_no_attempt_of_what_is_not_known(schedule, from_pacs, pacs, caplog):
    entry = schedule()
    pacs.close()
    entry.look()
    assert from_pacs.retrievals.records() == ()
    assert "retrieval rectum: no connection" in caplog.text


def test_the_role_fetches_at_its_start(site, pacs):
    entry = RetrievalSettings(name="rectum", remote="pacs", days=3650, method=Method.MOVE)
    where = site(remote("pacs", "PACS", pacs.port), retrieval=(entry,))
    pacs.images = [an_image(uid, StudyDate=f"{datetime.now(UTC):%Y%m%d}") for uid in IMAGES]
    service = Service(where.settings, frozenset({ServiceRole.RETRIEVAL}))
    service.start()
    try:
        wait_for(lambda: where.here() == IMAGES, "the study is here", 60)
    finally:
        service.stop()


def test_a_stop_ends_a_retrieval_that_hangs_without_an_attempt(site, pacs):
    entry = RetrievalSettings(name="rectum", remote="pacs", days=3650)
    where = site(remote("pacs", "PACS", pacs.port), retrieval=(entry,))
    pacs.holds_at(2)
    service = RetrievalService(where.settings, where.files, where.index)
    service.start()
    assert pacs.held.wait(60)
    service.stop()
    pacs.goes_on.set()
    assert (where.record().state, where.record().attempts) == (RetrievalState.QUEUED, 0)
    assert where.retrievals.due("pacs", datetime.now(UTC)) != ()


@pytest.fixture
def command(from_pacs: Site, pacs: Pacs, tmp_path: Path) -> list[str]:
    """`rectal-node retrieve` as a process of its own."""
    config = tmp_path / "config.toml"
    known = f'[[remotes]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {pacs.port}\nmay_store = true\n'
    listener = f"[listener]\nport = {from_pacs.settings.listener.port}\n"
    config.write_text(f'root = "{from_pacs.settings.root}"\n{listener}{known}')
    return [sys.executable, "-m", "node", "retrieve", "--from", "pacs", "--study", STUDY, "--config", str(config)]


def test_a_command_that_is_killed_goes_on_where_it_was(command, from_pacs, pacs):
    pacs.holds_at(3)
    killed = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert pacs.held.wait(120)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    pacs.goes_on.set()
    wait_for(lambda: pacs.open == 0, "the archive has given up", 60)
    come = from_pacs.here()
    assert 2 <= len(come) < 5
    pacs.asked.clear()
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert from_pacs.here() == IMAGES
    assert {level for level, _ in pacs.asked} <= {"SERIES", "IMAGE"}


def test_a_damaged_object_is_fetched_again_by_its_instance_and_is_whole(schedule, from_pacs, pacs, clock):
    """One byte of a stored object flips: it is asked for, alone, and takes its place again."""
    entry = schedule()
    entry.look()
    pacs.asked.clear()
    (kept, *_) = reconciliation.objects_after(from_pacs.index.engine, 0, 1)
    path = from_pacs.files.absolute(kept.file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert set_aside(from_pacs.files, from_pacs.index, kept).startswith("its data set has SHA-256")
    mending = Mending(from_pacs.files, from_pacs.index, ["pacs"], clock)
    mending.look()
    entry.look()
    assert pacs.asked == [("IMAGE", (kept.header.sop_instance_uid,))]
    assert path.read_bytes().endswith(whole[-2000:])
    mending.look()
    assert Alerts(from_pacs.index.engine).open() == ()
    assert from_pacs.record().state is RetrievalState.COMPLETE
