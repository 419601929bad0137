"""What is one object, a revision of it, or a clash, from the bytes on disk to the rows of the index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from storage import database
from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import content_of
from storage.identity import InstanceKey
from storage.index import Index
from storage.records import PatientIdentity, Registration, RejectionNote, StudyState
from storage.reruns import reopen

IMPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"


@pytest.fixture
def index(engine):
    return Index(engine)


@pytest.fixture
def store(tmp_path):
    return ObjectStore(tmp_path / "root")


def a_file(data: bytes = b"data", syntax: str = IMPLICIT, writer: bytes = b"") -> bytes:
    """A file with a transfer syntax in its file meta information; `writer` fills the preamble."""
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = bytes.fromhex("02001000") + b"UI" + len(value).to_bytes(2, "little") + value
    return writer.ljust(128, b"\0") + b"DICM" + element + data


def of_series(header, series: str):
    return replace(header, series_instance_uid=series)


# --- objects of an index


def test_one_uid_in_two_series_is_two_objects(index, make_header, make_file, at):
    first = make_header(1, series=1)
    second = of_series(first, "1.2.3.2")
    assert index.register(first, make_file("a"), "SCANNER", at(0)) is Registration.NEW
    assert index.register(second, make_file("b"), "SCANNER", at(1)) is Registration.NEW
    assert [record.header for record in index.instances("1.2.3")] == [first, second]
    study = index.study("1.2.3")
    assert (study.instance_count, study.series_count, study.changed) == (2, 2, False)


def test_each_object_of_a_clash_has_its_own_duplicates_and_revisions(index, make_header, make_file, at):
    late, early = of_series(make_header(1), "1.2.3.9"), of_series(make_header(1), "1.2.3.1")
    for second, (header, content) in enumerate([(late, "a"), (early, "b"), (late, "c"), (early, "d")]):
        index.register(header, make_file(content), "SCANNER", at(second))
    assert index.register(late, make_file("c"), "SCANNER", at(9)) is Registration.DUPLICATE
    assert index.register(early, make_file("d"), "SCANNER", at(9)) is Registration.DUPLICATE
    latest = {record.header.series_instance_uid: record.file for record in index.instances("1.2.3")}
    assert latest == {"1.2.3.9": make_file("c"), "1.2.3.1": make_file("d")}
    assert index.study("1.2.3").changed


@pytest.mark.parametrize("series", [("1.2.3.1", "1.2.3.9"), ("1.2.3.9", "1.2.3.1")])
def test_the_latest_is_the_last_that_arrived_and_never_the_greatest_uid(index, make_header, make_file, at, series):
    """The series of the second instance comes before or after that of the first; each keeps its last content."""
    for second, (uid, content) in enumerate([(series[0], "a"), (series[1], "a"), (series[0], "b")]):
        index.register(of_series(make_header(1), uid), make_file(content), "SCANNER", at(second))
    latest = {record.header.series_instance_uid: record.file for record in index.instances("1.2.3")}
    assert latest == {series[0]: make_file("b"), series[1]: make_file("a")}


def test_the_same_bytes_in_another_transfer_syntax_are_a_revision(index, make_header, make_file, at):
    explicit, implicit = make_header(), replace(make_header(), transfer_syntax_uid=IMPLICIT)
    index.register(explicit, make_file("a"), "SCANNER", at(0))
    assert index.register(implicit, make_file("a"), "SCANNER", at(1)) is Registration.REVISED
    assert index.register(implicit, make_file("a"), "SCANNER", at(2)) is Registration.DUPLICATE
    (latest,) = index.instances("1.2.3")
    assert latest.header == implicit
    assert latest.content.identifier != replace(latest, header=explicit).content.identifier


def test_objects_of_one_uid_in_several_studies_name_one_another(index, make_header, make_file, at):
    for study in ("1.2.3", "1.9", "1.8"):
        header = replace(make_header(1), study_instance_uid=study, series_instance_uid=f"{study}.5")
        index.register(header, make_file(), "SCANNER", at(0))
        index.register(make_header(2, study=study), make_file(), "SCANNER", at(0))
    uid = make_header(1).sop_instance_uid
    assert index.elsewhere("1.2.3") == {InstanceKey("1.2.3.5", uid): ("1.8", "1.9")}
    assert index.elsewhere("1.9") == {InstanceKey("1.9.5", uid): ("1.2.3", "1.8")}
    assert index.elsewhere("1.7") == {}


def test_other_studies_are_found_through_an_index(tmp_path):
    engine = database.open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    query = "SELECT 1 FROM dicom_object WHERE sop_instance_uid='1'"
    with engine.connect() as connection:
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
    assert "object_by_uid" in plan


def test_two_series_that_share_uids_may_arrive_at_the_same_time(url, make_header, make_file, at):
    indexes = [Index(database.open_engine(url)) for _ in range(2)]

    def send(writer: int) -> list[Registration]:
        headers = [of_series(make_header(number), f"1.2.3.{writer}") for number in range(20)]
        return [indexes[writer].register(it, make_file(), "SCANNER", at(n)) for n, it in enumerate(headers)]

    with ThreadPoolExecutor(2) as pool:
        registrations = [r for found in pool.map(send, range(2)) for r in found]
    assert set(registrations) == {Registration.NEW}
    assert len(indexes[0].instances("1.2.3")) == indexes[0].study("1.2.3").instance_count == 40


# --- files


def test_the_same_bytes_in_two_transfer_syntaxes_are_two_files(store, make_header):
    one, two = (store.store(a_file(syntax=syntax), make_header()) for syntax in (IMPLICIT, DEFLATED))
    assert one.path != two.path
    assert one.digest == two.digest
    assert [store.absolute(file).read_bytes() for file in (one, two)] == [
        a_file(syntax=syntax) for syntax in (IMPLICIT, DEFLATED)
    ]


def test_what_another_program_writes_around_the_same_content_is_one_file(store, make_header):
    one, two = (store.store(a_file(writer=writer), make_header()) for writer in (b"ONE", b"TWO"))
    assert one == two


def test_a_file_that_has_the_name_of_before_is_found_again(store, make_header):
    """Until the transfer syntax was part of the content, the digest of the data set alone was in the name."""
    file = store.store(a_file(), make_header())
    former = file.path.with_name(f"{make_header().sop_instance_uid}-{file.digest[:16]}.dcm")
    store.absolute(file).rename(store.root / former)
    assert store.store(a_file(), make_header()).path == former
    assert store.store(a_file(syntax=DEFLATED), make_header()).path != former
    assert len(list((store.root / "objects").rglob("*.dcm"))) == 2


def test_broken_bytes_in_two_transfer_syntaxes_are_both_kept(store):
    kept = [store.quarantine(a_file(syntax=syntax), f"cut short in {syntax}") for syntax in (IMPLICIT, DEFLATED)]
    assert [store.absolute(file).read_bytes() for file in kept] == [
        a_file(syntax=syntax) for syntax in (IMPLICIT, DEFLATED)
    ]


def test_the_content_of_what_is_no_dicom_file_is_all_of_it():
    assert content_of(b"no DICOM").transfer_syntax_uid == ""
    assert content_of(b"no DICOM") != content_of(b"other")


def test_a_transfer_syntax_leads_nowhere_out_of_the_root(store, make_header):
    file = store.store(a_file(syntax="../../../../x"), make_header())
    assert store.absolute(file).resolve().is_relative_to(store.root)
    with pytest.raises(HeaderError):
        store.store(a_file(), replace(make_header(), sop_instance_uid="../x"))


# --- databases of before


@pytest.fixture
def former(empty_url, at):
    """The URL of a database as version 0.1 made it, with a study of one instance, a verdict and a delivery in it."""
    engine = create_engine(empty_url)
    name = engine.dialect.name
    statements = (Path(__file__).parent / "data" / f"index-of-0.1.{name}.sql").read_text().split(";")
    moment = "2026-01-02 03:04:05" + ("+00" if name == "postgresql" else "")
    uid, file = "1.2.3.1.1", "'objects/a.dcm', 'aaaa', 100"
    rows = (
        f"study VALUES ('1.2.3', 1, 'RECEIVING', 1, 1, '{moment}', '{moment}', false, '')",
        f"instance VALUES (1, '1.2.3', '1.2.3.1', '1.2', '{uid}', '{IMPLICIT}', 1, {file}, 'MR', '{moment}')",
        "verdict VALUES ('1.2.3', 1, 'a record')",
        f"result VALUES (1, '1.2.3', 1, 'report', '1.2', '1.7', '1.6', {file})",
        f"delivery VALUES (1, 1, '1.7', 'pacs', 'DELIVERED', 1, '{moment}', '')",
    )
    with engine.begin() as connection:
        for statement in (*statements, *(f"INSERT INTO {row}" for row in rows)):
            if statement.strip():
                connection.execute(text(statement))
        if name == "postgresql":
            connection.execute(text("SELECT setval('instance_identifier_seq', 1)"))
    engine.dispose()
    return empty_url


def test_a_database_of_before_opens_and_works_by_the_same_rule(former, make_header, make_file, at):
    index = Index(database.open_engine(former))
    (known,) = index.instances("1.2.3")
    assert (known.header.key, known.revision) == (InstanceKey("1.2.3.1", "1.2.3.1.1"), 1)
    implicit = replace(make_header(1), transfer_syntax_uid=IMPLICIT)
    again = replace(make_file(), digest="aaaa")
    assert index.register(implicit, again, "MR", at(1)) is Registration.DUPLICATE
    assert index.register(make_header(1), again, "MR", at(2)) is Registration.REVISED
    assert index.register(of_series(implicit, "1.2.3.2"), again, "MR", at(3)) is Registration.NEW
    other = replace(make_header(1), study_instance_uid="1.9", series_instance_uid="1.9.1")
    assert index.register(other, again, "MR", at(4)) is Registration.NEW
    assert len(index.instances("1.2.3")) == 2
    assert set(index.elsewhere("1.9")) == {other.key}


def test_a_database_of_before_can_keep_who_is_meant(former, at):
    index = Index(database.open_engine(former))
    assert index.meant_patient("1.2.3") is None
    index.move("1.2.3", 1, StudyState.REFUSED, "two patients")
    reopen(index._engine, "1.2.3", PatientIdentity("a" * 64), at(1))
    assert index.meant_patient("1.2.3") == PatientIdentity("a" * 64)


def test_a_database_of_before_knows_results_under_other_uids(former, make_header, make_file, at):
    index = Index(database.open_engine(former))
    of_its_series = replace(make_header(3), series_instance_uid="1.6")
    assert index.register(of_its_series, make_file("b"), "PACS", at(1)) is Registration.OWN_RESULT
    assert index.returned_series("1.2.3") == {"1.6"}


def test_a_database_of_before_takes_rejection_notes(former, make_header, make_file, at):
    index = Index(database.open_engine(former))
    note = RejectionNote("113001", (("1.2.3", InstanceKey("1.2.3.1", "1.2.3.1.1")),))
    index.move("1.2.3", 1, StudyState.REFUSED, "")
    index.register(make_header(9, 9), make_file("b"), "PACS", at(1), note=note)
    assert index.study("1.2.3").revision == 2
    assert set(index.rejected("1.2.3")) == {InstanceKey("1.2.3.1", "1.2.3.1.1")}


def test_an_index_that_a_database_of_before_lacks_is_made(former):
    database.open_engine(former).dispose()
    engine = database.open_engine(former)
    query = {"sqlite": "SELECT name FROM sqlite_master", "postgresql": "SELECT indexname FROM pg_indexes"}
    with engine.connect() as connection:
        assert "object_by_uid" in connection.scalars(text(query[engine.dialect.name])).all()
