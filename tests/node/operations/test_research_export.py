"""`rectal-node export`: which studies, whose pseudonyms, where to, and what stands on record."""

from __future__ import annotations

import csv
import json
import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from node.cohort.register import registered
from node.deidentification.profile import RESEARCH, profile_of
from node.errors import NodeError
from node.operations import erasure, research_export
from node.operations.research_export import Exported, ExportOrder, export
from node.settings import Settings
from storage import database, rejections
from storage.audit import Audit, AuditAction, AuditSearch
from storage.errors import StorageError
from storage.identity import InstanceKey
from storage.pseudonyms import Pseudonyms
from storage.records import RejectionNote, StudyState
from storage.search import StudySearch

from ...parts.kills import killed_at
from ...storage.house import a_result
from ..old_studies import LONG_AGO, OldStudies, a_file

ONE, TWO, OTHER = "1.2.777.1", "1.2.777.2", "1.2.888.1"
PATIENT = {"PatientID": "QX-77-ZZ", "PatientName": "Zebrafish^Quincy", "AccessionNumber": "ACC-9931"}


@pytest.fixture
def root(tmp_path: Path, url: str) -> OldStudies:
    return OldStudies(tmp_path / "root", url)


@pytest.fixture
def settings(root: OldStudies) -> Settings:
    return Settings(root=root.root, database_url=root.url)


@pytest.fixture
def go(settings: Settings, tmp_path: Path):
    """Export into a folder of that name."""

    def exported(name: str = "out", project: str = "trial", profile=RESEARCH, **chosen: object) -> Exported:
        return export(settings, tmp_path / name, ExportOrder(project, profile, "ada", **chosen))

    return exported


def objects(done: Exported) -> list:
    return [dcmread(path) for path in sorted((done.path / "objects").rglob("*.dcm"))]


def test_received_objects_and_results_of_the_chosen_studies_leave(root, go):
    for study in (ONE, OTHER):
        root.ended(study, to=(), **PATIENT)
    done = go(studies=(ONE,))
    assert (done.studies, done.patients, done.objects, done.left_out, done.missing) == (1, 1, 4, {}, {})
    assert sorted(it.get("Manufacturer", "") for it in objects(done)) == ["", "", "", "rectal-node"]
    assert done.size == sum(path.stat().st_size for path in done.path.rglob("*.dcm"))


@pytest.mark.parametrize(
    ("wanted", "studies"),
    [
        (StudySearch(), 3),
        (StudySearch(patient="zebra"), 2),
        (StudySearch(accession="9931"), 2),
        (StudySearch(date_from="20260201"), 1),
        (StudySearch(patient="zebra", date_to="20260201"), 1),
    ],
)
def test_studies_are_chosen_as_they_are_looked_for(root, go, wanted, studies):
    root.ended(ONE, to=(), **PATIENT)
    root.ended(TWO, to=(), **PATIENT, StudyDate="20260301")
    root.ended(OTHER, to=())
    assert go(wanted=wanted).studies == studies


def test_a_patient_has_the_same_pseudonym_and_uids_in_a_later_export_of_the_project(root, go):
    root.ended(ONE, to=(), **PATIENT)
    first = {it.SOPInstanceUID: it.PatientID for it in objects(go("first"))}
    root.ended(TWO, to=(), **PATIENT | {"PatientID": "qx-77-zz "})
    later = {it.SOPInstanceUID: it.PatientID for it in objects(go("later"))}
    assert later.items() >= first.items()
    assert set(later.values()) == set(first.values())
    elsewhere = {it.SOPInstanceUID: it.PatientID for it in objects(go("elsewhere", project="other"))}
    assert not elsewhere.keys() & later.keys()
    assert not set(elsewhere.values()) & set(later.values())


def test_dates_keep_their_distances_within_a_patient(root, go):
    root.ended(ONE, to=(), **PATIENT, StudyDate="20260101")
    root.ended(TWO, to=(), **PATIENT, StudyDate="20260315")
    days = sorted({it.StudyDate for it in objects(go())})
    first, second = (datetime.strptime(it, "%Y%m%d").replace(tzinfo=UTC).date() for it in days)
    assert second - first == date(2026, 3, 15) - date(2026, 1, 1)
    assert (date(2026, 1, 1) - first).days >= 365
    assert first.weekday() == date(2026, 1, 1).weekday()


def test_the_table_of_pseudonyms_lies_in_the_root_for_its_user_alone_and_not_in_the_export(root, go):
    root.ended(ONE, to=(), **PATIENT)
    done = go()
    table = root.root / "pseudonyms" / "trial.jsonl"
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    (row,) = Pseudonyms(root.root).rows("trial")
    assert (row.patient_id, row.pseudonym) == ("QX-77-ZZ", objects(done)[0].PatientID)
    everything = b"".join(path.read_bytes() for path in done.path.rglob("*") if path.is_file())
    for secret in (row.key.encode(), bytes.fromhex(row.key), b"QX-77-ZZ", ONE.encode()):
        assert secret not in everything


def test_an_erasure_removes_the_row_of_the_patient_in_every_project(root, settings, go):
    root.ended(ONE, to=(), **PATIENT)
    root.ended(OTHER, to=())
    for project in ("trial", "other"):
        go(project, project)
    before = Pseudonyms(root.root).rows("trial")
    erasure.erase(settings, "qx-77-zz", "", "request of 1 March", "Dr. Ada")
    for project in ("trial", "other"):
        assert [it.patient_id for it in Pseudonyms(root.root).rows(project)] == ["P1"]
    gone = next(it for it in before if it.patient_id == "QX-77-ZZ")
    files = [path for path in root.root.rglob("*") if path.is_file()]
    assert not [path for path in files if gone.key.encode() in path.read_bytes()]


def test_each_study_is_on_record_with_who_where_to_and_for_what(root, go):
    root.ended(ONE, to=(), **PATIENT)
    done = go()
    (event,) = Audit(root.engine).find(AuditSearch(actions=frozenset({AuditAction.EXPORTED})))
    assert (event.account, event.study_instance_uid, event.patient_id) == ("ada", ONE, "QX-77-ZZ")
    assert event.subject == str(done.path)
    assert event.detail == f"de-identified for trial, profile {RESEARCH}"
    assert sum(event.facts.sop_classes.values()) == 4


def test_what_cannot_be_put_on_record_is_not_exported(tmp_path):
    root = OldStudies(tmp_path / "root")
    root.ended(ONE, to=(), **PATIENT)
    with root.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_event RENAME TO another"))
    with pytest.raises(OperationalError, match="no such table: audit_event"):
        export(Settings(root=root.root), tmp_path / "out", ExportOrder("trial", RESEARCH, "ada"))
    assert not list((tmp_path / "out").rglob("*.dcm"))
    assert not (tmp_path / "out" / "export.json").exists()


def test_a_study_that_names_two_patients_stays_here(root, go):
    root.ended(ONE, to=(), **PATIENT)
    root.store(a_file(9, study=ONE, PatientID="SOMEBODY"))
    root.ended(OTHER, to=())
    done = go()
    assert done.missing == {ONE: "its objects name several patients"}
    assert (done.studies, len({it.PatientID for it in objects(done)})) == (1, 1)


def test_one_patient_id_of_two_persons_gives_two_pseudonyms(root, go):
    root.ended(ONE, to=(), **PATIENT, PatientBirthDate="19500101")
    root.ended(TWO, to=(), **PATIENT, PatientBirthDate="19800101")
    root.ended(OTHER, to=(), **PATIENT, PatientBirthDate="")
    done = go()
    assert (done.studies, done.patients, list(done.missing)) == (2, 2, [OTHER])
    assert "do not say whose it is" in done.missing[OTHER]


def test_a_study_that_does_not_say_enough_waits_for_those_that_do(root, go):
    """Whatever the order in which they are exported: it is never that of the first of two persons."""
    root.ended(ONE, to=(), **PATIENT, PatientBirthDate="")
    root.ended(TWO, to=(), **PATIENT, PatientBirthDate="19500101")
    root.ended(OTHER, to=(), **PATIENT, PatientBirthDate="19800101")
    assert list(go("two persons", studies=(ONE, TWO, OTHER)).missing) == [ONE]
    assert go("one person", project="other", studies=(ONE, TWO)).patients == 1


def test_of_a_study_that_was_erased_meanwhile_nothing_is_written_down_again(root, settings, tmp_path):
    """It was chosen, and is gone when its turn comes."""
    for study in (ONE, TWO):
        root.ended(study, to=(), **PATIENT | {"PatientID": study})

    def erased_at_its_turn(studies, _total):
        for study in studies:
            if study == TWO:
                erasure.erase(settings, TWO, "", "request of 1 March", "Dr. Ada")
            yield study

    done = export(settings, tmp_path / "out", ExportOrder("trial", RESEARCH, "ada"), erased_at_its_turn)
    assert (done.studies, done.missing) == (1, {TWO: "nothing of it is here any more"})
    assert [it.patient_id for it in Pseudonyms(root.root).rows("trial")] == [ONE]
    events = Audit(root.engine).find(AuditSearch(actions=frozenset({AuditAction.EXPORTED})))
    assert [it.study_instance_uid for it in events] == [ONE]
    assert len((tmp_path / "out" / "cases.csv").read_text().splitlines()) == 2


def test_a_study_of_which_no_file_can_be_read_is_missing_and_leaves_no_pseudonym(root, go):
    root.ended(ONE, to=(), **PATIENT)
    root.ended(OTHER, to=())
    for path in (root.root / "objects" / ONE).rglob("*.dcm"):
        path.write_bytes(b"broken")
    done = go()
    assert (done.studies, done.missing) == (1, {ONE: "none of its files can be read"})
    assert [it.patient_id for it in Pseudonyms(root.root).rows("trial")] == ["P1"]


def test_a_study_with_more_objects_than_are_read_at_once_is_missing_and_the_others_leave(root, go, monkeypatch):
    root.ended(ONE, to=(), **PATIENT)
    root.store(a_file(9, study=ONE, **PATIENT))
    root.ended(OTHER, to=())
    monkeypatch.setattr(research_export, "_MOST_OBJECTS", 4)
    done = go()
    assert (done.studies, done.missing) == (1, {ONE: "more than 4 objects"})


def test_studies_that_name_nobody_are_a_patient_each(root, go):
    for study in (ONE, TWO):
        root.ended(study, to=(), PatientID="", PatientBirthDate="")
    assert len({it.PatientID for it in objects(go())}) == 2


def test_a_name_is_found_in_an_object_that_does_not_say_whose_it_is(root, go):
    root.ended(ONE, to=(), **PATIENT)
    nobody = dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "IssuerOfPatientID", "AccessionNumber"), "")
    root.store(a_file(9, study=ONE, **nobody, ReceiveCoilName="ZEBRAFISH", TransmitCoilName="QX-77-ZZ"))
    done = go()
    assert done.replaced == {"ReceiveCoilName": 1, "TransmitCoilName": 1}
    assert len({it.PatientID for it in objects(done)}) == 1


def test_a_result_that_was_superseded_stays_here_with_its_reason(root, go):
    root.ended(ONE, to=(), **PATIENT)
    root.store(a_file(9, study=ONE, **PATIENT))
    root.index.move(ONE, 2, StudyState.QUEUED)
    made = a_result(root.files, a_file(2, 90, ONE, Manufacturer="rectal-node", Modality="SR", **PATIENT), revision=2)
    root.ledger.conclude(ONE, 2, StudyState.COMPLETED, "", [made], [], LONG_AGO)
    done = go()
    assert done.left_out == {"a result that a later one has superseded": 1}
    with (done.path / "left-out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["reason"] == "a result that a later one has superseded"
    assert row["study"] == objects(done)[0].StudyInstanceUID


def test_what_a_rejection_note_has_rejected_stays_here(root, go):
    root.ended(ONE, to=(), **PATIENT)
    note = RejectionNote("113001", ((ONE, InstanceKey(f"{ONE}.1", f"{ONE}.1.1")),))
    with database.writing(root.engine).begin() as connection:
        list(rejections.keep(connection, note, "9.9", LONG_AGO))
    assert go().left_out == {"a rejection note has rejected it": 1}


def test_its_cases_are_a_table_that_a_cohort_is_made_by(root, go):
    for study in (ONE, TWO):
        root.ended(study, to=(), **PATIENT)
    done = go()
    cases = registered((), done.path / "cases.csv")
    assert cases.keys() == {it.StudyInstanceUID for it in objects(done)}
    assert {it.patient_id for it in cases.values()} == {objects(done)[0].PatientID}


def test_a_file_that_is_gone_is_told_and_the_others_leave(root, go):
    root.ended(ONE, to=(), **PATIENT)
    first = next(iter(root.index.instances(ONE)))
    root.files.absolute(first.file).unlink()
    done = go()
    assert (done.objects, list(done.missing)) == (3, [first.header.sop_instance_uid])


@pytest.mark.parametrize("where", ["root", "root/out", "."])
def test_a_folder_in_the_root_or_above_it_is_refused(root, settings, tmp_path, where):
    root.ended(ONE, to=(), **PATIENT)
    (tmp_path / "link").symlink_to(root.root)
    for target in (tmp_path / where, tmp_path / "link" / "out"):
        with pytest.raises(NodeError, match="neither in the root nor above it"):
            export(settings, target, ExportOrder("trial", RESEARCH, "ada"))
    assert not (root.root / "out").exists()


def test_a_folder_that_holds_something_is_refused_and_left_as_it_is(root, go, tmp_path):
    root.ended(ONE, to=(), **PATIENT)
    go()
    before = sorted(tmp_path.joinpath("out").rglob("*"))
    with pytest.raises(NodeError, match="holds something: give an empty folder"):
        go()
    assert sorted(tmp_path.joinpath("out").rglob("*")) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match="is no folder"):
        go("file")


def test_nothing_is_made_where_no_study_fits_or_the_project_has_no_name(root, go, tmp_path):
    root.ended(ONE, to=(), **PATIENT)
    with pytest.raises(NodeError, match="no study fits"):
        go(wanted=StudySearch(patient="nobody"))
    with pytest.raises(NodeError, match=r"not here: 9\.9"):
        go(studies=("9.9",))
    with pytest.raises(NodeError, match="'2026' is no day"):
        go(wanted=StudySearch(date_from="2026"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(StorageError, match="no name of a project"):
        go(project="../x")
    assert not (tmp_path / "out" / "export.json").exists()


@pytest.mark.parametrize("boundary", [2, 4, 6])
def test_an_export_that_is_killed_leaves_no_file_that_is_not_whole_and_no_end(root, settings, tmp_path, boundary):
    root.ended(ONE, to=(), **PATIENT)
    target, order = tmp_path / "out", ExportOrder("trial", RESEARCH, "ada")
    root.engine.dispose()
    assert killed_at(boundary, export, settings, target, order)
    assert not (target / "export.json").exists()
    assert all(dcmread(path).PatientIdentityRemoved == "YES" for path in target.rglob("*.dcm"))
    with pytest.raises(NodeError, match="or was interrupted: remove it, and export again"):
        export(settings, target, order)


def test_an_object_is_durable_before_it_has_its_name_and_its_folder_before_the_end(root, go, monkeypatch):
    root.ended(ONE, to=(), **PATIENT)
    calls, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append(os.readlink(f"/proc/self/fd/{file}")), sync(file)))
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append(f"named {new}"), replace(old, new)))
    done = go()
    paths = list(done.path.rglob("*.dcm"))
    for path in paths:
        wanted = [
            str(path.with_suffix(".part")),
            f"named {path}",
            str(path.parent),
            f"named {done.path / 'export.json'}",
        ]
        found = [calls.index(it) for it in wanted]
        assert found == sorted(found)
    assert len(paths) == 4


def test_the_basic_profile_leaves_no_date(root, go):
    root.ended(ONE, to=(), **PATIENT)
    (days,) = {it.StudyDate for it in objects(go(profile=profile_of("basic")))}
    assert days == ""


# --- the command


@pytest.fixture
def config(root: OldStudies, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(f'root = "{root.root}"\ndatabase_url = "{root.url}"\n')
    return str(path)


def test_the_command_says_what_it_has_written(root, config, command, tmp_path):
    root.ended(ONE, to=(), **PATIENT)
    ended = command("export", str(tmp_path / "out"), "--project", "trial", "--patient", "zebra", "--config", config)
    assert ended.returncode == 0, ended.stderr
    assert "4 objects (0.0 GB) of 1 studies, 1 patients of trial" in ended.stdout
    assert "Zebrafish" not in ended.stdout


def test_the_command_keeps_nothing_unless_told_prints_json_and_ends_with_1_where_something_is_missing(
    root, config, command, tmp_path
):
    root.ended(ONE, to=(), **PATIENT)
    root.store(a_file(9, study=ONE, PatientID="SOMEBODY"))
    target = str(tmp_path / "out")
    ended = command("export", target, "--project", "trial", "--all", "--json", "--config", config)
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert (document["profile"], document["missing"]) == ("basic", {ONE: "its objects name several patients"})


@pytest.mark.parametrize("chosen", [(), ("--all", "--patient", "x"), ("--study", ONE, "--all")])
def test_the_command_wants_to_know_which_studies(config, command, tmp_path, chosen):
    ended = command("export", str(tmp_path / "out"), "--project", "trial", *chosen, "--config", config)
    assert (ended.returncode, (tmp_path / "out").exists()) == (1, False)
    assert "say which studies" in ended.stderr


def test_what_the_command_writes_is_its_users_alone(root, config, command, tmp_path):
    root.ended(ONE, to=(), **PATIENT)
    command("export", str(tmp_path / "out"), "--project", "trial", "--all", "--config", config)
    modes = {stat.S_IMODE(os.stat(path).st_mode) for path in (tmp_path / "out").rglob("*")}
    assert modes == {0o600, 0o700}
