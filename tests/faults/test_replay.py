"""The replay itself: what a program has synced is there after a power cut, what it has not is lost."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .recorder import Operation, Synced, read_trace, recording
from .replay import Loss, Tree

Recorded = Callable[[str], list[Operation]]


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Runs a program whose `root` is a new folder, and gives what it has done there."""

    def run(program: str) -> list[Operation]:
        root = tmp_path / "root"
        root.mkdir()
        call = [*recording(tmp_path / "trace"), sys.executable, "-c", f"root = {str(root)!r}\n{SYNC}{program}"]
        subprocess.run([str(word) for word in call], check=True)
        return read_trace(tmp_path / "trace", root)

    return run


def left(tmp_path: Path, operations: list[Operation], loss: Loss, cut: int | None = None) -> dict[str, bytes]:
    """Files after a cut, by their names."""
    target = tmp_path / f"left-{loss.name}-{cut}"
    end = len(operations) if cut is None else cut
    Tree(tmp_path / "root", operations).leave(target, end, loss, random.Random(1))
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


SYNC = """
import os, sqlite3
def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
"""
WRITE = "file = open(root + '/a', 'wb'); file.write(b'bytes'); file.flush()\n"


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        (WRITE, {}),
        (WRITE + "os.fsync(file.fileno())", {}),
        (WRITE + "sync(root)", {"a": b""}),
        (WRITE + "os.fsync(file.fileno()); sync(root)", {"a": b"bytes"}),
        (WRITE + "os.fsync(file.fileno()); sync(root); file.write(b', more'); file.flush()", {"a": b"bytes"}),
        (WRITE + "os.fsync(file.fileno()); sync(root); os.rename(root + '/a', root + '/b')", {"a": b"bytes"}),
        (WRITE + "os.fsync(file.fileno()); os.rename(root + '/a', root + '/b'); sync(root)", {"b": b"bytes"}),
        (WRITE + "os.fsync(file.fileno()); sync(root); os.unlink(root + '/a')", {"a": b"bytes"}),
        (WRITE + "os.fsync(file.fileno()); os.mkdir(f := root + '/f'); os.rename(root + '/a', f + '/a'); sync(f)", {}),
    ],
    ids=["nothing", "bytes", "name", "both", "more-bytes", "another-name", "another-name-synced", "removed", "folder"],
)
def test_of_what_was_not_synced_nothing_is_left(
    program: str, kept: dict[str, bytes], recorded: Recorded, tmp_path: Path
) -> None:
    assert left(tmp_path, recorded(program), Loss.ALL) == kept


def test_a_kill_leaves_everything(recorded: Recorded, tmp_path: Path) -> None:
    assert left(tmp_path, recorded(WRITE), Loss.NOTHING) == {"a": b"bytes"}


def test_a_sync_covers_what_had_ended_when_it_began(tmp_path: Path) -> None:
    """As strace shows it when a file is written to by one thread while another thread syncs it."""

    def hexadecimal(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    path = hexadecimal(str(tmp_path / "root" / "a"))
    (tmp_path / "trace").write_text(
        f'7 openat(AT_FDCWD<\\x2f>, "{path}", O_RDWR|O_CREAT, 0600) = 3<{path}>\n'
        f"7 clone3({{flags=CLONE_THREAD}}, 88) = 8\n"
        f'7 pwrite64(3<{path}>, "{hexadecimal("1")}", 1, 0) = 1\n'
        f"8 fsync(3<{path}> <unfinished ...>\n"
        f'7 pwrite64(3<{path}>, "{hexadecimal("2")}", 1, 1) = 1\n'
        "8 <... fsync resumed>) = 0\n"
        "7 +++ killed by SIGKILL +++\n"
    )
    operations = read_trace(tmp_path / "trace", tmp_path / "root")
    assert operations[-1] == Synced(str(tmp_path / "root" / "a"), covers=2)


def test_a_committed_row_of_sqlite_survives_every_cut_after_its_commit(recorded: Recorded, tmp_path: Path) -> None:
    """And every database that a cut leaves can be read: an independent program whose promise is known."""
    operations = recorded(
        "database = sqlite3.connect(root + '/i.sqlite', isolation_level=None)\n"
        "database.execute('PRAGMA journal_mode=WAL'); database.execute('PRAGMA synchronous=FULL')\n"
        "database.execute('CREATE TABLE t(a)')\n"
        "for number in range(5):\n"
        "    database.execute('INSERT INTO t VALUES (?)', [number]); open(root + f'/{number}', 'w').close()\n"
        "os._exit(0)\n"
    )
    committed = {number: at for at, each in enumerate(operations) for number in range(5) if f"/{number}'" in repr(each)}
    assert len(committed) == 5
    for cut in range(len(operations)):
        for loss in Loss:
            target = tmp_path / f"{cut}-{loss.name}"
            Tree(tmp_path / "root", operations).leave(target, cut, loss, random.Random(cut))
            rows = _rows(target / "i.sqlite")
            assert rows >= {number for number, at in committed.items() if at < cut}, (cut, loss)


def _rows(path: Path) -> set[int]:
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as database:
        made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchone()
        return {number for (number,) in database.execute("SELECT a FROM t")} if made else set()
