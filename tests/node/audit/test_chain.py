"""No line of the audit can go, change or move unseen, across files too; a torn one is told as such."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.audit import chain
from node.audit.chain_file import ChainFile
from node.audit.message import message
from node.audit.verification import verify
from storage.audit import Position

from .conftest import REPORTER


@pytest.fixture
def written(files, event):
    """Twelve lines in several files, and the position of the last."""
    position = Position(0)
    files.last(position, lambda _line: True)
    for number in range(1, 13):
        position = files.add([(number, message(event(subject=str(number)), REPORTER))])
    return position


@pytest.fixture
def folder(settings) -> Path:
    return settings.audit_folder


def lines_of(folder: Path) -> list[tuple[Path, bytes]]:
    return [(path, line) for path in chain.files_in(folder).values() for line in path.read_bytes().splitlines(True)]


def write(folder: Path, lines: list[tuple[Path, bytes]]) -> None:
    for path in chain.files_in(folder).values():
        path.write_bytes(b"".join(line for where, line in lines if where == path))


def faults(folder: Path, known: Position) -> list[str]:
    return [f"{it.file}:{it.line}: {it.text}" for it in verify([folder], known).faults]


def test_what_was_written_is_whole_and_lies_in_several_files_that_only_the_owner_reads(written, folder):
    found = verify([folder], written)
    assert (found.lines, found.last_event, found.faults, found.notes) == (12, 12, (), ())
    assert len(found.files) >= 3
    assert {path.stat().st_mode & 0o777 for path in chain.files_in(folder).values()} == {0o600}
    assert all(path.stat().st_size <= 2000 for path in chain.files_in(folder).values())


@pytest.mark.parametrize("gone", range(12))
def test_a_line_that_is_removed_is_noticed_wherever_it_stood(written, folder, gone):
    lines = lines_of(folder)
    write(folder, lines[:gone] + lines[gone + 1 :])
    found = faults(folder, written)
    assert len(found) == 1
    assert "gone" in found[0]
    if 0 < gone < 11:
        assert f"between this one (event {gone + 2}) and the one before (event {gone})" in found[0]


@pytest.mark.parametrize("changed", range(12))
def test_a_line_that_is_changed_is_noticed(written, folder, changed):
    lines = lines_of(folder)
    path, line = lines[changed]
    lines[changed] = path, line.replace(b"olga", b"otto")
    write(folder, lines)
    (found,) = faults(folder, written)
    assert f"event {changed + 1}" in found
    assert "changed" in found


def test_lines_that_changed_places_are_noticed(written, folder):
    lines = lines_of(folder)
    (a, first), (b, second) = lines[4], lines[5]
    lines[4], lines[5] = (a, second), (b, first)
    write(folder, lines)
    assert any("moved" in it for it in faults(folder, written))


def test_a_line_that_is_put_in_is_noticed(written, folder):
    lines = lines_of(folder)
    lines.insert(5, (lines[5][0], b"99 nothing\n"))
    write(folder, lines)
    (found,) = faults(folder, written)
    assert "no line of the chain" in found


def test_a_chain_that_is_made_anew_from_a_changed_line_on_is_noticed_by_what_the_database_knows(written, folder):
    before, forged = chain.NOTHING, []
    for path, line in lines_of(folder):
        text = line.split(b" ", 2)[2].rstrip(b"\n").decode().replace("olga", "otto")
        new = chain.written(int(line.split(b" ")[0]), before, text)
        before = chain.digest_of(new)
        forged.append((path, new + b"\n"))
    write(folder, forged)
    (found,) = faults(folder, written)
    assert "is not as it was written" in found


def test_a_file_that_is_gone_is_noticed_and_found_where_it_was_moved_to(written, folder, tmp_path):
    (tmp_path / "moved").mkdir()
    for number in (1, 2):
        (folder / chain.name_of(number)).rename(tmp_path / "moved" / chain.name_of(number))
    (found,) = faults(folder, written)
    assert "files 1 to 2 are not here" in found
    assert verify([tmp_path / "moved", folder], written).faults == ()


def test_all_files_gone_are_noticed(written, folder):
    for path in chain.files_in(folder).values():
        path.unlink()
    (found,) = faults(folder, written)
    assert "event 12 was written" in found


@pytest.mark.parametrize("left", [1, 20, 80, 200])
def test_a_torn_line_is_told_as_such_and_written_again(written, folder, files, event, left):
    path = list(chain.files_in(folder).values())[-1]
    torn = path.read_bytes()
    whole, last = torn[: torn[:-1].rfind(b"\n") + 1], torn[torn[:-1].rfind(b"\n") + 1 :]
    path.write_bytes(whole + last[:left])
    begun = Position(11, lines_of(folder)[10][1].rstrip(b"\n") and chain.digest_of(lines_of(folder)[10][1][:-1]))
    found = verify([folder], begun)
    assert (found.faults, [it.text for it in found.notes]) == (
        (),
        ["torn while it was written; the next writer writes it again"],
    )
    again = ChainFile(folder, 2000)
    position, damaged = again.last(begun, lambda _line: True)
    assert (position.event, damaged) == (11, False)
    position = again.add([(12, message(event(subject="12"), REPORTER))])
    found = verify([folder], position)
    assert (found.lines, found.faults) == (12, ())
    assert [it.text for it in found.notes] == ["torn while it was written; the line was written again"]


def test_lines_that_are_gone_when_writing_goes_on_stay_told(written, folder, event):
    lines = lines_of(folder)
    write(folder, lines[:-2])
    again = ChainFile(folder, 2000)
    position, damaged = again.last(written, lambda _line: True)
    assert (position, damaged) == (written, True)
    position = again.add([(13, message(event(), REPORTER))])
    (found,) = faults(folder, position)
    assert "between this one (event 13) and the one before (event 10) are gone" in found


def test_a_database_that_was_put_back_is_told_and_loses_nothing(written, folder, event):
    again = ChainFile(folder, 2000)
    position, damaged = again.last(Position(5, "0" * 64), lambda _line: False)
    assert (position.event, position.digest, damaged) == (5, written.digest, False)
    position = again.add([(6, message(event(), REPORTER))])
    found = verify([folder], position)
    assert (found.lines, found.faults) == (13, ())
    assert "the database was put back" in found.notes[0].text


_WRITER = """
import sys
from pathlib import Path
from node.audit.chain_file import ChainFile
from storage.audit import Position
files = ChainFile(Path(sys.argv[1]), 20_000)
number = files.last(Position(0), lambda line: True)[0].event
while True:
    number += 1
    files.add([(number, "<AuditMessage>" + "x" * 3000 + "</AuditMessage>")])
    print(number, flush=True)
"""


def test_a_kill_at_any_time_leaves_a_chain_that_verifies(tmp_path):
    known = 0
    for pause_s in (0.05, 0.11, 0.02, 0.07, 0.13, 0.04):
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
        known = max(known, *(int(it) for it in process.stdout.read().split("\n") if it.isdigit()), 0)
        process.wait()
        found = verify([tmp_path], Position(known))
        assert found.faults == ()
        assert found.last_event >= known > 0


def test_a_line_for_which_the_disk_has_no_room_is_written_once_it_has(folder, event):
    files = ChainFile(folder, 1_000_000)
    files.last(Position(0), lambda _line: True)
    position = files.add([(1, message(event(), REPORTER))])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(folder / chain.name_of(1)).st_size + 50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.add([(2, message(event(), REPORTER))])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert files.last(position, lambda _line: True) == (position, False)
    position = files.add([(2, message(event(), REPORTER))])
    found = verify([folder], position)
    assert (found.lines, found.faults, len(found.notes)) == (2, (), 1)
