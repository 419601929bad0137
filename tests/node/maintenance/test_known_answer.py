"""The known-answer check, over the socket of a real listener up to delivery; its study is nobody's and goes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage

from models.sequence import Sequence
from node.cli.status import as_tables
from node.codes import Alert
from node.dicom.scu import store
from node.maintenance.known_answer import answer, images
from node.maintenance.known_answer.check import KnownAnswerCheck, models_digest, shipped_answer
from node.maintenance.known_answer.remote import as_remote
from node.operations.status import collect
from node.recognition.plan import recognise
from node.services.listener import Listener
from node.settings import AnalysisSettings, KnownAnswerSettings, ListenerSettings, RecognitionSettings, Settings
from storage.alerts import Alerts
from storage.answer_checks import AnswerChecks, Outcome
from storage.catalogue.filling import catch_up
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.known_answer import AE_TITLE, DESTINATION, UID_ROOT, is_of_check
from storage.ledger import Ledger
from storage.records import ResultRecord, StudyState

from ...parts import processor
from ...parts.node import ROOT
from ...parts.processes import free_port, running, wait_for


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> list[Path]:
    return images.write(tmp_path_factory.mktemp("study"), 7)[1]


def test_the_study_is_small_and_nobodys(study):
    assert images.ARCHIVE.stat().st_size < 2_000_000
    read = [pydicom.dcmread(path, stop_before_pixels=True) for path in study]
    assert {it.StudyInstanceUID for it in read} == {f"{UID_ROOT}7"}
    assert {str(it.PatientID) for it in read} == {"KNOWN-ANSWER"}
    assert len({it.SOPInstanceUID for it in read}) == len(read)
    assert all(it.SOPInstanceUID.is_valid and is_of_check(it.SeriesInstanceUID) for it in read)
    assert all(it.file_meta.MediaStorageSOPInstanceUID == it.SOPInstanceUID for it in read)


def test_no_two_checks_have_a_uid_in_common(study, tmp_path):
    uids = [{read_header(path).sop_instance_uid for path in it} for it in (study, images.write(tmp_path, 8)[1])]
    assert not uids[0] & uids[1]


def test_both_of_its_sequences_are_recognised(study):
    plan = recognise(f"{UID_ROOT}7", study, RecognitionSettings())
    assert {stack.role for stack in plan.stacks} >= {Sequence.T2WI, Sequence.DWI}


@pytest.mark.parametrize(
    ("name", "known", "found", "is_told"),
    [
        ("report: objects", 1, 2, True),
        ("report: measurements", 200, 199, True),
        ("super-resolved-t2wi: mean", 100, 100.19, False),
        ("super-resolved-t2wi: mean", 100, 100.21, True),
        ("segmentation-t2wi: voxels", 2000, 2039, False),
        ("segmentation-t2wi: voxels", 2000, 2041, True),
        ("segmentation-t2wi: voxels", 0, 20, False),
        ("segmentation-t2wi: voxels", 0, 21, True),
        ("report: Volume 1", 20, 19.61, False),
        ("report: Volume 1", 20, 19.59, True),
        ("report: Probability 1", 0.5, 0.519, False),
        ("report: Probability 1", 0.5, 0.521, True),
        ("report: Probability 1", 0.5, float("nan"), True),
    ],
)
def test_a_number_is_another_only_beyond_its_tolerance(name, known, found, is_told):
    assert bool(answer.differences({name: known}, {name: found})) is is_told


def test_what_is_lacking_or_not_known_is_told():
    told = answer.differences({"a: objects": 1, "b: objects": 2}, {"b: objects": 2, "c: objects": 3})
    assert told == ("a: objects: is lacking", "c: objects: is not known")


def test_the_shipped_bundles_have_a_shipped_answer():
    known = shipped_answer(models_digest(AnalysisSettings()))
    assert known is not None
    assert known["report: measurements"] > 50
    assert any(value > 0 for name, value in known.items() if name.endswith(": voxels"))


class Node:
    """A listener, and what a study becomes: `results` are recorded for it as those of an analysis are."""

    def __init__(self, root: Path, engine, within_s: float = 20) -> None:
        self.files, self.index = ObjectStore(root), Index(engine)
        listening = ListenerSettings().model_copy(update={"port": 0, "minimum_free_gb": 0.0})
        draft = Settings(root=root, listener=listening)
        self.listener = Listener(listening, (as_remote(draft),), self.files, self.index)
        self.listener.start()
        self.settings = draft.model_copy(
            update={
                "listener": listening.model_copy(update={"port": self.listener.port}),
                "known_answer": draft.known_answer.model_copy(update={"within_s": within_s}),
            }
        )
        self.alerts = Alerts(engine)
        self.check = KnownAnswerCheck(self.settings, self.files, self.index, self.alerts)
        self.brightness, self.state, self.spoils = 100, StudyState.COMPLETED, False
        self.seen: list[str] = []
        self.while_there: Callable[[str], None] = lambda study: None
        self._stopping = threading.Event()
        self._analysis = threading.Thread(target=self._analyse, daemon=True)
        self._analysis.start()

    def stop(self) -> None:
        self._stopping.set()
        self._analysis.join()
        self.listener.stop(patience_s=0.5)

    def _analyse(self) -> None:
        """Studies that have all their images get an image as their result."""
        while not self._stopping.wait(0.05):
            for study in self.index.studies(StudyState.RECEIVING):
                if study.instance_count == 30 and self.index.move(study.study_instance_uid, 1, StudyState.QUEUED):
                    self.seen.append(study.study_instance_uid)
                    self.while_there(study.study_instance_uid)
                    self._conclude(study.study_instance_uid)

    def _conclude(self, uid: str) -> None:
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, f"{uid}.9.1"
        made.StudyInstanceUID, made.SeriesInstanceUID, made.Manufacturer = uid, f"{uid}.9", "rectal-node"
        made.Rows = made.Columns = 4
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation, made.SamplesPerPixel = 15, 0, 1
        made.PhotometricInterpretation = "MONOCHROME2"
        made.PixelData = np.full((4, 4), self.brightness, "<u2").tobytes()
        made["PixelData"].VR = "OW"
        path = self.files.root / "made.dcm"
        pydicom.dcmwrite(path, made, implicit_vr=False, little_endian=True, force_encoding=True)
        made = pydicom.dcmread(path, force=True)
        made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        made.save_as(path, enforce_file_format=True)
        header = read_header(path)
        file = self.files.store(path.read_bytes(), header)
        if self.spoils:
            stored = self.files.absolute(file)
            stored.write_bytes(stored.read_bytes()[:-1] + b"\x01")
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        results = [ResultRecord(uid, 1, "super-resolved-t2wi", *uids, file)]
        Ledger(self.index.engine).conclude(uid, 1, self.state, "", results, [DESTINATION], datetime.now(UTC))


@pytest.fixture
def node(engine, tmp_path) -> Iterator[Node]:
    made = Node(tmp_path, engine)
    yield made
    made.stop()


def rows(engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_the_first_answer_of_bundles_becomes_the_reference_by_a_persons_order(node, engine):
    first = node.check.run()
    assert (first.outcome, first.answer["super-resolved-t2wi: mean"]) == (Outcome.FAILED, 100)  # not the shipped answer
    AnswerChecks(engine).accept(first.models, "anna", datetime.now(UTC))
    assert node.check.run().outcome is Outcome.PASSED
    assert node.alerts.open() == ()


def test_another_answer_is_an_alert_that_ends_with_the_known_one(node, engine):
    AnswerChecks(engine).accept(node.check.run().models, "anna", datetime.now(UTC))
    node.brightness = 102
    failed = node.check.run()
    assert (failed.outcome, failed.reason) == (Outcome.FAILED, "super-resolved-t2wi: mean: 102 and not 100")
    assert [(it.code, it.text) for it in node.alerts.open()] == [(Alert.KNOWN_ANSWER, failed.reason)]
    node.brightness = 100
    assert node.check.run().outcome is Outcome.PASSED
    assert node.alerts.open() == ()


def test_nothing_of_a_check_stays_but_its_record(node, engine):
    node.check.run()
    for table in ("study", "dicom_object", "result", "delivery", "catalogue_study", "quarantine"):
        assert rows(engine, table) == 0, table
    assert list(node.files.root.rglob("*.dcm")) == [node.files.root / "made.dcm"]
    assert rows(engine, "answer_check") == 1


def test_no_query_and_no_list_shows_it_while_it_is_there(node, engine):
    found = []

    def look(study: str) -> None:
        catch_up(engine, node.files)
        shown = collect(node.settings)
        found.append((rows(engine, "study"), rows(engine, "catalogue_study"), rows(engine, "catalogue_fault")))
        found.append((sum(shown.counts.studies.values()), shown.studies, shown.answer_check.outcome))

    node.while_there = look
    node.check.run()
    assert found == [(1, 0, 0), (0, (), Outcome.RUNNING)]


def test_status_tells_of_the_latest_check_in_a_line(node):
    from rich.console import Console

    node.check.run()
    console = Console(width=300)
    with console.capture() as shown:
        console.print(as_tables(collect(node.settings)))
    assert re.search(r"known-answer check: failed, \d+ s ago: ", shown.get())


def test_a_study_that_fails_is_an_alert_with_its_state(node):
    node.state = StudyState.FAILED
    assert node.check.run().reason == "the study became FAILED, with 1 results"
    assert node.alerts.open()[0].code == Alert.KNOWN_ANSWER


def test_no_answer_in_its_time_is_an_alert_and_what_is_left_goes_with_the_next_check(engine, tmp_path):
    node = Node(tmp_path, engine, within_s=5)
    over = threading.Event()
    node.while_there = lambda study: over.wait(60)
    try:
        failed = node.check.run()
        assert failed.reason.startswith("no answer within 5 s: the study is QUEUED")
        assert node.alerts.open()[0].code == Alert.KNOWN_ANSWER
        over.set()
        wait_for(lambda: not node.index.studies(StudyState.QUEUED), "the end of the study", 60, 0.05)
        node.check.run()
        assert len(node.seen) == 2
        assert rows(engine, "study") == 0
    finally:
        node.stop()


def test_what_a_crash_has_left_goes_when_the_maintenance_looks(node, engine, study):
    list(store(study, "127.0.0.1", node.listener.port, "RECTALNODE", AE_TITLE, 10))
    under_way = StudyState.RECEIVING, StudyState.QUEUED
    wait_for(lambda: rows(engine, "study") and not node.index.studies(*under_way), "the study has ended", 20, 0.05)
    deliveries = Deliveries(engine).claim(DESTINATION, "died", datetime.now(UTC), datetime.now(UTC), 9)
    Deliveries(engine).stored({it.identifier: "" for it in deliveries}, datetime.now(UTC))
    node.check.remove_left()
    assert rows(engine, "study") == 0


def test_it_calls_by_tls_where_nothing_else_is_served(engine, tmp_path, authority):
    credentials = authority.credentials(authority.issue("own", names=["127.0.0.1"]))
    listening = ListenerSettings().model_copy(
        update={"plain": False, "tls_port": 0, "credentials": credentials, "minimum_free_gb": 0.0}
    )
    draft = Settings(root=tmp_path).model_copy(update={"listener": listening})
    files, index = ObjectStore(tmp_path), Index(engine)
    listener = Listener(listening, (as_remote(draft),), files, index)
    listener.start()
    try:
        calling = listening.model_copy(update={"tls_port": listener.tls_port})
        settings = draft.model_copy(update={"listener": calling, "known_answer": KnownAnswerSettings(within_s=0.1)})
        ended = KnownAnswerCheck(settings, files, index, Alerts(engine)).run()
        assert ended.reason == "no answer within 0.1 s: the study is RECEIVING"
    finally:
        listener.stop(patience_s=0.5)


def test_nobody_who_listens_is_an_alert(node):
    node.listener.stop(patience_s=0)
    failed = node.check.run()
    assert failed.outcome is Outcome.FAILED
    assert failed.reason.startswith("30 of 30 images were not stored: ")


def test_a_result_that_was_changed_on_the_disk_is_no_answer(node):
    node.spoils = True
    assert "is not what was made" in node.check.run().reason


def test_one_check_is_made_at_a_time(node):
    told = []

    def again(study: str) -> None:
        with pytest.raises(Exception, match="another known-answer check is under way") as caught:
            KnownAnswerCheck(node.settings, node.files, node.index, node.alerts).run()
        told.append(caught.typename)

    node.while_there = again
    node.check.run()
    assert told == ["TransientError"]


def test_a_check_that_is_stopped_ends_soon_without_an_alert(node):
    over = threading.Event()
    node.while_there = lambda study: (node.check.stop(), over.wait(60))
    begun = time.monotonic()
    assert node.check.run() is None
    assert time.monotonic() - begun < 10
    over.set()
    assert node.alerts.open() == ()


def test_the_check_stores_nothing_but_its_study_and_nobody_else_stores_that(node, study, written_by, tmp_path):
    of_a_patient = written_by("Siemens Skyra").paths[0]

    def status(path: Path, calling: str) -> int | None:
        (outcome,) = store([path], "127.0.0.1", node.listener.port, "RECTALNODE", calling, 10)
        return outcome.status

    assert status(of_a_patient, AE_TITLE) == 0xA900
    assert status(study[0], "SCANNER") == 0xA900
    assert status(study[0], AE_TITLE) == 0
    assert status(of_a_patient, "SCANNER") == 0


@pytest.mark.skipif("RECTAL_NODE_LONG" not in os.environ, reason="a whole node: a minute and more")
def test_a_whole_node_gives_the_shipped_answer(tmp_path):
    port = free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        f"[listener]\nport = {port}\nminimum_free_gb = 0\n[completion]\nquiet_s = 1\n"
        f"[analysis]\n{processor.in_configuration()}\n"
    )

    def listens() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    def call(command: str) -> list[object]:
        return [sys.executable, "-m", "node", command, "--config", str(config)]

    with running("the node", call("serve"), tmp_path / "node.log", listens, cwd=ROOT):
        done = subprocess.run(call("check-answer"), capture_output=True, text=True, cwd=ROOT, timeout=500, check=False)
        assert (done.returncode, done.stdout) == (0, "known-answer check: passed\n")
