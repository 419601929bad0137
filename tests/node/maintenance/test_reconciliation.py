"""Files and rows apart, in both directions: each has an end, what waits is counted, and nothing of worth is removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from node.clock import utc_now
from node.codes import Alert
from node.maintenance.reconciliation import NAME, Reconciliation
from storage import damage, database, reconciliation
from storage.alerts import Alerts
from storage.database import open_engine
from storage.header import read_header
from storage.quarantine_entries import entries
from storage.records import StudyState
from storage.upkeep import Upkeep
from tests.parts.postgresql import emptied
from tests.storage.house import House, a_file, a_result

GRACE = timedelta(hours=2)
ROOT = "1.2.826.0.9."
MADE_HERE = {"Manufacturer": "rectal-node", "SOPInstanceUID": f"{ROOT}7", "SeriesInstanceUID": f"{ROOT}1"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A node with a study of two images."""
    found = House(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), tmp_path, lambda _seconds: utc_now())
    for number in (1, 2):
        found.receive(a_file(number))
    return found


@pytest.fixture
def left(house: House) -> Callable[..., Path]:
    """A file that a kill left without a row, some hours ago."""

    def leave(data: bytes, hours: float = 3) -> Path:
        path = house.files.absolute(house.files.store(data, read_header(data)))
        written_at = time.time() - hours * 3600
        os.utime(path, (written_at, written_at))
        return path

    return leave


def a_round(house: House, **values: object) -> Reconciliation:
    given = {"uid_root": ROOT, "grace": GRACE, "every": timedelta(days=1), "files_per_s": 1e9}
    way = Reconciliation(house.files, house.index, **{**given, **values})  # type: ignore[arg-type]
    way.look()
    return way


def found(engine: Engine) -> dict[str, int]:
    """What the last whole round found beside what it looked at."""
    last = Upkeep(engine).read(NAME)
    assert last is not None
    assert not last.is_under_way
    return {what: count for what, count in last.last_found.items() if what not in ("files", "studies") and count}


def received(house: House, study: str = "1.2.3") -> list[str]:
    return sorted(it.header.sop_instance_uid for it in house.index.instances(study))


def test_what_belongs_together_is_left_alone(house: House) -> None:
    a_round(house)
    assert found(house.engine) == {}
    assert received(house) == ["1.2.3.1.1", "1.2.3.1.2"]


def test_a_received_file_without_a_row_comes_in_by_the_ordinary_registration(house: House, left) -> None:
    left(a_file(3))
    left(a_file(1, study="1.2.4"))
    a_round(house)
    assert found(house.engine) == {"adopted": 2}
    assert received(house) == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]
    study = house.index.study("1.2.4")
    assert (study.state, study.instance_count) == (StudyState.RECEIVING, 1)


def test_within_its_time_of_grace_it_waits_and_is_counted(house: House, left) -> None:
    path = left(a_file(3), hours=1)
    a_round(house)
    assert found(house.engine) == {"waiting": 1}
    assert path.exists()
    assert len(received(house)) == 2


def test_a_result_without_a_row_is_removed(house: House, left) -> None:
    path = left(a_file(1, **MADE_HERE))
    a_round(house)
    assert found(house.engine) == {"removed": 1}
    assert not path.exists()


def test_a_result_of_an_analysis_that_has_not_ended_waits_for_its_row(house: House, left) -> None:
    """Encoded, then the node stood still for days; its analysis goes on with the files that it has written."""
    path = left(a_file(1, **MADE_HERE), hours=72)
    house.index.move("1.2.3", 1, StudyState.QUEUED)
    a_round(house)
    assert found(house.engine) == {"waiting": 1}
    name = path.relative_to(house.files.root)
    result = a_result(house.files, path.read_bytes())
    house.ledger.conclude("1.2.3", 1, StudyState.COMPLETED, "", [result], [], utc_now())
    a_round(house)
    assert found(house.engine) == {}
    assert (house.files.root / name).exists()


def test_a_file_whose_object_has_come_since_is_removed_and_does_not_take_its_place(house: House, left) -> None:
    """The sender repeated it, corrected: the file that nobody acknowledged must not become the latest revision."""
    path = left(a_file(1, Rows=8))
    a_round(house)
    assert not path.exists()
    assert [it.revision for it in house.index.instances("1.2.3")] == [1, 1]


@pytest.mark.parametrize("hours", [(5, 3), (3, 5)])
def test_of_several_contents_of_an_object_the_one_that_was_written_last_is_its_latest(house, left, hours) -> None:
    """In whatever order their names stand; none of them is lost."""
    written = {hour: left(a_file(3, Rows=rows), hour) for rows, hour in zip((8, 9), hours, strict=True)}
    a_round(house)
    assert found(house.engine) == {"adopted": 2}
    (latest,) = (it for it in house.index.instances("1.2.3") if it.header.sop_instance_uid == "1.2.3.1.3")
    assert (latest.revision, house.files.absolute(latest.file)) == (2, written[3])


def test_a_file_is_not_replaced_by_an_object_of_another_series(house: House, left) -> None:
    """Whoever copies a series may keep the SOP Instance UIDs."""
    path = left(a_file(1, series=2, SOPInstanceUID="1.2.3.1.1"))
    a_round(house)
    assert found(house.engine) == {"adopted": 1}
    assert path.exists()


def test_a_file_without_a_row_that_cannot_be_read_goes_to_quarantine(house: House, left) -> None:
    path = left(a_file(3))
    path.write_bytes(path.read_bytes()[:-40])
    os.utime(path, (0, 0))
    a_round(house)
    assert found(house.engine) == {"quarantined": 1}
    with house.engine.connect() as connection:
        (entry,) = entries(connection, ended=False, limit=None)
    assert entry.reason.startswith("left without a row by a kill")
    assert not path.exists()


def test_a_broken_file_of_a_study_that_somebody_uses_is_not_set_aside(house: House, left) -> None:
    """The object may come again at this moment, and its whole file has the name of the broken one."""
    path = left(a_file(3))
    path.write_bytes(path.read_bytes()[:-40])
    os.utime(path, (0, 0))
    with house.files.locks.using(["1.2.3"]):
        a_round(house)
        house.receive(a_file(3))
    assert found(house.engine) == {"waiting": 1}
    assert path.read_bytes() == a_file(3)


def test_bytes_in_quarantine_without_an_entry_get_one(house: House) -> None:
    """A kill between the two."""
    kept = house.files.absolute(house.files.quarantine(b"no DICOM file", "there is no DICM prefix"))
    os.utime(kept, (0, 0))
    a_round(house)
    with house.engine.connect() as connection:
        (entry,) = entries(connection, ended=False, limit=None)
    assert (entry.reason, house.files.absolute(entry.file)) == ("there is no DICM prefix", kept)


def test_a_row_without_its_file_is_on_record_and_an_alert(house: House) -> None:
    (one, _) = house.index.instances("1.2.3")
    house.files.absolute(one.file).unlink()
    a_round(house)
    assert found(house.engine) == {"damaged": 1}
    with house.engine.connect() as connection:
        (entry,) = damage.entries(connection)
    assert (entry.object.header, entry.reason) == (one.header, "the file is gone")
    (alert,) = Alerts(house.engine).open()
    assert (alert.code, alert.subject) == (Alert.OBJECT_DAMAGED, "1.2.3")


def test_what_writers_left_in_the_spool_goes_and_what_is_being_written_stays(house: House) -> None:
    old, new = (house.files.spooled(b"the beginning of an object") for _ in range(2))
    os.utime(old, (0, 0))
    a_round(house)
    assert house.files.leftovers() == [new]


def test_a_file_in_the_spool_that_an_object_lacks_gets_its_name(house: House) -> None:
    """After a power cut this may look before the listener does; the object was acknowledged, and has no other file."""
    named = house.files.absolute(house.index.instances("1.2.3")[0].file)
    lost = house.files.spool / "of-a-writer-that-is-gone.part"
    named.rename(lost)
    os.utime(lost, (0, 0))
    a_round(house)
    assert named.exists()
    assert house.files.leftovers() == []
    assert found(house.engine) == {}


def test_a_round_that_was_interrupted_goes_on_where_it_was(house: House) -> None:
    for number in range(4, 10):
        house.receive(a_file(1, study=f"1.2.{number}"))
    way = Reconciliation(house.files, house.index, ROOT, GRACE, timedelta(days=1), 1e9)
    begun = Upkeep(house.engine).begin(NAME, utc_now())
    for study in way.round(begun):
        if study == "1.2.6":
            way.stop()
    again = Upkeep(house.engine).read(NAME)
    assert (again.position, again.is_under_way) == ("1.2.6", True)
    later = Reconciliation(house.files, house.index, ROOT, GRACE, timedelta(days=1), 1e9)
    assert list(later.round(again)) == ["1.2.7", "1.2.8", "1.2.9"]
    assert Upkeep(house.engine).read(NAME).last_found["studies"] == 7


def test_a_round_begins_at_a_start_and_then_in_its_time(house: House, clock) -> None:
    clock.show(datetime.now(UTC))
    way = a_round(house, clock=clock)
    rounds = [Upkeep(house.engine).read(NAME).rounds]
    for hours in (12, 13):
        clock.move(hours * 3600)
        way.look()
        rounds.append(Upkeep(house.engine).read(NAME).rounds)
    a_round(house, clock=clock)
    assert [*rounds, Upkeep(house.engine).read(NAME).rounds] == [1, 1, 2, 3]


def test_what_the_disk_refuses_is_passed_over_and_told_of_and_the_round_goes_on(house: House, left) -> None:
    loop = house.files.root / "objects" / "1.2.3" / "1.2.3.7"
    loop.symlink_to(loop)
    left(a_file(1, study="1.2.4"))
    no_file = house.files.root / "objects" / "1.2.4" / "1.2.4.1" / "0.dcm"
    no_file.mkdir()
    os.utime(no_file, (0, 0))
    a_round(house)
    assert found(house.engine) == {"adopted": 1, "passed over": 2}
    (alert,) = Alerts(house.engine).open()
    assert alert.code == Alert.DISK_ERROR
    assert "study 1.2.3" in alert.text
    loop.unlink()
    a_round(house)
    assert found(house.engine) == {"passed over": 1}  # it is no fault of the disk that a folder has the name of a file
    assert Alerts(house.engine).open() == ()


def test_a_stop_ends_the_look_through_the_index_and_the_round_goes_on_later(house: House) -> None:
    with database.writing(house.engine).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE large (a TEXT UNIQUE)")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        connection.exec_driver_sql(f"INSERT INTO large {numbers} SELECT hex(i) || hex(randomblob(40)) FROM n")
    way = Reconciliation(house.files, house.index, ROOT, GRACE, timedelta(days=1), 1e9)

    def begins(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "quick_check" in statement:
            way.stop()

    event.listen(house.engine, "before_cursor_execute", begins)
    way.look()
    assert Upkeep(house.engine).read(NAME).is_under_way
    assert Alerts(house.engine).open() == ()
    event.remove(house.engine, "before_cursor_execute", begins)
    a_round(house)
    assert found(house.engine) == {}


def test_a_stop_before_its_last_part_leaves_that_to_the_next_start(house: House) -> None:
    way = Reconciliation(house.files, house.index, ROOT, GRACE, timedelta(days=1), 1e9)
    for _ in way.round(Upkeep(house.engine).begin(NAME, utc_now())):
        way.stop()
    assert Upkeep(house.engine).read(NAME).is_under_way


def test_a_stop_does_not_wait_for_who_uses_a_study(house: House) -> None:
    house.files.absolute(house.index.instances("1.2.3")[0].file).unlink()
    way = Reconciliation(house.files, house.index, ROOT, GRACE, timedelta(days=1), 1e9)
    way.stop()
    begun = time.monotonic()
    with house.files.locks.using(["1.2.3"]):
        assert way.study("1.2.3")["waiting"] == 1
    assert time.monotonic() - begun < 2


def test_it_keeps_to_its_rate(house: House) -> None:
    for number in range(4, 10):
        house.receive(a_file(1, study=f"1.2.{number}"))
    begun = time.monotonic()
    a_round(house, files_per_s=50)
    assert time.monotonic() - begun > 14 / 50


def test_a_file_of_a_study_that_somebody_uses_waits(house: House, left) -> None:
    """The same object may be stored again at this moment, and find its file here."""
    path = left(a_file(1, **MADE_HERE))
    with house.files.locks.using(["1.2.3"]):
        a_round(house)
    assert found(house.engine) == {"waiting": 1}
    assert path.exists()


def test_an_index_that_is_damaged_deep_inside_is_an_alert(house: House, tmp_path: Path) -> None:
    """A start looks at the first pages of a large one."""
    path = tmp_path / "index.sqlite"
    database.close(house.engine)
    with house.engine.connect() as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'association_by_study'"
        page = connection.exec_driver_sql(query).scalar_one()
    database.close(house.engine)
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    a_round(house)
    (alert,) = Alerts(house.engine).open()
    assert alert.code == Alert.DATABASE_DAMAGED
    assert "index.sqlite: the database is damaged" in alert.text


@pytest.mark.parametrize("images", [1, 40])
def test_a_study_is_compared_by_one_question_whatever_it_has(house: House, images: int) -> None:
    for number in range(3, 3 + images):
        house.receive(a_file(number))
    asked: list[str] = []
    event.listen(house.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert reconciliation.compare(house.engine, house.files, "1.2.3").files == 2 + images
    assert len([it for it in asked if it.startswith("SELECT")]) == 1


def test_with_postgresql_what_is_apart_has_the_same_ends(postgresql: str, tmp_path: Path) -> None:
    house = House(open_engine(emptied(postgresql)), tmp_path, lambda _seconds: utc_now())
    for number in (1, 2):
        house.receive(a_file(number))
    for data in (a_file(3), a_file(1, **MADE_HERE)):
        os.utime(house.files.absolute(house.files.store(data, read_header(data))), (0, 0))
    house.files.absolute(house.index.instances("1.2.3")[0].file).unlink()
    a_round(house)
    assert found(house.engine) == {"adopted": 1, "removed": 1, "damaged": 1}
    house.receive(a_file(1))
    with house.engine.connect() as connection:
        assert damage.count(connection) == 0
    house.engine.dispose()
