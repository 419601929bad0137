"""`rectal-node reindex` on a root: what analyses left there says which results are of which revision."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

from node.analysis.manifest import write_manifest
from node.analysis.worker import lock_root
from node.cli.main import app
from node.codes import Code
from node.errors import ConfigurationError
from node.operations.reindex import reindex
from node.operations.resend import resend
from node.recognition.plan import recognise
from node.recognition.record import STUDY, RoleRefusal, StudyPlan, to_json
from node.settings import ResultKind, Settings, load_settings
from storage.audit_chain import AuditChain
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.header import read_header
from storage.identity import InstanceKey
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, ResultRecord, StoredFile, StudyState

from ..copies import copied
from ..key_objects import key_object_note

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = """
root = "{root}"
[[remotes]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 4242
receives_results = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(root=tmp_path / "var"))
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config)


@pytest.fixture
def images(settings: Settings, written_by: Callable[[str], Any]) -> list[Dataset]:
    """A root with a study of three images and a note that rejects one, analysed twice; its database is gone."""
    images = [copied(image) for image in written_by("Siemens Skyra").instances[:3]]
    fill(settings, images)
    return images


def fill(settings: Settings, images: list[Dataset], rejected: bool = True, **of_first: str) -> None:
    """What two analyses leave; `of_first` are elements of the result of the first."""
    files, engine = ObjectStore(settings.root), open_engine(settings.storage_url)
    index, uid = Index(engine), str(images[0].StudyInstanceUID)
    for image in (*images, *([key_object_note(images[:1])] if rejected else [])):
        header, file = stored(files, image)
        index.register(header, file, "SKYRA", NOW)
    paths = [files.absolute(it.file) for it in index.instances(uid)]
    for revision, role in ((1, "report"), (2, "summary")):
        made = copied(images[0])
        made.Manufacturer, made.SOPInstanceUID = "rectal-node", f"{settings.uid_root}{revision}"
        made.SeriesInstanceUID = f"{settings.uid_root}9.{revision}"
        for keyword, value in of_first.items() if revision == 1 else ():
            setattr(made, keyword, value)
        header, file = stored(files, made)
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        result = ResultRecord(uid, revision, role, *uids, file)
        Ledger(engine).record([result], ["pacs"], NOW)
        folder = settings.root / "work" / uid / str(revision)
        write_manifest(folder, [result])
        (folder / "plan.json").write_text(to_json(recognise(uid, paths, settings.recognition)))
    engine.dispose()
    (settings.root / "worklist.sqlite").write_bytes(b"the queue of before")
    for path in settings.root.glob("index.sqlite*"):
        path.unlink()


def stored(files: ObjectStore, image: Dataset) -> tuple[Any, StoredFile]:
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    header = read_header(buffer.getvalue())
    return header, files.store(buffer.getvalue(), header)


def test_study_results_and_rejections_are_there_again(settings: Settings, images: list[Dataset]) -> None:
    done = reindex(settings)
    assert (done.received, done.made, done.completed, done.left_out) == (4, 2, 1, {})
    engine, uid = open_engine(settings.storage_url), str(images[0].StudyInstanceUID)
    index = Index(engine)
    assert (index.study(uid).state, index.study(uid).revision) == (StudyState.COMPLETED, 2)
    assert [(it.revision, it.role) for it in Ledger(engine).all_results(uid)] == [(1, "report"), (2, "summary")]
    assert {it.state for it in Deliveries(engine).records()} == {DeliveryState.UNKNOWN}
    rejected = InstanceKey(str(images[0].SeriesInstanceUID), str(images[0].SOPInstanceUID))
    assert set(index.rejected(uid)) == {rejected}


def test_a_destination_is_meant_to_have_the_kinds_that_it_takes(settings: Settings, images: list[Dataset]) -> None:
    """The results of these analyses are MR images."""
    (pacs,) = settings.remotes
    archive = pacs.model_copy(update={"name": "archive", "results": (ResultKind.REPORT,)})
    reindex(settings.model_copy(update={"remotes": (pacs, archive)}))
    assert {it.destination for it in Deliveries(open_engine(settings.storage_url)).records()} == {"pacs"}


def test_why_series_were_used_is_known_again(settings: Settings, images: list[Dataset]) -> None:
    reindex(settings)
    index, uid = Index(open_engine(settings.storage_url)), str(images[0].StudyInstanceUID)
    assert (settings.root / "work" / uid / "2" / "plan.json").read_text() == index.verdict(uid)


def test_numbers_of_the_audit_may_begin_anew(settings: Settings, images: list[Dataset]) -> None:
    reindex(settings)
    assert AuditChain(open_engine(settings.storage_url)).state().is_put_back


def test_the_queue_of_before_is_put_aside(settings: Settings, images: list[Dataset]) -> None:
    reindex(settings)
    assert not (settings.root / "worklist.sqlite").exists()
    (aside,) = settings.root.glob("worklist.sqlite.*.before-reindex")
    assert aside.read_bytes() == b"the queue of before"


def test_the_command_says_what_it_did_and_does_nothing_twice(
    settings: Settings, config: Path, images: list[Dataset]
) -> None:
    done = CliRunner().invoke(app, ["reindex", "--config", str(config), "--json"])
    assert json.loads(done.stdout)["received"] == 4
    with pytest.raises(StorageError, match="move it away first"):
        reindex(settings)


def test_a_root_on_which_a_node_works_is_left_alone(settings: Settings, images: list[Dataset]) -> None:
    with lock_root(settings.root), pytest.raises(ConfigurationError, match="another worker"):
        reindex(settings)
    assert (settings.root / "worklist.sqlite").exists()


# --- what nobody sends who does not name it


@pytest.fixture
def study(written_by: Callable[[str], Any]) -> list[Dataset]:
    return [copied(image) for image in written_by("Siemens Skyra").instances[:3]]


def deliveries_of(settings: Settings) -> list[tuple[int, DeliveryState, str]]:
    found = Deliveries(open_engine(settings.storage_url)).records()
    return [(it.result.revision, it.state, it.reason) for it in found]


def test_results_of_one_patient_are_sent_when_a_person_orders_it(settings: Settings, study: list[Dataset]) -> None:
    fill(settings, study, rejected=False)
    reindex(settings)
    assert deliveries_of(settings) == [(1, DeliveryState.UNKNOWN, ""), (2, DeliveryState.UNKNOWN, "")]
    assert (resend(settings, str(study[0].StudyInstanceUID))).queued == 2


def test_a_result_of_another_patient_stays_refused(settings: Settings, study: list[Dataset]) -> None:
    fill(settings, study, rejected=False, PatientID="OTHER", PatientBirthDate="19010101")
    uid, first = str(study[0].StudyInstanceUID), f"{settings.uid_root}1"
    reindex(settings)
    (_, state, reason), (_, other, _) = deliveries_of(settings)
    assert (state, other) == (DeliveryState.REVOKED, DeliveryState.UNKNOWN)
    assert reason.startswith("E-PATIENT-MIX: ")
    assert "whether it was sent is not known" in reason
    assert resend(settings, uid).queued == 1
    again = resend(settings, uid, also=[DeliveryState.REVOKED])
    assert (again.queued, again.refused, again.reasons) == (0, 1, (reason,))
    assert resend(settings, uid, objects=[first], also=[DeliveryState.REVOKED]).queued == 1


def test_after_a_refusal_for_two_patients_no_result_is_sent(settings: Settings, study: list[Dataset]) -> None:
    fill(settings, study, rejected=False)
    uid = str(study[0].StudyInstanceUID)
    refusal = RoleRefusal(STUDY, Code.PATIENT_MIX, "it names two patients")
    folder = settings.root / "work" / uid / "3"
    folder.mkdir()
    (folder / "plan.json").write_text(to_json(StudyPlan(uid, (), (), (refusal,), (), "")))
    reindex(settings)
    assert {state for _, state, _ in deliveries_of(settings)} == {DeliveryState.REVOKED}
    assert resend(settings, uid).queued == 0


@pytest.mark.parametrize("lost", ["1", "2"])
def test_where_the_record_of_a_revision_is_lost_the_result_has_to_be_named(
    settings: Settings, config: Path, study: list[Dataset], lost: str
) -> None:
    fill(settings, study, rejected=False)
    uid = str(study[0].StudyInstanceUID)
    (settings.root / "work" / uid / lost / "plan.json").write_text("lost")
    reindex(settings)
    (_, _, reason), (_, _, of_last) = deliveries_of(settings)
    assert f"the record of revision {lost}, or an image that it names, is not there" in reason
    assert of_last == ""
    done = CliRunner().invoke(app, ["resend", uid, "--config", str(config)])
    assert (done.exit_code, "1 of 2 deliveries queued" in done.stdout, reason in done.stdout) == (1, True, True)
    assert resend(settings, uid, objects=[f"{settings.uid_root}1"]).queued == 1
