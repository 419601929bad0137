"""Work in a process of its own: what it gives, what it raises, and how it ends."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from models.errors import ProcessKilledError
from models.interruption import Interrupted, ended_by
from models.processes import apart


@pytest.fixture
def begun(tmp_path) -> Path:
    """A file that `work_for_a_minute` makes, named after its process."""
    return tmp_path / "begun"


def work_for_a_minute(begun: Path) -> None:
    begun.with_suffix(".partial").write_text(str(os.getpid()))
    begun.with_suffix(".partial").rename(begun)
    time.sleep(60)


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_work_is_done_in_another_process():
    assert apart(os.getpid) != os.getpid()


def test_what_it_raises_comes_back_as_it_is():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        apart(partial(os.stat, "/nowhere"))


def test_a_process_that_is_killed_is_told_apart_from_work_that_fails():
    with pytest.raises(ProcessKilledError, match="when memory is short"):
        apart(partial(os._exit, 1))


@pytest.mark.timeout(50)  # less than the work takes
@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_work_under_way_that_nobody_wants_any_more_ends_with_its_process(begun, error):
    def once_begun() -> bool:
        if begun.exists():
            raise error
        return False

    with pytest.raises(error), ended_by(once_begun):
        apart(partial(work_for_a_minute, begun))
    assert is_gone(int(begun.read_text()))


@pytest.mark.timeout(50)
def test_an_interruption_does_not_wait_for_a_process_that_was_killed(begun):
    def killed() -> bool:
        if begun.exists():
            os.kill(int(begun.read_text()), signal.SIGKILL)
        return begun.exists()

    with pytest.raises(Interrupted), ended_by(killed):
        apart(partial(work_for_a_minute, begun))
    assert is_gone(int(begun.read_text()))
