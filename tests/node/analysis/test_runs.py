"""Which ends of a step count against it, and how a run leaves its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select

from models import interruption
from models.errors import ProcessKilledError
from models.interruption import Interrupted
from node.analysis.runs import LIMIT, FileGoneError, PutOff, Runs
from node.errors import StepSetAsideError
from node.failure import Fault
from storage.database import open_engine
from storage.files import ObjectStore
from storage.schema import step_attempt

STEP = ("1.2.3", 1, "1.2.3:1", "segment")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "objects").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def runs(tmp_path: Path, root: Path) -> Runs:
    return Runs(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), ObjectStore(root))


@pytest.fixture
def left(tmp_path: Path) -> Callable[[], int]:
    """How many attempts have not ended in order."""
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")

    def count() -> int:
        with engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(step_attempt)) or 0

    return count


def end_by(runs: Runs, error: BaseException) -> None:
    with runs.run("1.2.3:1"), runs.attempt(*STEP):
        raise error


@pytest.mark.parametrize("error", [ValueError("of the study"), Interrupted(), OSError(28, "No space left on device")])
def test_an_end_that_the_process_survives_counts_nothing(runs, left, error):
    for _ in range(LIMIT + 1):
        with pytest.raises((ValueError, Interrupted, PutOff)):
            end_by(runs, error)
    assert left() == 0


def test_a_process_of_a_step_that_is_killed_counts_as_one_of_the_step(runs, left):
    for number in range(LIMIT):
        assert left() == number
        with pytest.raises(PutOff):
            end_by(runs, ProcessKilledError("killed"))
    with pytest.raises(StepSetAsideError), runs.run("1.2.3:1"), runs.attempt(*STEP):
        raise AssertionError("it is not tried any more")


def test_what_was_counted_before_the_machine_was_switched_off_says_nothing(runs, left, monkeypatch, tmp_path):
    for _ in range(LIMIT):
        with pytest.raises(PutOff):
            end_by(runs, ProcessKilledError("killed"))
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr("node.analysis.runs._BOOT", boot)
    with Runs(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")).attempt(*STEP):
        assert left() == LIMIT + 1


def test_a_run_waits_longer_each_time_until_a_step_is_done(runs):
    full = OSError(28, "No space left on device")
    for wait_s in (1, 2, 4):
        with pytest.raises(PutOff) as put_off:
            end_by(runs, full)
        assert put_off.value.fault is Fault.DISK_FULL
        assert runs._waits["1.2.3:1"].wait_s == wait_s
    assert runs.is_known("1.2.3:1")
    assert runs.due() == []
    runs.goes_on("1.2.3:1")
    assert not runs.is_known("1.2.3:1")


def test_what_is_gone_from_a_root_that_is_there_ends_a_run_and_says_what(runs, root):
    for gone in ("objects/1.2.3/1.2.4/image.dcm", "work/1.2.3/1/plan.json"):
        with pytest.raises(FileGoneError, match=rf"^segment: {gone} is gone: `rectal-node rerun`"):
            read_in_a_step(runs, root / gone)


def test_a_root_that_is_gone_is_waited_for(runs, root):
    root.rename(root.with_name("away"))
    with pytest.raises(PutOff):
        read_in_a_step(runs, root / "work/1.2.3/1/plan.json")
    root.mkdir()  # as where a file system was mounted
    with pytest.raises(PutOff):
        read_in_a_step(runs, root / "work/1.2.3/1/plan.json")


def test_what_is_gone_elsewhere_is_waited_for(runs, root):
    with pytest.raises(PutOff):
        read_in_a_step(runs, root.parent / "models" / "weights")


def read_in_a_step(runs: Runs, path: Path) -> None:
    with runs.run("1.2.3:1"), runs.attempt(*STEP):
        path.read_bytes()


def test_a_stop_waits_for_the_next_safe_point_and_says_what_came_to_none_which_counts_nothing(runs, left):
    stubborn, ready = threading.Event(), threading.Event()

    def run(identifier: str, obeys: bool) -> None:
        step = runs.attempt("1.2.3", int(identifier), identifier, f"step {identifier}")
        with suppress(Interrupted), runs.run(identifier), step:
            ready.set()
            while not stubborn.wait(0.01):
                if obeys:
                    interruption.check()

    threads = [threading.Thread(target=run, args=(name, name == "1"), daemon=True) for name in ("1", "2")]
    for thread in threads:
        ready.clear()
        thread.start()
        assert ready.wait(5)
    assert left() == 2
    assert runs.stop(0.3) == {"2": "step 2"}
    assert left() == 0  # the process may be cut off now
    threads[0].join(1)
    assert not threads[0].is_alive()
    stubborn.set()
    threads[1].join(5)


def test_a_step_that_has_killed_its_process_runs_alone(runs):
    """Else what runs beside it would be taken for the reason as well."""
    with pytest.raises(PutOff):
        end_by(runs, ProcessKilledError("killed"))
    began, done = threading.Event(), threading.Event()

    def suspect() -> None:
        with runs.attempt(*STEP):
            began.set()
        done.set()

    with runs.attempt("1.2.4", 1, "1.2.4:1", "segment"):
        thread = threading.Thread(target=suspect)
        thread.start()
        assert not began.wait(0.2)
    assert done.wait(5)
    thread.join()
