"""Many may use the files of a study, or one has it alone: across threads and processes, no longer than they live."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.study_locks import StudyLocks

ONE, OTHER = "1.2.3", "1.2.4"  # of two lock files


@pytest.fixture
def locks(tmp_path: Path) -> StudyLocks:
    return StudyLocks(tmp_path)


def is_free(locks: StudyLocks, study: str) -> bool:
    with locks.alone(study) as alone:
        return alone


def test_who_uses_a_study_keeps_it_from_being_had_alone_and_no_other(locks):
    with locks.using([ONE]), locks.using([ONE]):
        assert not is_free(locks, ONE)
        assert is_free(locks, OTHER)
    assert is_free(locks, ONE)


def test_of_several_users_the_last_one_gives_it_free(locks):
    first, second = locks.using([ONE]), locks.using([ONE, OTHER])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not is_free(locks, ONE)
    second.__exit__(None, None, None)
    assert is_free(locks, ONE)


def test_who_comes_while_one_has_it_alone_waits_until_that_is_over(locks):
    used = threading.Event()

    def use() -> None:
        with locks.using([ONE]):
            used.set()

    with locks.alone(ONE) as alone:
        assert alone
        thread = threading.Thread(target=use)
        thread.start()
        assert not used.wait(0.1)
    assert used.wait(5)
    thread.join()


def test_a_process_that_is_killed_holds_nothing_any_more(locks, tmp_path: Path):
    using = f"""
import sys, time
from pathlib import Path
from storage.study_locks import StudyLocks
with StudyLocks(Path({str(tmp_path)!r})).using([{ONE!r}]):
    print("using", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", using], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "using\n"
        assert not is_free(locks, ONE)
        process.kill()
    assert is_free(locks, ONE)
