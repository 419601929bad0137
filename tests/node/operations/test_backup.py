"""A node is backed up while it runs and put back elsewhere: whole, once, and saying what may happen twice."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, select, text

from node.analysis.intake import Intake
from node.analysis.progress import Run, runs, unfinished
from node.analysis.queue import Worklist, queue_url
from node.audit.chain_file import ChainFile
from node.clock import utc_now
from node.errors import NodeError
from node.operations.backup import BackedUp, Keep, back_up
from node.operations.restore import Restored, restore
from node.settings import Settings
from storage import schema
from storage.audit import Audit, AuditAction, AuditEvent
from storage.audit_chain import AuditChain
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, StudyState
from storage.root import IDENTITY, RootError, open_root
from storage.site_secret import NAME as SITE_SECRET
from storage.site_secret import SiteSecret
from tests.parts.postgresql import emptied
from tests.storage.house import House, a_file

STUDIES = ("1.2.3", "1.2.4", "1.2.5")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path / "root")


def filled(settings: Settings) -> House:
    """A node with three studies, a result with deliveries, something in quarantine, and what an analysis has left."""
    engine, _ = open_root(settings.root, settings.storage_url)
    house = House(engine, settings.root, lambda _seconds: utc_now())
    for study in STUDIES:
        for number in (1, 2):
            house.receive(a_file(number, study=study))
    house.make(a_file(7, study="1.2.3", SeriesInstanceUID="1.9"))
    house.index.move("1.2.3", 1, StudyState.QUEUED)
    house.ledger.conclude("1.2.3", 1, StudyState.COMPLETED, "", house.ledger.all_results("1.2.3"), ["pacs"], utc_now())
    house.index.keep_quarantine(house.files.quarantine(b"no DICOM", "no prefix"), "no prefix", "SCANNER", utc_now())
    SiteSecret(settings.root).digest("P1")
    left = settings.root / "work" / "1.2.3" / "1"
    (left / "results").mkdir(parents=True)
    for name in ("plan.json", "results.json", "T2WI.super.nrrd", "results/1.dcm"):
        (left / name).write_text("{}")
    return house


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    found = filled(settings)
    yield found
    found.engine.dispose()


@pytest.fixture
def backup(house: House, settings: Settings, tmp_path: Path) -> BackedUp:
    return back_up(settings, tmp_path / "backup")


@pytest.fixture
def put_back(backup: BackedUp, tmp_path: Path) -> Callable[..., Restored]:
    return lambda **values: restore(backup.path, values.pop("root", tmp_path / "other"), **values)


def rows(url: str) -> dict[str, list[str]]:
    """Everything in a database but what a restore changes."""
    engine = create_engine(url)
    found = {}
    for table in ("dicom_object", "study", "result", "quarantine", "revision_object", "root_identity"):
        with engine.connect() as connection:
            found[table] = sorted(map(repr, connection.execute(text(f"SELECT * FROM {table}"))))
    engine.dispose()
    return found


def files(root: Path) -> dict[str, bytes]:
    kept = [path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] in KEPT]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


KEPT = ("objects", "quarantine", "work", IDENTITY, SITE_SECRET)


def test_what_was_backed_up_is_there_again_on_another_root(house, settings, put_back, tmp_path):
    done = put_back()
    assert (done.faults, done.studies_under_way) == ({}, 2)
    other = Settings(root=tmp_path / "other")
    volumes = {path for path in files(settings.root) if path.endswith(".nrrd") or "/results/" in path}
    assert files(other.root) == {path: data for path, data in files(settings.root).items() if path not in volumes}
    assert len(volumes) == 2
    assert rows(other.storage_url) == rows(settings.storage_url)
    engine, _ = open_root(other.root, other.storage_url)  # a node starts on it
    engine.dispose()


def test_numbers_of_the_audit_may_go_back_after_a_restore_and_at_no_other_time(house, settings, put_back, tmp_path):
    audit, record = Audit(house.engine), AuditChain(house.engine)
    audit.add(AuditEvent(utc_now(), AuditAction.LOOKED, True, "olga"))
    files = ChainFile(settings.audit_folder, 2000)
    files.find(record.state())
    lines = files.lines([(number, f"<AuditMessage>{number}</AuditMessage>") for number in (1, 2)])
    record.keep(files.add(lines))
    files.close()
    put_back()
    other = Settings(root=tmp_path / "other")
    engine = open_engine(other.storage_url)
    assert AuditChain(engine).state().is_put_back
    shutil.copytree(settings.audit_folder, other.audit_folder)
    found = ChainFile(other.audit_folder, 2000).find(AuditChain(engine).state())
    assert (found.fault, len(found.resumed)) == ("", 1)
    AuditChain(engine).keep(found.last, found.resumed)
    assert not AuditChain(engine).state().is_put_back
    engine.dispose()


def test_a_backup_of_a_database_that_takes_nothing_is_told_and_says_that_it_is_not_on_record(
    command, house, settings, tmp_path
):
    config = tmp_path / "node.toml"
    config.write_text('root = "root"\n')
    with house.engine.begin() as connection:
        refusing = "CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END"
        connection.execute(text(refusing))
    done = command("backup", str(tmp_path / "backup"), "--config", str(config))
    said = " ".join(done.stdout.split())
    assert (done.returncode, "of them new" in said, "is not on record" in said) == (0, True, True)


def test_times_of_writing_are_kept_which_a_reindex_needs(house, settings, put_back, tmp_path):
    put_back()
    for path in (settings.root / "objects").rglob("*.dcm"):
        other = tmp_path / "other" / path.relative_to(settings.root)
        assert other.stat().st_mtime_ns == path.stat().st_mtime_ns


def test_again_onto_the_same_path_only_what_is_new_is_copied_and_what_is_gone_goes(house, settings, backup):
    copies = backup.path / "root"
    inodes = {path: path.stat().st_ino for path in copies.rglob("*.dcm")}
    house.receive(a_file(9, study="1.2.5"))
    (settings.root / "work" / "1.2.3" / "1" / "plan.json").unlink()
    again = back_up(settings, backup.path)
    assert (again.added, again.files) == (1, backup.files)
    assert {path: path.stat().st_ino for path in inodes} == inodes
    assert not (copies / "work" / "1.2.3" / "1" / "plan.json").exists()
    assert len(list(backup.path.glob("index-*"))) == len(list(backup.path.glob("files-*"))) == 1


def killed(items: Iterable[object], _total: int) -> Iterator[object]:
    """Is interrupted after four of them."""
    for number, item in enumerate(items):
        yield item
        if number == 3:
            raise KeyboardInterrupt


def test_a_backup_that_is_interrupted_leaves_the_one_before_as_it_was_and_goes_on(house, settings, backup, tmp_path):
    house.receive(a_file(9, study="1.2.5"))
    with pytest.raises(KeyboardInterrupt):
        back_up(settings, backup.path, watch=killed)
    assert restore(backup.path, tmp_path / "before").files == backup.files
    back_up(settings, backup.path)
    assert restore(backup.path, tmp_path / "after").files == backup.files + 1
    assert len(list(backup.path.glob("index-*"))) == 1


def test_a_restore_that_is_interrupted_goes_on_and_no_node_starts_meanwhile(put_back, backup, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        put_back(watch=killed)
    other = Settings(root=tmp_path / "other")
    with pytest.raises(RootError, match="did not come to its end"):
        open_root(other.root, other.storage_url)
    open_engine(other.storage_url)  # a command that only looks
    assert put_back().files == backup.files
    open_root(other.root, other.storage_url)[0].dispose()


def test_a_root_that_is_not_empty_is_refused(house, settings, put_back, tmp_path):
    before = files(settings.root)
    with pytest.raises(NodeError, match="is not empty"):
        put_back(root=settings.root)
    assert files(settings.root) == before
    (tmp_path / "empty").mkdir()
    assert put_back(root=tmp_path / "empty").faults == {}


def test_an_object_that_is_damaged_in_the_root_is_named_and_not_backed_up_as_if_it_were_whole(
    house, settings, tmp_path
):
    one, other = (house.index.instances(study)[0].file for study in ("1.2.4", "1.2.5"))
    path = house.files.absolute(one)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    house.files.absolute(other).unlink()
    done = back_up(settings, tmp_path / "backup")
    assert done.faults == {
        one.path.as_posix(): "its bytes are not those that were stored",
        other.path.as_posix(): "the file is gone",
    }
    assert not (done.path / "root" / one.path).exists()


def test_a_file_that_is_damaged_in_the_backup_is_named(house, backup, put_back, tmp_path):
    name = house.index.instances("1.2.4")[0].file.path
    path = backup.path / "root" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    done = put_back()
    assert done.faults == {name.as_posix(): "its bytes are not those that were backed up"}
    assert not (tmp_path / "other" / name).exists()


@pytest.mark.parametrize("pattern", ["index-*", "files-*"])
def test_a_backup_whose_index_or_list_is_damaged_is_refused(backup, put_back, pattern, tmp_path):
    (part,) = backup.path.glob(pattern)
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(NodeError, match="is not what was backed up"):
        put_back()
    assert not (tmp_path / "other").exists()


def test_what_was_open_is_sent_and_says_that_it_may_have_been_sent_before(put_back, tmp_path):
    assert (put_back().open_deliveries, put_back(root=tmp_path / "held", hold=True).open_deliveries) == (1, 1)
    found = {}
    for name in ("other", "held"):
        engine = open_engine(Settings(root=tmp_path / name).storage_url)
        (found[name],) = Deliveries(engine).records("1.2.3")
        engine.dispose()
    assert found["other"].state is DeliveryState.QUEUED
    assert found["other"].reason.startswith("from the backup of 2")
    assert found["other"].reason.endswith("it may have been sent since")
    assert found["held"].state is DeliveryState.UNKNOWN


def test_what_was_sent_before_the_backup_is_not_sent_again(house, settings, tmp_path):
    (open_then,) = Deliveries(house.engine).records("1.2.3")
    Deliveries(house.engine).stored({open_then.identifier: ""}, utc_now())
    done = restore(back_up(settings, tmp_path / "backup").path, tmp_path / "other")
    assert done.open_deliveries == 0
    engine = open_engine(Settings(root=tmp_path / "other").storage_url)
    assert not Deliveries(engine).is_due("pacs", utc_now())
    engine.dispose()


def test_what_waits_is_analysed_from_the_beginning_and_what_has_ended_is_not(house, settings, empty_queue, tmp_path):
    shutil.copy(empty_queue, settings.root)
    house.index.move("1.2.4", 1, StudyState.QUEUED)
    worklist = Worklist(queue_url(settings.root))
    for study in ("1.2.3", "1.2.4"):
        worklist.submit(study, 1)
    worklist.close()
    restore(back_up(settings, tmp_path / "backup").path, tmp_path / "other")
    other = Settings(root=tmp_path / "other")
    assert unfinished(other.root) == []
    engine, worklist = open_engine(other.storage_url), Worklist(queue_url(other.root))
    Intake(Index(engine), worklist).look()
    assert [it for part in runs(other.root, 10) for it in part] == [("1.2.4", 1, Run.ENQUEUED)]
    worklist.close()
    engine.dispose()


def test_hard_links_take_no_room_and_are_restored_as_copies(house, settings, tmp_path):
    linked = back_up(settings, tmp_path / "backup", Keep.LINKS)
    name = house.index.instances("1.2.4")[0].file.path
    assert (linked.path / "root" / name).stat().st_ino == (settings.root / name).stat().st_ino
    assert restore(linked.path, tmp_path / "other").files == linked.files
    assert (tmp_path / "other" / name).stat().st_ino != (settings.root / name).stat().st_ino


def test_the_list_alone_is_restored_with_the_files_of_another_backup(house, settings, tmp_path):
    listed = back_up(settings, tmp_path / "backup", Keep.LIST)
    assert not (listed.path / "root").exists()
    with pytest.raises(NodeError, match="say where they are by --files"):
        restore(listed.path, tmp_path / "other")
    shutil.copytree(settings.root, tmp_path / "of the file system")
    assert restore(listed.path, tmp_path / "other", files_from=tmp_path / "of the file system").faults == {}
    assert files(tmp_path / "other").keys() >= {it.file.path.as_posix() for it in house.index.instances("1.2.4")}


def test_a_backup_while_objects_come_has_a_file_for_each_row(house, settings, tmp_path):
    """And nobody who stores waits for it."""
    over, stored = threading.Event(), []

    def receive() -> None:
        number = 100
        while not over.is_set():
            house.receive(a_file(number, study="1.2.6"))
            stored.append(number)
            number += 1

    receiving = threading.Thread(target=receive)
    receiving.start()
    try:
        for _ in range(3):
            before = len(stored)
            done = back_up(settings, tmp_path / "backup")
            assert done.faults == {}
    finally:
        over.set()
        receiving.join()
    assert len(stored) > before
    assert restore(tmp_path / "backup", tmp_path / "other").faults == {}
    engine = open_engine(Settings(root=tmp_path / "other").storage_url)
    with engine.connect() as connection:
        paths = list(connection.scalars(select(schema.dicom_object.c.path)))
    assert [path for path in paths if not (tmp_path / "other" / path).is_file()] == []
    assert len(Index(engine).instances("1.2.6")) >= before - 1
    engine.dispose()


def test_a_folder_that_holds_something_else_and_the_root_itself_are_no_place_for_a_backup(house, settings, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    for target in (tmp_path / "other", settings.root, settings.root / "backup", tmp_path):
        with pytest.raises(NodeError, match=r"holds something else|neither in the root nor above it"):
            back_up(settings, target)
    assert not (settings.root / "backup").exists()


def test_a_damaged_index_is_not_backed_up_over_a_whole_one(house, settings, backup, tmp_path):
    house.engine.dispose()
    path = settings.root / "index.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(reversed(range(256))) * 64 + data[4096 + 16384 :])
    with pytest.raises(NodeError, match=r"not backed up: .*the database is damaged"):
        back_up(settings, backup.path)
    assert restore(backup.path, tmp_path / "other").files == backup.files


def test_postgresql_is_dumped_and_restored_into_an_empty_database(postgresql, tmp_path):
    settings = Settings(root=tmp_path / "root", database_url=emptied(postgresql))
    house = filled(settings)
    before = rows(settings.storage_url)
    done = back_up(settings, tmp_path / "backup")
    with pytest.raises(NodeError, match="is not empty: restore into a database that is"):
        restore(done.path, tmp_path / "refused", settings.database_url)
    with pytest.raises(NodeError, match="give a configuration with its database_url"):
        restore(done.path, tmp_path / "other")
    house.engine.dispose()
    restored = restore(done.path, tmp_path / "other", emptied(postgresql))
    assert (restored.files, restored.faults) == (done.files, {})
    assert rows(settings.storage_url) == before
    engine, _ = open_root(tmp_path / "other", settings.database_url)
    engine.dispose()


def test_without_pg_dump_it_says_what_to_install(postgresql, tmp_path, monkeypatch):
    settings = Settings(root=tmp_path / "root", database_url=emptied(postgresql))
    open_root(settings.root, settings.storage_url)[0].dispose()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeError, match="pg_dump is not installed: install postgresql-client"):
        back_up(settings, tmp_path / "backup")


def test_the_commands_say_what_was_done_and_end_with_1_where_something_lacks(command, house, settings, tmp_path):
    config = tmp_path / "node.toml"
    config.write_text('root = "root"\n')
    done = command("backup", str(tmp_path / "backup"), "--config", str(config))
    assert (done.returncode, "of them new" in " ".join(done.stdout.split())) == (0, True)
    (tmp_path / "backup" / "root" / house.index.instances("1.2.4")[0].file.path).unlink()
    call = ("restore", str(tmp_path / "backup"), "--config", str(config), "--root", str(tmp_path / "other"))
    restored = command(*call)
    said = " ".join(restored.stdout.split())
    assert restored.returncode == 1
    assert "1 deliveries were open and are made now: those made since are made again" in said
    assert "it is not in the backup" in said
    refused = command(*call)
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)


def test_the_answer_as_json(command, house, tmp_path):
    (tmp_path / "node.toml").write_text('root = "root"\n')
    done = command("backup", str(tmp_path / "backup"), "--config", str(tmp_path / "node.toml"), "--json")
    assert json.loads(done.stdout)["faults"] == {}


def test_a_result_that_a_study_under_way_had_made_is_made_again(house, settings, tmp_path):
    """It lies in the store before its row comes: it is in no backup, and its analysis begins anew."""
    house.index.move("1.2.4", 1, StudyState.QUEUED)
    extra = a_file(8, study="1.2.4", SeriesInstanceUID="1.8")
    from storage.header import read_header

    stored = house.files.store(extra, read_header(extra))
    restore(back_up(settings, tmp_path / "backup").path, tmp_path / "other")
    assert not (tmp_path / "other" / stored.path).exists()
    engine = open_engine(Settings(root=tmp_path / "other").storage_url)
    assert Index(engine).study("1.2.4").state is StudyState.QUEUED
    assert Ledger(engine).all_results("1.2.4") == ()
    engine.dispose()


def test_associations_of_then_hold_nothing(house, settings, tmp_path):
    with house.engine.begin() as connection:
        connection.execute(
            insert(schema.association).values(identifier="a", study_instance_uid="1.2.4", open_until=utc_now())
        )
    restore(back_up(settings, tmp_path / "backup").path, tmp_path / "other")
    engine = open_engine(Settings(root=tmp_path / "other").storage_url)
    assert Index(engine).open_associations(utc_now().replace(year=2000)) == {}
    engine.dispose()
