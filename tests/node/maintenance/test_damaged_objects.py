"""One byte of a stored object flipped: it is found, shown and told of, fetched or sent again, and the study goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.analysis.verification import require_whole
from node.clock import utc_now
from node.codes import Alert
from node.damage import set_aside
from node.errors import NodeError, PermanentError
from node.maintenance.mending import Mending
from node.maintenance.scrub import NAME, Scrub
from node.operations.quarantine import release
from node.settings import Settings
from storage import damage, reconciliation
from storage.alerts import Alerts
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import content_of
from storage.index import Index
from storage.ledger import Ledger
from storage.outstanding import quarantined
from storage.quarantine_entries import entries
from storage.records import ObjectOrigin, StudyState
from storage.retrievals import Retrievals, RetrievalState
from storage.upkeep import Upkeep
from tests.node.site import FIRST, running
from tests.storage.house import House, a_file, a_result

STUDY = "1.2.3"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A node with a study of three images."""
    found = House(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"), tmp_path, lambda _seconds: utc_now())
    for number in (1, 2, 3):
        found.receive(a_file(number))
    yield found
    found.engine.dispose()


def path_of(house: House, number: int) -> Path:
    return house.files.absolute(house.index.instances(STUDY)[number - 1].file)


def flip(path: Path, at: int = -20) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def scrubbed(house: House) -> dict[str, int]:
    """What a whole round finds."""
    list(Scrub(house.files, house.index, timedelta(days=30), 1e9).round(Upkeep(house.engine).begin(NAME, utc_now())))
    last = Upkeep(house.engine).read(NAME)
    assert last is not None
    assert not last.is_under_way
    return dict(last.last_found)


def reasons(house: House) -> list[str]:
    with house.engine.connect() as connection:
        return [it.reason for it in damage.entries(connection)]


def fail_for_damage(house: House) -> str:
    """The study as its analysis leaves it that meets a damaged object."""
    house.index.move(STUDY, 1, StudyState.QUEUED)
    with pytest.raises(PermanentError) as refused:
        require_whole(house.files, house.index, house.index.pinned(STUDY, 1))
    house.index.move(STUDY, 1, StudyState.FAILED, str(refused.value))
    return str(refused.value)


def test_a_whole_store_is_found_whole(house: House) -> None:
    found = scrubbed(house)
    assert (found["objects"], found.get("damaged", 0)) == (3, 0)
    assert found["bytes"] == sum(it.file.size for it in house.index.instances(STUDY))


@pytest.mark.parametrize("at", [-1, -20, 400])
def test_a_flipped_byte_is_found_quarantined_and_told_of(house: House, at: int) -> None:
    path = path_of(house, 2)
    flip(path, at)
    flipped = path.read_bytes()
    assert scrubbed(house)["damaged"] == 1
    assert not path.exists()
    with house.engine.connect() as connection:
        (entry,) = entries(connection, ended=False, limit=None)
    assert house.files.absolute(entry.file).read_bytes() == flipped
    assert entry.reason.startswith("object 1.2.3.1.2 of study 1.2.3 was damaged here: its data set has SHA-256")
    (alert,) = Alerts(house.engine).open()
    assert (alert.code, alert.subject) == (Alert.OBJECT_DAMAGED, STUDY)
    assert len(reasons(house)) == 1


def test_found_again_and_again_it_is_one_alert_and_one_entry(house: House) -> None:
    flip(path_of(house, 2))
    scrubbed(house)
    assert scrubbed(house)["damaged"] == 1
    assert len(reasons(house)) == 1
    assert len(Alerts(house.engine).open()) == 1


def test_a_file_that_was_cut_short_and_one_that_is_gone_are_found(house: House) -> None:
    path_of(house, 1).write_bytes(path_of(house, 1).read_bytes()[:-8])
    path_of(house, 3).unlink()
    assert scrubbed(house)["damaged"] == 2
    size = house.index.instances(STUDY)[0].file.size
    assert sorted(reasons(house)) == [f"it has {size - 8} bytes and not {size}", "the file is gone"]


def test_of_a_root_that_is_away_no_object_is_taken_for_gone(house: House) -> None:
    """As where its file system is not mounted, and the database is elsewhere."""
    objects = house.files.root / "objects"
    objects.rename(house.files.root / "away")
    assert scrubbed(house) == {"passed over": 3}
    house.index.move(STUDY, 1, StudyState.QUEUED)
    with pytest.raises(FileNotFoundError):
        require_whole(house.files, house.index, house.index.pinned(STUDY, 1))
    assert reasons(house) == []
    (house.files.root / "away").rename(objects)
    assert scrubbed(house)["objects"] == 3


def test_the_object_sent_again_is_whole_again_and_the_alert_ends(house: House) -> None:
    flip(path_of(house, 2))
    scrubbed(house)
    house.receive(a_file(2))
    assert content_of(path_of(house, 2)).digest == house.index.instances(STUDY)[1].file.digest
    assert reasons(house) == []
    Mending(house.files, house.index, []).look()
    assert Alerts(house.engine).open() == ()
    assert house.index.study(STUDY).revision == 1


def test_an_analysis_does_not_use_a_damaged_instance_and_says_so_by_a_code(house: House) -> None:
    flip(path_of(house, 2))
    why = fail_for_damage(house)
    assert why.startswith("E-OBJECT-DAMAGED: 1 of 3 objects are damaged or gone, such as 1.2.3.1.2")
    assert len(Alerts(house.engine).open()) == 1
    assert not path_of(house, 2).exists()


def test_an_analysis_of_whole_instances_goes_on(house: House) -> None:
    house.index.move(STUDY, 1, StudyState.QUEUED)
    require_whole(house.files, house.index, house.index.pinned(STUDY, 1))
    assert reasons(house) == []


def test_a_study_that_failed_for_damage_is_begun_anew_when_all_is_whole(house: House) -> None:
    for number in (1, 2):
        flip(path_of(house, number))
    fail_for_damage(house)
    mending = Mending(house.files, house.index, [])
    house.receive(a_file(1))
    mending.look()
    assert house.index.study(STUDY).state is StudyState.FAILED
    house.receive(a_file(2))
    mending.look()
    study = house.index.study(STUDY)
    assert (study.state, study.revision) == (StudyState.RECEIVING, 2)


def test_a_study_that_failed_for_something_else_stays(house: House) -> None:
    house.index.move(STUDY, 1, StudyState.QUEUED)
    house.index.move(STUDY, 1, StudyState.FAILED, "ValueError at steps.py:7")
    Mending(house.files, house.index, []).look()
    assert house.index.study(STUDY).revision == 1


def test_a_file_that_is_put_back_by_hand_is_seen(house: House) -> None:
    path = path_of(house, 2)
    data = path.read_bytes()
    path.unlink()
    scrubbed(house)
    assert reasons(house) == ["the file is gone"]
    path.write_bytes(data)
    Mending(house.files, house.index, []).look()
    assert reasons(house) == []


def test_a_damaged_revision_that_a_later_one_replaces_is_no_matter_any_more(house: House) -> None:
    flip(path_of(house, 2))
    scrubbed(house)
    house.receive(a_file(2, Rows=8))
    Mending(house.files, house.index, []).look()
    assert (reasons(house), Alerts(house.engine).open()) == ([], ())
    scrubbed(house)
    assert (reasons(house), Alerts(house.engine).open()) == ([], ())


def test_one_remote_after_the_other_is_asked_for_it(house: House) -> None:
    flip(path_of(house, 2))
    scrubbed(house)
    mending, retrievals = Mending(house.files, house.index, ["pacs", "archive", "pacs"]), Retrievals(house.engine)
    for _ in range(3):
        mending.look()
        assert {it.remote: it.state for it in retrievals.records()} == {"pacs": RetrievalState.QUEUED}
    assert retrievals.here(STUDY) == {"1.2.3.1": frozenset({"1.2.3.1.1", "1.2.3.1.3"})}
    _give_up(retrievals)
    mending.look()
    assert {it.remote: it.state for it in retrievals.records()} == {
        "pacs": RetrievalState.FAILED,
        "archive": RetrievalState.QUEUED,
    }
    _give_up(retrievals)
    mending.look()
    assert {it.state for it in retrievals.records()} == {RetrievalState.FAILED}


def _give_up(retrievals: Retrievals) -> None:
    from storage.retrievals import Attempt

    for it in retrievals.records(states=[RetrievalState.QUEUED]):
        retrievals.settle(it.identifier, Attempt(0, 0, "it has no such study"), utc_now())


def test_a_damaged_result_gets_the_file_that_a_rerun_makes(house: House) -> None:
    ledger, first = Ledger(house.engine), a_result(house.files, a_file(9))
    ledger.record([first], ["pacs"], utc_now())
    ledger.record([a_result(house.files, a_file(9, Rows=12))], ["pacs"], utc_now())
    assert ledger.all_results(STUDY)[0].file == first.file  # what was made first stays, as long as it is whole
    flip(house.files.absolute(first.file))
    assert scrubbed(house)["damaged"] == 1
    with house.engine.connect() as connection:
        assert [it.object.origin for it in damage.entries(connection)] == [ObjectOrigin.MADE]
    again = a_result(house.files, a_file(9, Rows=16))
    ledger.record([again], ["pacs"], utc_now())
    assert ledger.all_results(STUDY)[0].file == again.file
    assert reasons(house) == []


def test_a_round_goes_on_after_a_restart_where_it_was(house: House) -> None:
    begun = Upkeep(house.engine).begin(NAME, utc_now())
    sizes = Scrub(house.files, house.index, timedelta(days=30), 1e9).round(begun)
    next(sizes)
    next(sizes)
    sizes.close()
    again = Upkeep(house.engine).read(NAME)
    assert (again.found["objects"], again.is_under_way) == (2, True)
    assert len(list(Scrub(house.files, house.index, timedelta(days=30), 1e9).round(again))) == 1
    assert Upkeep(house.engine).read(NAME).last_found["objects"] == 3


def test_it_reads_no_faster_than_it_may_and_no_faster_than_it_has_to(house: House, clock) -> None:
    clock.show(datetime.now(UTC))
    total = sum(it.file.size for it in house.index.instances(STUDY))
    most = Scrub(house.files, house.index, timedelta(seconds=0.001), total / 0.3 / 1e6)  # its time is over: the most
    begun = time.monotonic()
    most.look()
    assert 0.25 < time.monotonic() - begun < 5
    slow = Scrub(house.files, house.index, timedelta(days=30), 1e9, clock, part_s=0.2)
    clock.move(1)
    Upkeep(house.engine).begin(NAME, clock())
    slow.look()
    slow.look()
    assert Upkeep(house.engine).read(NAME).found["objects"] == 1


def test_a_stop_does_not_wait_for_the_rate(house: House) -> None:
    scrub = Scrub(house.files, house.index, timedelta(seconds=0.001), 1e-6, part_s=1e9)
    thread = threading.Thread(target=scrub.look)
    thread.start()
    time.sleep(0.2)
    scrub.stop()
    thread.join(2)
    assert not thread.is_alive()


def test_store_and_index_of_another_process_see_the_same(house: House) -> None:
    flip(path_of(house, 1))
    other = Index(open_engine(str(house.engine.url)))
    Scrub(ObjectStore(house.files.root), other, timedelta(days=30), 1e9).look()
    assert len(reasons(house)) == 1
    other.engine.dispose()


def test_an_object_that_comes_again_at_this_moment_is_not_taken_for_the_damaged_one(house: House) -> None:
    """Whoever sets it aside waits for who stores, and looks again."""
    (it, *_) = reconciliation.objects_after(house.engine, 0, 1)
    flip(house.files.absolute(it.file))
    with house.files.locks.using([STUDY]):
        setting_aside = threading.Thread(target=lambda: set_aside(house.files, house.index, it))
        setting_aside.start()
        time.sleep(0.1)
        house.receive(a_file(1))
    setting_aside.join(20)
    assert content_of(house.files.absolute(it.file)).digest == it.file.digest
    assert reasons(house) == []


def test_one_flipped_byte_ends_in_no_result_and_the_study_goes_on_when_the_object_came_again(
    tmp_path: Path, written_by: Callable[[str], Any]
) -> None:
    """With a worker; a study that is refused when it is whole, which is quick."""
    images = written_by("Siemens Skyra").series("localizer")
    with running(tmp_path / "site") as site:
        site.receive(images, FIRST)
        path = site.files.absolute(site.index.instances(site.uid)[0].file)
        flip(path)
        site.analyse()
        study = site.index.study(site.uid)
        assert (study.state, study.reason.partition(":")[0]) == (StudyState.FAILED, Alert.OBJECT_DAMAGED)
        assert site.ledger.all_results(site.uid) == ()
        site.receive(images[:1], FIRST)
        Mending(site.files, site.index, []).look()
        site.analyse()
        study = site.index.study(site.uid)
        assert (study.state, study.revision) == (StudyState.REFUSED, 2)
        assert site.ledger.all_results(site.uid) != ()


def test_what_was_damaged_here_is_not_released_from_the_quarantine(house: House) -> None:
    """It can be read, and would become the latest revision of the object."""
    flip(path_of(house, 2))
    scrubbed(house)
    with house.engine.connect() as connection:
        (entry,) = entries(connection, ended=False, limit=None)
        assert quarantined(connection) == {}  # of what senders have sent
    with pytest.raises(NodeError, match="was damaged here"):
        release(Settings(root=house.files.root), entry.identifier)
    assert len(house.index.instances(STUDY)) == 3
