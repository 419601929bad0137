"""Work in a process of its own: what it gives, what it raises, and how it ends."""

import os
import time
from functools import partial

import pytest

from models.errors import ProcessKilledError
from models.interruption import Interrupted, ended_by
from models.processes import apart


def test_work_is_done_in_another_process():
    assert apart(os.getpid) != os.getpid()


def test_what_it_raises_comes_back_as_it_is():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        apart(partial(os.stat, "/nowhere"))


def test_a_process_that_is_killed_is_told_apart_from_work_that_fails():
    with pytest.raises(ProcessKilledError, match="when memory is short"):
        apart(partial(os._exit, 1))


def test_work_that_nobody_wants_any_more_ends_with_its_process():
    begun = time.monotonic()
    with pytest.raises(Interrupted), ended_by(lambda: True):
        apart(partial(time.sleep, 60))
    assert time.monotonic() - begun < 30
