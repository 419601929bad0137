"""C-FIND as SCP on real sockets: DCMTK's findscu and pynetdicom ask what the node has (PS3.4 C.4.1)."""

from __future__ import annotations

import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind as PatientRoot,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as StudyRoot,
)
from pynetdicom.sop_class import Verification
from sqlalchemy import Engine, insert, text

from node.dicom.transport import keep_responses
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage import catalogue_schema as tables
from storage.audit import Audit, AuditAction, AuditSearch
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from ...parts.processes import wait_for
from ...storage.house import House, a_file

IMPLICIT = str(ImplicitVRLittleEndian)
PENDING, UNSUPPORTED, CANCELLED, SUCCESS = 0xFF00, 0xFF01, 0xFE00, 0x0000
MISMATCH, OUT_OF_RESOURCES = 0xA900, 0xA700
QUERIES = AuditSearch(actions=frozenset({AuditAction.QUERIED}))
RIGHTS = (
    RemoteSettings(name="workstation", ae_title="FINDSCU", may_query=True),
    RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True),
    RemoteSettings(name="both", ae_title="BOTH", may_store=True, may_query=True),
)


def start(root: Path, **settings: object) -> tuple[Listener, Engine]:
    engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
    values = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0, **settings})
    listener = Listener(values, RIGHTS, ObjectStore(root), Index(engine), time_zone="UTC")
    listener.start()
    return listener, engine


def fill(engine: Engine, root: Path) -> None:
    house = House(engine, root, lambda _seconds: datetime(2026, 1, 2, tzinfo=UTC))
    house.receive(a_file(1, 1, "1.2.3"))
    house.receive(a_file(2, 1, "1.2.3"))
    house.receive(a_file(1, 2, "1.2.3", Modality="SEG", SeriesDescription="mask"))
    latin = {"PatientID": "P2", "PatientName": "Müller^Änne", "StudyDescription": "100%_sure"}
    house.receive(a_file(1, 1, "1.2.4", **latin))
    chinese = {"PatientID": "P3", "PatientName": "Wang^XiaoDong=王^小东", "StudyDate": "20260203"}
    house.receive(a_file(1, 1, "1.2.5", **chinese))
    house.receive(a_file(1, 1, "1.2.6", PatientID="P4", PatientName="Иванов^Пётр", StudyTime="1700"))
    catch_up(engine, house.files)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A node with four studies."""
    root = tmp_path_factory.mktemp("node")
    listener, engine = start(root)
    fill(engine, root)
    yield SimpleNamespace(listener=listener, engine=engine, port=listener.port)
    listener.stop(patience_s=0.5)


def associate(port: int, *classes: str, title: str = "FINDSCU", negotiated: bytes = b"") -> Association:
    ae = AE(ae_title=title)
    for each in classes:
        ae.add_requested_context(each, ExplicitVRLittleEndian)
    items = []
    for each in classes if negotiated else ():
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = each, negotiated
        items.append(item)
    association = ae.associate("127.0.0.1", port, ae_title="RECTALNODE", ext_neg=items)
    keep_responses(association)
    return association


def a_query(level: str = "STUDY", **keys: object) -> Dataset:
    asked = Dataset()
    if level:
        asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def ask(
    port: int, asked: Dataset, model: str = StudyRoot, negotiated: bytes = b""
) -> tuple[list[Dataset], list[int], Dataset]:
    """The answers, their statuses, and the last status."""
    association = associate(port, model, negotiated=negotiated)
    assert association.is_established
    responses = list(association.send_c_find(asked, model))
    association.release()
    *pending, (last, _) = responses
    return [answer for _, answer in pending], [status.Status for status, _ in pending], last


def studies(port: int, **keys: object) -> list[str]:
    answers, _, last = ask(port, a_query(StudyInstanceUID="", **keys))
    assert last.Status == SUCCESS
    return [answer.StudyInstanceUID for answer in answers]


@pytest.fixture
def findscu(node: SimpleNamespace, tmp_path: Path) -> Callable[..., list[Dataset]]:
    """Ask by DCMTK; what it was answered."""

    def run(*keys: str, model: str = "-S") -> list[Dataset]:
        call = ["findscu", model, "-X", "-od", str(tmp_path), "-aet", "FINDSCU", "-aec", "RECTALNODE"]
        for key in keys:
            call += ["-k", key]
        ended = subprocess.run([*call, "127.0.0.1", str(node.port)], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return [dcmread(path, force=True) for path in sorted(tmp_path.glob("rsp*.dcm"))]

    return run


def test_findscu_gets_the_attributes_that_it_asks_for(findscu):
    (study,) = findscu(
        *("QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.3", "PatientName", "ModalitiesInStudy", "StudyDate"),
        *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "InstanceAvailability", "RetrieveAETitle"),
    )
    assert str(study.PatientName) == "Muster^Erika"
    assert (study.StudyInstanceUID, study.StudyDate) == ("1.2.3", "20260102")
    assert list(study.ModalitiesInStudy) == ["MR", "SEG"]
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 3)
    assert (study.QueryRetrieveLevel, study.RetrieveAETitle) == ("STUDY", "RECTALNODE")
    assert study.InstanceAvailability == "ONLINE"
    assert "AccessionNumber" not in study


def test_findscu_goes_down_from_the_patient_to_its_images(findscu):
    upper = ("PatientID=P1", "StudyInstanceUID=1.2.3", "SeriesInstanceUID=1.2.3.1")
    images = findscu("QueryRetrieveLevel=IMAGE", *upper, "SOPInstanceUID", "InstanceNumber", model="-P")
    assert [(image.SOPInstanceUID, image.InstanceNumber) for image in images] == [("1.2.3.1.1", 1), ("1.2.3.1.2", 2)]


def test_each_level_has_one_answer_an_entity(node):
    def unique(model: str, level: str, keyword: str, **keys: str) -> list[str]:
        answers, _, last = ask(node.port, a_query(level, **{keyword: ""}, **keys), model)
        assert last.Status == SUCCESS
        return [answer[keyword].value for answer in answers]

    assert unique(PatientRoot, "PATIENT", "PatientID") == ["P1", "P2", "P3", "P4"]
    assert unique(PatientRoot, "STUDY", "StudyInstanceUID", PatientID="P1") == ["1.2.3"]
    assert unique(StudyRoot, "SERIES", "SeriesInstanceUID", StudyInstanceUID="1.2.3") == ["1.2.3.1", "1.2.3.2"]
    above = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.2"}
    assert unique(StudyRoot, "IMAGE", "SOPInstanceUID", **above) == ["1.2.3.2.1"]


def test_the_patient_has_counts_of_all_below(node):
    counts = ("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    asked = a_query("PATIENT", PatientID="P1", **dict.fromkeys(counts, ""))
    (patient,), _, _ = ask(node.port, asked, PatientRoot)
    assert [patient[keyword].value for keyword in counts] == [1, 2, 3]


def test_wild_cards_and_case(node):
    assert studies(node.port, PatientName="mull*") == ["1.2.4"]
    assert studies(node.port, StudyDescription="100%_*") == ["1.2.4"]
    assert studies(node.port, StudyDescription="100?_s*") == ["1.2.4"]
    assert studies(node.port, StudyDescription="1__%_*") == []
    assert studies(node.port, StudyDescription="becken*") == []
    assert studies(node.port, PatientID="P[12]") == []


@pytest.mark.parametrize(
    ("character_set", "name", "study"),
    [
        ("ISO_IR 144", "ИВАНОВ^*", "1.2.6"),
        ("ISO_IR 100", "MÜLLER*", "1.2.4"),
        ("GB18030", "王^小*", "1.2.5"),
        (["", "ISO 2022 IR 87"], "=王*", "1.2.5"),
        ("ISO_IR 192", "иванов^петр", "1.2.6"),
    ],
)
def test_a_name_is_found_in_whatever_character_set_it_is_asked_for(node, character_set, name, study):
    assert studies(node.port, SpecificCharacterSet=character_set, PatientName=name) == [study]


@pytest.mark.parametrize(
    ("patient", "asked", "said"),
    [
        ("P1", None, None),
        ("P2", None, "ISO_IR 100"),
        ("P3", None, "ISO_IR 192"),
        ("P3", "GB18030", "GB18030"),
        ("P3", "ISO_IR 100", "ISO_IR 192"),
        ("P4", "ISO_IR 144", "ISO_IR 144"),
        ("P1", "ISO_IR 144", "ISO_IR 144"),
    ],
)
def test_an_answer_is_in_a_character_set_that_has_all_its_text(node, patient, asked, said):
    declared = {"SpecificCharacterSet": asked} if asked else {}
    (answer,), _, _ = ask(node.port, a_query(PatientID=patient, PatientName="", StudyInstanceUID="", **declared))
    assert answer.get("SpecificCharacterSet") == said
    names = {"P1": "Muster^Erika", "P2": "Müller^Änne", "P3": "Wang^XiaoDong=王^小东", "P4": "Иванов^Пётр"}
    assert answer.PatientName == names[patient]


def test_keys_that_are_not_supported_are_said_by_ff01_and_left_out(node):
    answers, statuses, last = ask(node.port, a_query(StudyInstanceUID="1.2.3", Modality="XA", TransducerData="x"))
    assert (statuses, last.Status) == ([UNSUPPORTED], SUCCESS)
    assert "Modality" not in answers[0]
    assert "TransducerData" not in answers[0]
    assert ask(node.port, a_query(StudyInstanceUID="1.2.3", OperatorsName=""))[1] == [UNSUPPORTED]
    assert ask(node.port, a_query(StudyInstanceUID="1.2.3", StudyDate=""))[1] == [PENDING]


@pytest.mark.parametrize(
    ("asked", "model", "comment", "element"),
    [
        (a_query("", StudyInstanceUID=""), StudyRoot, "no Query/Retrieve Level", 0x00080052),
        (a_query("PATIENT", PatientID=""), StudyRoot, "levels STUDY, SERIES, IMAGE", 0x00080052),
        (a_query("FRAME", PatientID=""), PatientRoot, "levels PATIENT, STUDY", 0x00080052),
        (a_query("SERIES", SeriesInstanceUID=""), StudyRoot, "one value of StudyInstanceUID", 0x0020000D),
        (a_query("SERIES", StudyInstanceUID=["1", "2"]), StudyRoot, "one value of StudyInstanceUID", 0x0020000D),
        (a_query("STUDY", PatientID="P*"), PatientRoot, "one value of PatientID", 0x00100020),
        (
            a_query("SERIES", StudyInstanceUID="1", RequestAttributesSequence=[Dataset(), Dataset()]),
            *(StudyRoot, "a sequence has one item", 0x00400275),
        ),
    ],
)
def test_a_malformed_identifier_is_refused_with_words_and_its_element(node, asked, model, comment, element):
    answers, _, last = ask(node.port, asked, model)
    assert answers == []
    assert last.Status == MISMATCH
    assert comment in last.ErrorComment
    assert last.OffendingElement == element


def test_upper_keys_are_not_needed_where_relational_queries_are_agreed_on(node):
    """PS3.4 C.5.1.1: of what is asked for the node agrees to relational, combined and empty-value matching."""
    answers, _, last = ask(node.port, a_query("SERIES", Modality="SEG", SeriesInstanceUID=""), negotiated=b"\1")
    assert last.Status == SUCCESS
    assert [answer.SeriesInstanceUID for answer in answers] == ["1.2.3.2"]
    association = associate(node.port, StudyRoot, negotiated=b"\1\1\1\1\1\1")
    assert association.acceptor.sop_class_extended == {StudyRoot: b"\1\1\0\0\1\0"}
    association.release()


def test_dates_and_times_are_combined_where_that_is_agreed_on(node):
    asked = a_query(StudyInstanceUID="", StudyDate="20260102-20260203", StudyTime="1600-1000")
    answers, _, _ = ask(node.port, asked, negotiated=b"\0\1")
    assert [answer.StudyInstanceUID for answer in answers] == ["1.2.5", "1.2.6"]
    assert ask(node.port, asked)[0] == []


def test_a_remote_queries_by_right_alone(node, caplog):
    """A context that is not accepted for want of the right cannot be gone around by one of storage."""
    association = associate(node.port, StudyRoot, Verification, title="SCANNER")
    assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [Verification]
    association.release()
    assert "remote without the right may_query asked for its service: AE SCANNER" in caplog.text


def find_in(scanner, context: int, identifier: bytes | None, sop_class: bytes = StudyRoot.encode()) -> str:
    elements = {
        0x0002: sop_class + b"\0" * (len(sop_class) % 2),
        0x0100: b"\x20\0",
        0x0110: b"\x07\0",
        0x0800: b"\x01\x01" if identifier is None else b"\0\0",
    }
    scanner.say(scanner.fragment(3, scanner.command(elements), context))
    if identifier is not None:
        scanner.say(scanner.fragment(2, identifier, context))
    return scanner.status()


def test_a_query_in_a_context_of_storage_is_refused(node, scanner):
    connected = scanner(node.port)
    assert connected.associate(calling=b"SCANNER         ") == "accepted"
    assert find_in(connected, 1, b"") == "0122 to 7"
    assert connected.release() == "released"


class _Finder:
    """A raw association with one context of the study root."""

    def __init__(self, scanner, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connected = scanner(port)
        monkeypatch.setattr(type(self.connected), "MR", StudyRoot.encode())
        assert self.connected.associate(calling=b"FINDSCU         ") == "accepted"


@pytest.mark.parametrize(
    "identifier",
    [
        None,
        b"\x08\0\x52\0CS\x10\0STUDY",
        b"\x08\0\x52\0CS\x06\0STUDY \x10\0\x20\0LO\xff\xffP1",
        b"\xff" * 40,
    ],
)
def test_what_is_no_identifier_is_refused_and_the_association_goes_on(node, scanner, monkeypatch, identifier):
    connected = _Finder(scanner, node.port, monkeypatch).connected
    for _ in range(2):
        assert find_in(connected, 1, identifier) == "A900 to 7"
    assert connected.release() == "released"


def test_a_priority_that_there_is_not_and_other_elements_do_no_harm(node, scanner, monkeypatch):
    connected = _Finder(scanner, node.port, monkeypatch).connected
    identifier = b"\x08\0\x52\0CS\x06\0STUDY \x20\0\x0d\0UI\x06\x009.9.9\0"
    assert find_in(connected, 1, identifier) == "0000 to 7"


def test_other_transfer_syntaxes(node):
    ae = AE(ae_title="FINDSCU")
    ae.add_requested_context(StudyRoot, ImplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", node.port, ae_title="RECTALNODE")
    responses = list(association.send_c_find(a_query(StudyInstanceUID="1.2.3", PatientName=""), StudyRoot))
    association.release()
    assert [status.Status for status, _ in responses] == [PENDING, SUCCESS]


# --- many matches


def fill_rows(engine: Engine, count: int) -> None:
    """Studies of one patient, as rows alone."""
    person = {
        f"{name}_{group}": "" for name in ("patient_name",) for group in ("alphabetic", "ideographic", "phonetic")
    }
    of_patient = {"patient_id": "P", "issuer_of_patient_id": "", "only_in_study": "", "patient_sex": "", **person}
    shared = {"attributes": '{"00100020": {"vr": "LO", "Value": ["P"]}}', "source": "", "source_revision": 1}
    names = ("accession_number", "study_id", "study_description")
    referring = {f"referring_physician_name_{group}": "" for group in ("alphabetic", "ideographic", "phonetic")}
    with engine.begin() as connection:
        connection.execute(insert(tables.patient).values(identifier=1, **of_patient, **shared))
        rows = [
            {
                **{"patient": 1, "study_instance_uid": f"1.2.{number}", **dict.fromkeys(names, ""), **referring},
                **shared,
                "attributes": f'{{"0020000D": {{"vr": "UI", "Value": ["1.2.{number}"]}}}}',
            }
            for number in range(count)
        ]
        connection.execute(insert(tables.study), rows)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A node with 1,600 studies, which answers with 1,500 of them."""
    listener, engine = start(tmp_path_factory.mktemp("many"), most_matches=1500)
    fill_rows(engine, 1600)
    yield SimpleNamespace(listener=listener, engine=engine, port=listener.port)
    listener.stop(patience_s=0.5)


def test_more_matches_than_are_answered_are_said_behind_the_answers(many, caplog):
    answers, statuses, last = ask(many.port, a_query(StudyInstanceUID=""))
    assert [answer.StudyInstanceUID for answer in answers] == [f"1.2.{number}" for number in range(1500)]
    assert set(statuses) == {PENDING}
    assert (last.Status, last.ErrorComment) == (OUT_OF_RESOURCES, "more than 1500 matches, ask for less")
    assert "query of AE FINDSCU from 127.0.0.1: more than 1500 matches at STUDY level" in caplog.text


def test_a_query_is_cancelled_between_two_answers(many):
    association = associate(many.port, StudyRoot)
    statuses = []
    for status, _ in association.send_c_find(a_query(StudyInstanceUID=""), StudyRoot, msg_id=7):
        statuses.append(status.Status)
        if len(statuses) == 3:
            association.send_c_cancel(7, None, StudyRoot)
    assert statuses[-1] == CANCELLED
    assert len(statuses) < 1500
    again = list(association.send_c_find(a_query(StudyInstanceUID="1.2.5"), StudyRoot))
    assert [status.Status for status, _ in again] == [PENDING, SUCCESS]
    association.release()


def test_findscu_cancels(many):
    call = ["findscu", "-v", "-S", "--cancel", "3", "-aet", "FINDSCU", "-aec", "RECTALNODE", "-k", "StudyInstanceUID"]
    call += ["-k", "QueryRetrieveLevel=STUDY", "127.0.0.1", str(many.port)]
    ended = subprocess.run(call, capture_output=True, text=True, check=False)
    assert "Cancel: MatchingTerminatedDueToCancelRequest" in ended.stdout + ended.stderr


@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_query_ends_with_its_association(many, scanner, monkeypatch, how):
    connected = _Finder(scanner, many.port, monkeypatch).connected
    assert find_in(connected, 1, b"\x08\0\x52\0CS\x06\0STUDY \x20\0\x0d\0UI\0\0") == "FF00 to 7"
    if how == "abort":
        connected.send(b"\x07\0\0\0\0\x04\0\0\0\0")
    else:
        connected.close()
    deadline = time.monotonic() + 60
    while many.listener.open_associations:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kind, read = 1, 0
    while how == "abort" and kind not in (0, 7):
        kind, _ = connected.read()
        read += 1
    assert read < 2500, "as many answers as there were"


def test_a_long_query_is_on_record_in_whole_elements(many):
    uids = [f"1.2.{number}" for number in range(2000)]
    asked = a_query(StudyInstanceUID=uids, PatientID="P")
    before = Audit(many.engine).count(QUERIES)
    ask(many.port, asked)
    wait_for(lambda: Audit(many.engine).count(QUERIES) > before, "the query on record", 60)
    event = Audit(many.engine).find(QUERIES)[0]
    kept = read_dataset(BytesIO(b64decode(event.facts.query)), event.facts.transfer_syntax == IMPLICIT, True)
    assert (kept.PatientID, kept.QueryRetrieveLevel, "StudyInstanceUID" in kept) == ("P", "STUDY", False)
    assert event.facts.left_out == "(0020,000D)"


def test_who_breaks_off_behind_some_answers_has_asked_for_somebody(many, scanner, monkeypatch):
    connected = _Finder(scanner, many.port, monkeypatch).connected
    before = Audit(many.engine).count(QUERIES)
    asked = b"\x08\0\x52\0CS\x06\0STUDY \x10\0\x20\0LO\x02\0P \x20\0\x0d\0UI\0\0"
    assert find_in(connected, 1, asked) == "FF00 to 7"
    connected.send(b"\x07\0\0\0\0\x04\0\0\0\0")
    wait_for(lambda: Audit(many.engine).count(QUERIES) > before, "the query on record", 60)
    event = Audit(many.engine).find(QUERIES)[0]
    assert event.patient_id == "P"
    assert 0 < int(event.detail.removesuffix(" matches at STUDY level")) <= 1500


# --- the node has trouble of its own, or several processes


def test_a_database_that_does_not_answer_is_a_lack_of_resources(tmp_path, caplog):
    listener, engine = start(tmp_path)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE catalogue_study RENAME TO away"))
    _, _, last = ask(listener.port, a_query(StudyInstanceUID="", PatientName="Muster*"))
    listener.stop(patience_s=0.5)
    assert (last.Status, last.ErrorComment) == (OUT_OF_RESOURCES, "the database does not answer, try again")
    assert "the database does not answer: OperationalError" in caplog.text


def test_a_fault_of_the_node_is_told_by_a_status_and_in_the_log_without_what_was_read(tmp_path, caplog):
    listener, engine = start(tmp_path)
    fill_rows(engine, 1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE catalogue_study SET attributes = 'Muster^Erika'"))
    _, _, last = ask(listener.port, a_query(StudyInstanceUID=""))
    listener.stop(patience_s=0.5)
    assert (last.Status, last.ErrorComment) == (0xC001, "not answered for a fault of the node")
    assert "query of AE FINDSCU from 127.0.0.1: not answered: JSONDecodeError at decoder.py:" in caplog.text


def test_several_listener_processes_answer_queries(tmp_path):
    listener, engine = start(tmp_path, processes=2)
    fill(engine, tmp_path)
    try:
        assert [studies(listener.port, PatientID=f"P{number}") for number in (1, 2)] == [["1.2.3"], ["1.2.4"]]
        association = associate(listener.port, StudyRoot, MRImageStorage, title="BOTH")
        assert len(association.accepted_contexts) == 2
        association.release()
    finally:
        listener.stop(patience_s=0.5)
