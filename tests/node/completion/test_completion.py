"""When a study counts as complete, and that no study is stuck between two states."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.analysis.progress import unfinished
from node.analysis.queue import queue_engine, queue_url
from node.clock import utc_now
from node.dicom.scu import store
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.header import read_header
from storage.records import OpenAssociation, ResultRecord, StudyState
from storage.reruns import reopen

from .conftest import Arrived


def test_times_of_the_queue_do_not_depend_on_the_version_of_sqlite(tmp_path: Path) -> None:
    """DBOS's tables have this default from Python 3.12 on; SQLite before 3.42 alone would give NULL."""
    engine = queue_engine(queue_url(tmp_path))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE made (at INTEGER NOT NULL DEFAULT (unixepoch('subsec') * 1000), it TEXT)"
        )
        connection.exec_driver_sql("INSERT INTO made (it) VALUES ('a workflow')")
        at = connection.exec_driver_sql("SELECT at FROM made").scalar_one()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    engine.dispose()
    assert abs(at - time.time() * 1000) < 60_000
    assert journal == "wal"


@pytest.fixture
def few(arrived: Arrived, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Some images, of which no sequence in particular is wanted: for what does not depend on that."""
    arrived.wanted = ()
    return paths[-4:]


def without(paths: Sequence[Path], word: str) -> list[Path]:
    """Files whose Series Description does not hold a word."""
    return [p for p in paths if word not in pydicom.dcmread(p, stop_before_pixels=True).SeriesDescription]


def test_a_quiet_study_with_every_wanted_sequence_is_queued(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED
    assert arrived.waits


def test_a_study_that_still_arrives_is_left_alone(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths, ago=timedelta(seconds=1))
    arrived.sweep(quiet_s=20)
    assert arrived.state is StudyState.RECEIVING


def test_a_study_without_its_dynamic_series_is_waited_for_longer_then_taken_as_it_is(
    arrived: Arrived, paths: tuple[Path, ...]
) -> None:
    arrived.receive(without(paths, "vibe"))
    arrived.sweep(quiet_s=20, incomplete_after_s=300)
    assert arrived.state is StudyState.RECEIVING
    arrived.sweep(quiet_s=20, incomplete_after_s=50)
    assert arrived.state is StudyState.QUEUED


def test_headers_that_this_machine_does_not_give_are_read_again_after_a_minute(
    arrived: Arrived, paths: tuple[Path, ...], caplog: pytest.LogCaptureFixture
) -> None:
    arrived.receive(paths)
    completion = arrived.completion(quiet_s=20, incomplete_after_s=3600)
    path = arrived.files.absolute(arrived.index.instances(arrived.uid)[0].file)
    away = path.rename(path.with_suffix(".away"))
    path.symlink_to(path)
    completion.sweep()
    away.replace(path)
    completion.sweep()
    assert arrived.state is StudyState.RECEIVING
    assert caplog.text.count("its headers cannot be read now") == 1
    arrived.clock.move(60)
    completion.sweep()
    assert arrived.state is StudyState.QUEUED


def test_a_file_that_is_gone_is_not_waited_for(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    arrived.files.absolute(arrived.index.instances(arrived.uid)[0].file).unlink()
    arrived.sweep(quiet_s=20, incomplete_after_s=3600)
    assert arrived.state is StudyState.QUEUED


def test_a_dynamic_series_without_a_time_of_injection_is_not_waited_for(
    arrived: Arrived, paths: tuple[Path, ...], tmp_path: Path
) -> None:
    """More images would not tell it; the analysis measures it in those that are there."""
    changed = [tmp_path / f"{number}.dcm" for number, _ in enumerate(paths)]
    for path, copy in zip(paths, changed, strict=True):
        instance = pydicom.dcmread(path)
        instance.pop("ContrastBolusStartTime", None)
        instance.save_as(copy)
    arrived.receive(changed)
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED


def test_a_late_image_makes_a_new_revision_that_is_queued_again(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths[:-1])
    arrived.sweep(incomplete_after_s=50)
    arrived.receive(paths[-1:])
    assert (arrived.study.revision, arrived.state) == (2, StudyState.RECEIVING)
    arrived.sweep(incomplete_after_s=50)
    assert arrived.state is StudyState.QUEUED
    assert {revision for _, revision in unfinished(arrived.files.root)} == {1, 2}


def test_a_study_that_a_crash_left_queued_but_not_submitted_is_submitted(
    arrived: Arrived, paths: tuple[Path, ...]
) -> None:
    arrived.receive(paths)
    assert arrived.index.move(arrived.uid, 1, StudyState.QUEUED)
    assert arrived.worklist.unknown([(arrived.uid, 1)]) == {(arrived.uid, 1)}
    assert not arrived.waits
    arrived.sweep()
    assert arrived.waits


def test_submitting_twice_is_one_analysis(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.worklist.submit("1.2.3", 1)
    arrived.worklist.submit("1.2.3", 1)
    assert unfinished(arrived.files.root) == [("1.2.3", 1)]


def test_a_study_that_failed_is_queued_again_on_request(arrived: Arrived, paths: tuple[Path, ...]) -> None:
    arrived.receive(paths)
    arrived.sweep()
    arrived.index.move(arrived.uid, 1, StudyState.FAILED, "broke")
    reopen(arrived.index._engine, arrived.uid)
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED
    assert {revision for _, revision in unfinished(arrived.files.root)} == {1, 2}


# --- associations


def lease(arrived: Arrived, seconds: float) -> OpenAssociation:
    return OpenAssociation("a", arrived.clock() + timedelta(seconds=seconds))


def test_a_study_waits_for_the_end_of_the_association_that_stores_it(arrived: Arrived, few: tuple[Path, ...]) -> None:
    arrived.receive(few, association=lease(arrived, 100))
    arrived.sweep()
    assert (arrived.state, arrived.study.reason) == (
        StudyState.RECEIVING,
        "waits for the end of an association that stores images of it",
    )
    arrived.index.end_associations(["a"])
    arrived.sweep()
    assert (arrived.state, arrived.study.reason) == (StudyState.QUEUED, "")


def test_an_association_that_hangs_holds_a_study_only_for_the_longer_time(
    arrived: Arrived, few: tuple[Path, ...]
) -> None:
    arrived.receive(few, association=lease(arrived, 100))
    arrived.sweep(incomplete_after_s=50)
    assert arrived.state is StudyState.QUEUED


def test_an_association_that_died_with_its_process_holds_nothing(arrived: Arrived, few: tuple[Path, ...]) -> None:
    arrived.receive(few, association=lease(arrived, -1))
    arrived.sweep()
    assert arrived.state is StudyState.QUEUED


def test_over_real_sockets_a_study_is_taken_after_release_and_again_after_a_late_image(
    arrived: Arrived, few: tuple[Path, ...]
) -> None:
    settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
    listener = Listener(settings, (), arrived.files, arrived.index, lease_s=3600)
    arrived.clock = utc_now  # as the listener's
    listener.start()
    try:
        arrived.uid = read_header(few[0]).study_instance_uid
        sending = store(few[:-1], "127.0.0.1", listener.port, "RECTALNODE", "SCANNER", 60)
        for _ in few[:-1]:
            assert next(sending).status == 0
        arrived.sweep(quiet_s=1e-6)
        assert arrived.state is StudyState.RECEIVING
        sending.close()  # releases the association
        _until(lambda: not arrived.index.open_associations(datetime.now(UTC))[arrived.uid])
        arrived.sweep(quiet_s=1e-6)
        assert (arrived.study.revision, arrived.state) == (1, StudyState.QUEUED)
        assert [sent.status for sent in store(few[-1:], "127.0.0.1", listener.port, "RECTALNODE", "MR", 60)] == [0]
        assert (arrived.study.revision, arrived.state) == (2, StudyState.RECEIVING)
        _until(lambda: not arrived.index.open_associations(datetime.now(UTC))[arrived.uid])
        arrived.sweep(quiet_s=1e-6)
        assert (arrived.study.revision, arrived.state) == (2, StudyState.QUEUED)
        assert {revision for _, revision in unfinished(arrived.files.root)} == {1, 2}
        assert arrived.ledger.conclude(arrived.uid, 1, StudyState.COMPLETED, "", [], [], datetime.now(UTC)) is False
    finally:
        listener.stop()


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- what the PACS has


class Pacs:
    """A real Query/Retrieve SCP: series and how many images it has of each."""

    def __init__(self) -> None:
        self.series: dict[str, tuple[str, int]] = {}
        self.asked = 0
        self._ae = AE(ae_title="PACS")
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        handlers = [(evt.EVT_C_FIND, self._answer)]
        self._server = self._ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        port = self._server.server_address[1]
        self.settings = RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=60)

    def holds(self, paths: Sequence[Path]) -> None:
        counts = Counter(read_header(path).series_instance_uid for path in paths)
        self.series = {uid: ("MR", count) for uid, count in counts.items()}

    def _answer(self, event: evt.Event) -> Iterator[tuple[int, pydicom.Dataset]]:
        self.asked += 1
        for uid, (modality, count) in self.series.items():
            match = pydicom.Dataset()
            match.QueryRetrieveLevel, match.SeriesInstanceUID, match.Modality = "SERIES", uid, modality
            match.NumberOfSeriesRelatedInstances = count
            yield 0xFF00, match

    def stop(self) -> None:
        self._ae.shutdown()


@pytest.fixture
def pacs() -> Iterator[Pacs]:
    """A PACS that has nothing yet."""
    found = Pacs()
    yield found
    found.stop()


def last_series(paths: Sequence[Path]) -> tuple[str, int]:
    """Series of the last file, and how many files it has."""
    series = [read_header(path).series_instance_uid for path in paths]
    return series[-1], series.count(series[-1])


def test_a_study_waits_while_the_pacs_has_more_of_it(arrived: Arrived, few: tuple[Path, ...], pacs: Pacs) -> None:
    pacs.holds(few)
    series, count = last_series(few)
    arrived.receive(few[:-1])
    arrived.sweep(pacs=pacs.settings)
    assert (arrived.state, arrived.study.reason) == (
        StudyState.RECEIVING,
        f"waits for what the PACS has: has {count - 1} of {count} instances of series {series}",
    )
    arrived.receive(few[-1:])
    arrived.sweep(pacs=pacs.settings)
    assert (arrived.study.revision, arrived.state, arrived.study.reason) == (1, StudyState.QUEUED, "")


def test_a_study_of_which_the_rest_never_comes_is_taken_with_a_caution(
    arrived: Arrived, few: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(few)
    series, count = last_series(few)
    arrived.receive(few[:-1])
    arrived.sweep(incomplete_after_s=50, pacs=pacs.settings)
    assert (arrived.state, arrived.study.caution) == (
        StudyState.QUEUED,
        f"E-INCOMPLETE: {count - 1} of {count} instances of series {series} had arrived; the PACS has the rest",
    )


def test_series_that_never_came_are_named_too_and_many_are_summed_up(
    arrived: Arrived, few: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(few)
    arrived.receive(few)
    pacs.series |= {f"1.2.9.{n}": ("MR", 20) for n in range(5)}
    arrived.sweep(pacs=pacs.settings)
    assert arrived.study.reason == (
        "waits for what the PACS has: has 0 of 20 instances of series 1.2.9.0 and 0 of 20 instances of series 1.2.9.1 "
        "and 0 of 20 instances of series 1.2.9.2 and of 2 more series not all"
    )


def test_results_of_this_node_and_what_is_not_mr_do_not_count(
    arrived: Arrived, few: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(few)
    arrived.receive(few[:-1])
    arrived.sweep(incomplete_after_s=50)
    file = arrived.index.instances(read_header(few[0]).study_instance_uid)[0].file
    own = [
        ResultRecord(arrived.uid, revision, "super-resolved-t2wi", "1.2", f"1.9.{revision}.1", f"1.9.{revision}", file)
        for revision in (1, 2)
    ]
    arrived.ledger.record(own, [], datetime.now(UTC))
    arrived.receive(few[-1:])
    pacs.series |= {"1.9.1": ("MR", 80), "1.9.2": ("MR", 80), "1.8": ("SR", 1), "1.7": ("PR", 2), "1.6": ("KO", 1)}
    arrived.sweep(pacs=pacs.settings)
    assert (arrived.study.revision, arrived.state) == (2, StudyState.QUEUED)


def test_a_pacs_with_fewer_images_holds_up_nothing(arrived: Arrived, few: tuple[Path, ...], pacs: Pacs) -> None:
    arrived.receive(few)
    pacs.holds(few[:2])
    arrived.sweep(pacs=pacs.settings)
    assert (arrived.state, arrived.study.reason) == (StudyState.QUEUED, "")


def test_a_pacs_that_cannot_be_asked_holds_up_nothing_and_that_is_said(
    arrived: Arrived, few: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(few)
    pacs.stop()
    arrived.receive(few[:-1])
    arrived.sweep(pacs=pacs.settings)
    assert (arrived.state, arrived.study.caution) == (
        StudyState.QUEUED,
        "E-NOT-COUNTED: whether the PACS has more images is not known: no connection",
    )


def test_the_pacs_is_not_asked_for_a_study_that_waits_for_something_else(
    arrived: Arrived, paths: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(paths)
    arrived.receive(without(paths, "vibe"))
    arrived.sweep(pacs=pacs.settings)
    assert pacs.asked == 0


def test_the_pacs_is_asked_at_growing_intervals_and_at_once_when_something_has_come(
    arrived: Arrived, few: tuple[Path, ...], pacs: Pacs
) -> None:
    pacs.holds(few)
    arrived.receive(few[:-2])
    completion = arrived.completion(quiet_s=10, incomplete_after_s=300, pacs=pacs.settings)
    asked_at = []
    for second in range(100):
        before = pacs.asked
        completion.sweep()
        if pacs.asked > before:
            asked_at.append(second)
        arrived.clock.move(1)
    assert asked_at == [0, 10, 30, 70]
    before = pacs.asked
    arrived.receive(few[-2:-1])
    completion.sweep()
    assert pacs.asked == before + 1
