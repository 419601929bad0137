"""A patient is erased on order: afterwards nothing under the root tells of them, and a record says that it was done."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Timer

import pytest
from sqlalchemy import insert, select

from node.errors import NodeError
from node.maintenance.retention import Retention
from node.operations import erasure, quarantine
from node.operations.research_export import MATCHING
from node.recognition.header.patients import identity
from node.settings import RetentionSettings, Settings
from storage import database, erasures, holds, rejections
from storage import removal as removing
from storage.alerts import Alerts
from storage.audit import Audit, AuditAction, AuditEvent, AuditSearch, Facts
from storage.commitment_requests import CommitmentRequests
from storage.identity import InstanceKey
from storage.page_schema import reading
from storage.pseudonyms import Pseudonyms
from storage.records import Reference, Registration, RejectionNote, StudyState
from storage.removal_records import Scope
from storage.removal_schema import removal
from storage.retrievals import Retrievals
from storage.scanners import ScannedStudy, Scanner, Scanners
from storage.schema import step_attempt
from storage.site_secret import SiteSecret

from ...parts.kills import killed_at
from ...parts.postgresql import emptied
from ..old_studies import LONG_AGO, OldStudies, a_file, after

STUDY, SECOND, OTHER = "1.2.777.1", "1.2.777.2", "1.2.888.1"
PATIENT = {
    "PatientID": "QX-77-ZZ",
    "PatientName": "Zebrafish^Quincy=王^小东",
    "PatientBirthDate": "19510317",
    "AccessionNumber": "ACC-9931",
    "StudyID": "SID-4471",
}
#: What must not be found in any file of the root; the name in each of its groups.
IDENTIFIERS = [
    *("QX-77-ZZ", "ACC-9931", "SID-4471", "19510317", "1.2.777."),
    *("Zebrafish", "ZEBRAFISH", "zebrafish", "Quincy", "QUINCY", "quincy", "小东"),
]
ORDER = {"issuer": "", "reason": "request of 1 March", "by": "Dr. Ada"}


@pytest.fixture
def root(tmp_path: Path) -> OldStudies:
    return OldStudies(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def erase(settings: Settings, **order: object) -> erasure.ErasureReport:
    return erasure.erase(settings, "QX-77-ZZ", **{**ORDER, **order})


def found(root: Path) -> dict[str, list[str]]:
    """Identifiers of the patient in names and bytes of files, by path."""
    told = {}
    for path in root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        words = [it for it in IDENTIFIERS if it.encode() in content or it in path.name]
        if words:
            told[path.relative_to(root).as_posix()] = words
    return told


def of_a_rule(root: OldStudies) -> removing.Order:
    """By which a rule removes studies of the patient."""
    return removing.Order("old", SiteSecret(root.root).digest(identity("QX-77-ZZ").identifier))


def put_traces_everywhere(root: OldStudies, settings: Settings, empty_queue: Path) -> None:
    """What a node keeps of a patient beside objects, as its rooms write it."""
    broken = a_file(7, study=STUDY, **PATIENT)[:-200]
    for data, reason in ((broken, "cut short"), (broken[:100], f"Study Instance UID is {STUDY} in the command")):
        root.index.keep_quarantine(root.files.quarantine(data, reason), reason, "SCANNER", LONG_AGO)
    quarantine.discard(settings, 2, f"sent again as {STUDY}.1.7")
    Retrievals(root.engine).want("PACS", {STUDY: 0, OTHER: 0}, LONG_AGO, anew=False)
    with root.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE retrieval SET state = 'COMPLETE'")
    references = [Reference("1.2.840.10008.5.1.4.1.1.4", f"{study}.1.1") for study in (STUDY, OTHER)]
    CommitmentRequests(root.engine).keep("9.9", "SCANNER", "NODE", references, LONG_AGO, LONG_AGO)
    note = RejectionNote("113001", ((OTHER, InstanceKey(f"{OTHER}.1", f"{OTHER}.1.1")),))
    with database.writing(root.engine).begin() as connection:
        list(rejections.keep(connection, note, f"{STUDY}.1.1", LONG_AGO))
        for study in (STUDY, OTHER):
            holds.place(connection, study, f"look at {study}", "Dr. Bob", LONG_AGO)
            holds.release(connection, study, "closed", "Dr. Bob", LONG_AGO)
    with root.engine.begin() as connection:
        said = {
            "revision": 1,
            "verdict": "AGREE",
            "comment": "as Zebrafish had it",
            "reader": "ada",
            "said_at": LONG_AGO,
        }
        connection.execute(insert(reading).values(study_instance_uid=STUDY, **said))
        tried = {"revision": 1, "step": "segment", "boot": "b", "begun_at": LONG_AGO}
        connection.execute(insert(step_attempt).values(study_instance_uid=STUDY, **tried))
    for study in (STUDY, OTHER):
        Audit(root.engine).add(AuditEvent(LONG_AGO, AuditAction.LOOKED, True, "ada", "s", "::1", study))
        Scanners(root.engine).count(ScannedStudy(study, 1, "2025-12-29", Scanner(), StudyState.FAILED, False, None))
    Audit(root.engine).add(AuditEvent(LONG_AGO, AuditAction.RELEASED, True, "ada", detail=f"is of {STUDY}"))
    asked = Facts("C-FIND", query="WmVicmFmaXNo", sop_class="1.2")  # in which the name stands
    query = AuditEvent(
        LONG_AGO, AuditAction.QUERIED, True, patient_id=PATIENT["PatientID"], remote="VIEWER", facts=asked
    )
    Audit(root.engine).add(query)
    Alerts(root.engine).raise_("E-RESULT-WITHDRAWN", STUDY, f"results of {STUDY} are to be taken back")
    known = identity(PATIENT["PatientID"])
    Pseudonyms(root.root).of_patient("trial", PATIENT["PatientID"], known, STUDY, MATCHING)
    root.index.keep_verdict(STUDY, 1, '{"version": 1, "note": "Zebrafish QX-77-ZZ"}')
    (root.files.spool / "left.part").write_bytes(a_file(8, study=STUDY, **PATIENT))
    os.utime(root.files.spool / "left.part", (0, 0))
    shutil.copy(empty_queue, root.root / "worklist.sqlite")
    with closing(sqlite3.connect(root.root / "worklist.sqlite")) as connection, connection:
        for study in (STUDY, OTHER):
            connection.execute(
                "INSERT INTO workflow_status (workflow_uuid, status, name, inputs, created_at, updated_at)"
                " VALUES (?, 'SUCCESS', 'analyse-study', ?, 1, 1)",
                (f"{study}:1", f'["{study}", 1]'),
            )
    shutil.copy(root.root / "index.sqlite", root.root / "index.sqlite.20260101T000000Z.revision-0009.backup")


def test_nothing_under_the_root_tells_of_the_patient_any_more(root, settings, empty_queue):
    for study in (STUDY, SECOND):
        root.ended(study, to=(), **PATIENT)
    root.ended(OTHER, to=())
    put_traces_everywhere(root, settings, empty_queue)
    before = found(root.root)
    assert {path.split("/")[0].split(".")[0] for path in before} == {
        *("objects", "work", "quarantine", "spool", "index", "worklist", "pseudonyms"),
    }
    report = erase(settings)
    assert report.done
    assert found(root.root) == {}


def test_what_others_have_is_whole_afterwards(root, settings, empty_queue):
    root.ended(STUDY, to=(), **PATIENT)
    root.ended(OTHER, to=())
    put_traces_everywhere(root, settings, empty_queue)
    erase(settings)
    assert root.index.study(OTHER).state is StudyState.COMPLETED
    instances = [*root.index.instances(OTHER), *root.ledger.all_results(OTHER)]
    assert len([it for it in instances if root.files.absolute(it.file).exists()]) == 4
    assert [it.study_instance_uid for it in Retrievals(root.engine).records()] == [OTHER]
    (request,) = [CommitmentRequests(root.engine).request(1)]
    assert [it.sop_instance_uid for it in request.references] == [f"{OTHER}.1.1"]
    assert list(root.index.rejected(OTHER).values()) == ["113001"]
    *removed, query, released, other, this = Audit(root.engine).find(AuditSearch())
    assert {(it.action, it.study_instance_uid, it.patient_id) for it in removed} == {(AuditAction.REMOVED, "", "")}
    assert (query.action, query.remote, query.patient_id, query.facts) == (
        *(AuditAction.QUERIED, "VIEWER", ""),
        Facts("C-FIND", sop_class="1.2"),
    )
    assert [(it.action, it.account, it.study_instance_uid, it.detail) for it in (released, other, this)] == [
        (AuditAction.RELEASED, "ada", "", ""),
        (AuditAction.LOOKED, "ada", OTHER, ""),
        (AuditAction.LOOKED, "ada", "", ""),
    ]
    with closing(sqlite3.connect(root.root / "worklist.sqlite")) as connection:
        assert connection.execute("SELECT workflow_uuid FROM workflow_status").fetchall() == [(f"{OTHER}:1",)]


def test_queries_of_others_keep_what_they_asked_for_and_all_keep_how_often(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    facts = Facts("C-FIND", query="WmVicmFmaXNo", sop_class="1.2", times=3)
    for patient, study in (("P1", ""), ("", OTHER), ("qx-77-zz", ""), ("", STUDY), ("", "")):
        asked = AuditEvent(LONG_AGO, AuditAction.QUERIED, True, patient_id=patient, study_instance_uid=study)
        Audit(root.engine).add(replace(asked, remote="VIEWER", facts=facts))
    erase(settings)
    found = [it for _, it in Audit(root.engine).after(0, 10) if it.action is AuditAction.QUERIED]
    without = replace(facts, query="")
    assert [(it.patient_id, it.study_instance_uid, it.facts) for it in found] == [
        *(("P1", "", facts), ("", OTHER, facts)),
        *[("", "", without)] * 3,
    ]


def test_a_record_remains_that_tells_the_site_alone_who_it_was(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    report = erase(settings)
    (order,) = erasure.look(settings, "qx-77-zz ").orders
    assert (order.number, order.reason, order.ordered_by) == (report.number, "request of 1 March", "Dr. Ada")
    assert (order.studies, order.objects) == (1, 4)
    assert order.ended_at is not None
    with root.engine.connect() as connection:
        (left,) = connection.execute(select(removal)).all()
    assert (left.study_instance_uid, left.patient) == ("", order.patient)
    assert erasure.look(settings, "QX-78").orders == ()
    # The secret makes the digest: with another nobody finds the patient again, however many IDs are tried.
    (root.root / "site-secret").unlink()
    assert SiteSecret(root.root).digest("QX-77-ZZ") != order.patient
    assert erasure.look(settings, "QX-77-ZZ").orders == ()


def test_without_yes_it_is_only_told_what_would_be_erased(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    size = sum(path.stat().st_size for path in (root.root / "objects" / STUDY).rglob("*.dcm"))
    report = erasure.look(settings, "QX-77-ZZ")
    assert not report.done
    (study,) = report.studies
    assert (study.study_instance_uid, study.objects, study.size, study.kept) == (STUDY, 4, size, ())
    assert root.index.study(STUDY) is not None


def test_what_a_rule_removed_before_is_not_named_any_more_either(root, settings):
    rule = {"name": "old", "older_than_days": 30}
    keeping = Settings(root=root.root, retention=RetentionSettings(enabled=True, rules=[rule]))
    root.ended(STUDY, to=(), **PATIENT)
    Retrievals(root.engine).want("PACS", {STUDY: 0}, LONG_AGO, anew=False)
    with root.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE retrieval SET state = 'COMPLETE'")
    (removed,) = Retention(keeping, root.engine, root.files, after(100)).look()
    assert removed.study_instance_uid == STUDY
    assert found(root.root)
    erase(settings)
    assert found(root.root) == {}


def test_what_comes_again_is_new(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    erase(settings)
    assert root.store(a_file(1, study=STUDY, **PATIENT)) is Registration.NEW
    assert root.index.study(STUDY).revision == 1


@pytest.mark.parametrize("state", ["on hold", "being received", "waits for its analysis", "being sent"])
def test_what_is_on_hold_or_under_way_is_not_erased_and_nothing_else_either(root, settings, state):
    root.ended(SECOND, to=(), **PATIENT)
    if state == "being received":
        root.received(STUDY, **PATIENT)
    else:
        root.ended(STUDY, sent=False, **PATIENT)
    with database.writing(root.engine).begin() as connection:
        if state == "on hold":
            holds.place(connection, STUDY, "inquiry", "Dr. Bob", LONG_AGO)
        elif state == "being sent":
            connection.exec_driver_sql("UPDATE delivery SET state = 'CLAIMED'")
        elif state == "waits for its analysis":
            connection.exec_driver_sql(f"UPDATE study SET state = 'QUEUED' WHERE study_instance_uid = '{STUDY}'")
    with pytest.raises(NodeError, match=f"nothing was erased: study {STUDY}: .*{state}"):
        erase(settings)
    assert root.index.study(SECOND) is not None


def test_what_waits_to_be_sent_is_erased_and_not_sent(root, settings):
    root.ended(STUDY, sent=False, **PATIENT)
    erase(settings)
    assert root.deliveries.records() == ()


def test_a_study_that_names_others_as_well_is_erased_only_where_that_is_said(root, settings):
    root.received(STUDY, **PATIENT)
    root.ended(STUDY, to=())  # the rest of it, and its result, are of another
    root.store(a_file(5, study=STUDY, **PATIENT), LONG_AGO)
    with root.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE study SET state = 'REFUSED', reason = 'E-PATIENT-MIX: two patients'")
    with pytest.raises(NodeError, match="are named as well"):
        erase(settings)
    assert root.index.study(STUDY) is not None
    assert erase(settings, whole_studies=True).studies[0].names_others
    assert root.index.study(STUDY) is None


def test_of_two_patients_with_the_same_id_one_is_named_by_the_issuer(root, settings):
    root.ended(STUDY, to=(), **PATIENT, IssuerOfPatientID="NORTH")
    root.ended(OTHER, to=(), PatientID="QX-77-ZZ", IssuerOfPatientID="SOUTH")
    with pytest.raises(NodeError, match="say by --issuer"):
        erase(settings)
    erase(settings, issuer="North")
    assert root.index.study(STUDY) is None
    assert root.index.study(OTHER) is not None


def test_an_order_has_not_ended_while_files_of_an_earlier_removal_stay(root, settings, monkeypatch):
    root.ended(STUDY, to=(), **PATIENT)
    root.ended(OTHER, to=())
    with database.writing(root.engine).begin() as connection:
        removing.begin(connection, STUDY, Scope.STUDY, of_a_rule(root), LONG_AGO)
        removing.begin(connection, OTHER, Scope.STUDY, removing.Order("old"), LONG_AGO)
    monkeypatch.setattr(erasure, "_PATIENCE_S", 0.1)
    with root.files.locks.using([STUDY]), pytest.raises(NodeError, match=f"files of {STUDY} stay"):
        erase(settings)
    assert [it.code for it in Alerts(root.engine).open()] == ["E-ERASURE-UNFINISHED"]
    with root.files.locks.using([OTHER]):  # of another patient
        assert erase(settings).done
    assert found(root.root) == {}


def test_an_order_waits_for_who_uses_what_it_erases(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    with database.writing(root.engine).begin() as connection:
        removing.begin(connection, STUDY, Scope.STUDY, of_a_rule(root), LONG_AGO)
    with ExitStack() as served:
        served.enter_context(root.files.locks.using([STUDY]))
        Timer(0.3, served.pop_all().close).start()
        assert erase(settings).done
    assert found(root.root) == {}


def test_a_study_of_which_files_are_gone_is_erased(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    for path in root.files_of(STUDY):
        path.unlink()
    (study,) = erase(settings).studies
    assert (study.study_instance_uid, study.names_others) == (STUDY, False)
    assert found(root.root) == {}


def test_nothing_is_erased_while_a_file_cannot_be_read(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    root.ended(SECOND, to=(), **PATIENT)
    unreadable = next((root.root / "objects" / STUDY).rglob("*.dcm"))
    unreadable.unlink()
    unreadable.symlink_to(unreadable)
    with pytest.raises(OSError, match=unreadable.name):
        erase(settings)
    assert root.index.study(STUDY) is not None
    assert root.index.study(SECOND) is not None


def test_what_is_held_in_quarantine_goes_with_its_file_where_its_reason_names_the_study(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    for study in (STUDY, OTHER):
        reason = f"Study Instance UID is {study} in the command"
        root.index.keep_quarantine(root.files.quarantine(study[-3:].encode(), reason), reason, "CT", LONG_AGO)
    erase(settings)
    (left,) = quarantine.entries(settings).entries
    assert left.reason.startswith(f"Study Instance UID is {OTHER}")
    files = [path.name for path in (root.root / "quarantine").rglob("*") if path.is_file()]
    assert len(files) == 2


@pytest.mark.parametrize("reason", ["", "Ms Zebrafish asked", "wish of QX-77-ZZ"])
def test_an_order_says_why_and_does_not_name_the_patient(root, settings, reason):
    root.ended(STUDY, to=(), **PATIENT)
    with pytest.raises(NodeError, match=r"say why|the reason names the patient"):
        erase(settings, reason=reason)
    assert root.index.study(STUDY) is not None


def test_a_file_that_may_be_arriving_is_waited_for(root, settings):
    root.ended(STUDY, to=(), **PATIENT)
    (root.files.spool / "now.part").write_bytes(a_file(8, study=STUDY, **PATIENT))
    with pytest.raises(NodeError, match="1 files of the patient may be arriving"):
        erase(settings)


def test_results_that_came_back_under_another_study_are_erased(root, settings):
    root.ended(OTHER, to=())
    root.store(a_file(1, 50, "1.2.777.5", Manufacturer="rectal-node", **PATIENT), LONG_AGO + timedelta(days=1))
    assert [it.study_instance_uid for it in erase(settings).studies] == ["1.2.777.5"]
    assert found(root.root) == {}


def erase_at(root: Path) -> None:
    """As an operator does, in a process of its own."""
    erase(Settings(root=root))


def test_an_order_that_is_killed_anywhere_is_finished_when_it_is_given_again(tmp_path):
    template = OldStudies(tmp_path / "template")
    template.ended(STUDY, to=(), **PATIENT)
    template.engine.dispose()
    number, killed = 1, True
    while killed:
        shutil.copytree(template.root, tmp_path / f"{number}")
        killed = killed_at(number, erase_at, tmp_path / f"{number}")
        report = erase(Settings(root=tmp_path / f"{number}"))
        assert report.done
        assert found(tmp_path / f"{number}") == {}
        assert Alerts(OldStudies(tmp_path / f"{number}").engine).open() == ()
        number += 5
    assert number > 20


def test_a_database_of_postgresql_is_cleaned_as_well(tmp_path, postgresql):
    root = OldStudies(tmp_path, emptied(postgresql))
    root.ended(STUDY, to=(), **PATIENT)
    root.ended(OTHER, to=())
    assert erase(Settings(root=tmp_path, database_url=root.url)).done
    assert found(tmp_path) == {}
    with root.engine.connect() as connection:
        assert erasures.remaining(connection, [STUDY]) == ()
    assert root.index.study(OTHER) is not None
    root.engine.dispose()
