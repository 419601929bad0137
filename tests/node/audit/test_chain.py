"""No line of the audit can go, change or move unseen, across files too; a torn one is told as such."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from node.audit import chain
from node.audit.chain_file import ChainFile, FolderTaken
from node.audit.message import message
from node.audit.verification import verify
from storage.audit_chain import AuditChain, Chained, Position

from .conftest import REPORTER


@pytest.fixture
def record(engine) -> AuditChain:
    return AuditChain(engine)


def add(files: ChainFile, event, *numbers: int) -> Position:
    return files.add(files.lines([(it, message(event(subject=str(it)), REPORTER)) for it in numbers]))


@pytest.fixture
def written(files, event):
    """Twelve lines in several files, and the position of the last."""
    files.find(Chained())
    for number in range(1, 13):
        position = add(files, event, number)
    files.close()
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
    return [f"{it.file}:{it.line}: {it.text}" for it in verify([folder], lambda: Chained(known)).faults]


def test_what_was_written_is_whole_and_lies_in_several_files_that_only_the_owner_reads(written, folder):
    found = verify([folder], lambda: Chained(written))
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
    assert verify([tmp_path / "moved", folder], lambda: Chained(written)).faults == ()


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
    announced = Chained(begun, ((12, written.digest),))
    found = verify([folder], lambda: announced)
    assert (found.faults, [it.text for it in found.notes]) == (
        (),
        ["torn while it was written; the next writer writes it again"],
    )
    again = ChainFile(folder, 2000)
    found_again = again.find(announced)
    assert (found_again.last.event, found_again.fault) == (11, "")
    position = add(again, event, 12)
    found = verify([folder], lambda: Chained(position))
    assert (found.lines, found.faults) == (12, ())
    assert [it.text for it in found.notes] == ["torn while it was written; the line was written again"]


def test_lines_that_are_gone_when_writing_goes_on_stay_told(written, folder, event):
    lines = lines_of(folder)
    write(folder, lines[:-2])
    again = ChainFile(folder, 2000)
    found = again.find(Chained(written))
    assert (found.last, bool(found.fault)) == (written, True)
    position = add(again, event, 13)
    (fault,) = faults(folder, position)
    assert "between this one (event 13) and the one before (event 10) are gone" in fault


def test_a_database_that_was_put_back_is_told_and_loses_nothing(written, folder, event):
    known = chain.read(lines_of(folder)[4][1][:-1])
    put_back = Chained(Position(5, known.digest), is_put_back=True)
    assert verify([folder], lambda: put_back).faults == ()
    again = ChainFile(folder, 2000)
    found = again.find(put_back)
    assert (found.last.event, found.last.digest, found.fault) == (5, written.digest, "")
    position = add(again, event, 6)
    found = verify([folder], lambda: Chained(position, resumed=frozenset(found.resumed)))
    assert (found.lines, found.faults) == (13, ())
    assert "the database was put back" in found.notes[0].text


def test_a_database_that_was_put_back_again_knows_of_both_times(written, folder, event):
    known = chain.read(lines_of(folder)[4][1][:-1])
    for _ in range(2):
        again = ChainFile(folder, 2000)
        found = again.find(Chained(Position(5, known.digest), is_put_back=True))
        position = add(again, event, 6, 7)
        again.close()
    found = verify([folder], lambda: Chained(position, resumed=frozenset(found.resumed)))
    assert (found.lines, found.faults, len(found.notes)) == (16, (), 2)


def test_numbers_that_go_back_though_nothing_was_put_back_are_a_fault(written, folder, event):
    files = ChainFile(folder, 2000)
    files.find(Chained(written))
    position = add(files, event, 6)
    (fault,) = faults(folder, position)
    assert "go back from 12 to 6" in fault


def test_files_of_another_database_are_not_taken_for_those_of_one_that_was_put_back(written, folder):
    found = ChainFile(folder, 2000).find(Chained(Position(5, "0" * 64), is_put_back=True))
    assert "do not hold event 5 as it was written" in found.fault


@pytest.fixture
def forged(written, folder) -> None:
    """An event removed, an account changed, every digest made anew, and a line put at the end, numbered 7000."""
    before, made = chain.NOTHING, []
    for number, (path, line) in enumerate(lines_of(folder), 1):
        if number != 3:
            text = line.split(b" ", 2)[2].rstrip(b"\n").decode().replace("olga", "otto")
            new = chain.written(number, before, text)
            made.append((path, new + b"\n"))
            last, before = path, chain.digest_of(new)
    made.append((last, chain.written(7000, before, text) + b"\n"))
    write(folder, made)


def test_a_chain_that_is_made_anew_and_made_longer_is_noticed(forged, written, folder):
    (fault,) = faults(folder, written)
    assert "event 12 is not as it was written" in fault


def test_who_goes_on_from_a_chain_that_was_made_anew_notices_and_does_not_make_it_good(forged, written, folder, event):
    files = ChainFile(folder, 2000)
    found = files.find(Chained(written))
    assert "event 12" in found.fault
    position = add(files, event, 13)
    assert faults(folder, position)


def test_a_line_that_is_put_behind_the_last_is_noticed(written, folder):
    path, line = lines_of(folder)[-1]
    put_in = chain.written(13, written.digest, line.split(b" ", 2)[2][:-1].decode())
    path.write_bytes(path.read_bytes() + put_in + b"\n")
    (fault,) = faults(folder, written)
    assert "behind event 12 are none that the node has written" in fault
    assert ChainFile(folder, 2000).find(Chained(written)).fault


def test_lines_that_are_added_while_the_files_are_read_are_no_fault(written, folder, event):
    files = ChainFile(folder, 2000)
    files.find(Chained(written))
    known, number = Chained(written), 12

    def ask() -> Chained:
        nonlocal known, number
        asked, number = known, number + 1
        if number < 18:
            known = Chained(add(files, event, number))
        return asked

    found = verify([folder], ask)
    assert (found.faults, found.last_event >= 16) == ((), True)


def test_numbers_of_files_go_on_when_all_were_moved(written, folder, tmp_path, event):
    moved = tmp_path / "moved"
    folder.rename(moved)
    files = ChainFile(folder, 2000)
    files.find(Chained(written))
    position = add(files, event, 13)
    assert [it.name for it in chain.files_in(folder).values()] == [chain.name_of(written.file + 1)]
    assert verify([folder, moved], lambda: Chained(position)).faults == ()


def test_the_file_that_is_written_can_be_moved_and_the_next_has_another_number(folder, tmp_path, event):
    files = ChainFile(folder, 1_000_000)
    files.find(Chained())
    add(files, event, 1)
    (tmp_path / "moved").mkdir()
    (folder / chain.name_of(1)).rename(tmp_path / "moved" / chain.name_of(1))
    position = add(files, event, 2)
    assert [it.name for it in chain.files_in(folder).values()] == [chain.name_of(2)]
    assert verify([tmp_path / "moved", folder], lambda: Chained(position)).faults == ()


def test_two_files_of_one_number_are_a_fault(written, folder, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / chain.name_of(1)).write_bytes((folder / chain.name_of(1)).read_bytes())
    (fault,) = verify([tmp_path / "moved", folder], lambda: Chained(written)).faults
    assert (fault.file, "which of them" in fault.text) == (chain.name_of(1), True)
    assert verify([folder, folder], lambda: Chained(written)).faults == ()


def test_a_folder_that_another_writes_to_is_refused(folder, event):
    one, other = ChainFile(folder, 2000), ChainFile(folder, 2000)
    one.find(Chained())
    with pytest.raises(FolderTaken, match="another node writes its audit there"):
        other.find(Chained())
    one.close()
    assert other.find(Chained()).fault == ""


def test_new_folders_and_files_are_synced_with_those_that_hold_them(tmp_path):
    """As the system calls tell it, of a process whose first write has failed."""
    program = """
import resource, signal, sys
from pathlib import Path
from node.audit.chain_file import ChainFile
from storage.audit_chain import Chained
files = ChainFile(Path(sys.argv[1]), 20_000)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for most in (10, resource.RLIM_INFINITY):
    files.find(Chained())
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        files.add(files.lines([(1, "<AuditMessage>x</AuditMessage>")]))
    except OSError:
        print("refused")
"""
    folder, calls = tmp_path / "a" / "audit", tmp_path / "calls"
    traced = ["strace", "-f", "-y", "-e", "trace=fsync", "-o", str(calls), sys.executable, "-c", program, str(folder)]
    done = subprocess.run(traced, capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    said = calls.read_text()
    for synced in (tmp_path, folder.parent, folder):
        assert f"<{synced}>) " in said


_WRITER = """
import sys
from pathlib import Path
from node.audit.chain_file import ChainFile
from storage.audit_chain import AuditChain
from storage.database import open_engine
record = AuditChain(open_engine(sys.argv[2]))
files = ChainFile(Path(sys.argv[1]), 20_000)
found = files.find(record.state())
assert not found.fault, found
number = found.last.event
while True:
    number += 1
    lines = files.lines([(number + it, "<AuditMessage>" + "x" * 1500 + "</AuditMessage>") for it in range(3)])
    record.begin(files.last, [(it.event, it.digest) for it in lines])
    files.add(lines)
    number += 2
    print(number, flush=True)
"""


def test_a_kill_at_any_time_leaves_a_chain_that_verifies(tmp_path, engine, record):
    folder, url = tmp_path / "audit", str(engine.url)
    for pause_s in (0.05, 0.11, 0.02, 0.07, 0.13, 0.04):
        command = [sys.executable, "-c", _WRITER, str(folder), url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
        known = max((int(it) for it in process.stdout.read().split("\n") if it.isdigit()), default=1)
        process.wait()
        found = verify([folder], record.state)
        assert found.faults == ()
        assert found.last_event >= known > 0


def test_a_folder_that_gets_files_while_it_is_read_lacks_none_before_its_last(tmp_path):
    ended = threading.Event()

    def begin_files() -> None:
        for number in range(1, 6001):
            (tmp_path / chain.name_of(number)).touch()
        ended.set()

    thread = threading.Thread(target=begin_files)
    thread.start()
    while not ended.is_set():
        found = chain.files_in(tmp_path)
        assert list(found) == list(range(1, len(found) + 1))
    thread.join()
    assert len(chain.files_in(tmp_path)) == 6000


def test_a_line_for_which_the_disk_has_no_room_is_written_once_it_has(folder, event):
    files = ChainFile(folder, 1_000_000)
    files.find(Chained())
    position = add(files, event, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(folder / chain.name_of(1)).st_size + 50, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            add(files, event, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    found = files.find(Chained(position))
    assert (found.last, found.fault) == (position, "")
    position = add(files, event, 2)
    found = verify([folder], lambda: Chained(position))
    assert (found.lines, found.faults, len(found.notes)) == (2, (), 1)


def test_a_file_that_is_a_link_is_not_written_through(folder, tmp_path, event):
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("kept")
    (folder / chain.name_of(1)).symlink_to(tmp_path / "elsewhere")
    files = ChainFile(folder, 2000)
    files.find(Chained())
    with pytest.raises(OSError, match="symbolic links"):
        add(files, event, 1)
    assert (tmp_path / "elsewhere").read_text() == "kept"
