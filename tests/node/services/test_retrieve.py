"""C-MOVE and C-GET of the node: what is sent, how it is counted, and which requests are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
from sqlalchemy import text

from node.dicom.scu import store
from node.dicom.transport import end_waiting, keep_responses
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from tests.parts.dcmtk import StoreSCP, run_dcmtk, running_storescp
from tests.parts.processes import free_port, wait_for

PATIENT_MOVE, STUDY_MOVE = PatientRootQueryRetrieveInformationModelMove, StudyRootQueryRetrieveInformationModelMove
PATIENT_GET, STUDY_GET = PatientRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelGet
PENDING, CANCELLED, SOME_FAILED, UNABLE, TOO_MANY = 0xFF00, 0xFE00, 0xB000, 0xA702, 0xA701
MALFORMED, UNKNOWN_DESTINATION = 0xA900, 0xA801
#: Study 1.2.3 of patient SIMULATED has six images in two series, the last one compressed; 1.2.4 one of another class.
IMAGES = [f"1.2.3.{series}.{number}" for series in (1, 2) for number in (1, 2, 3)]
OTHER = ["1.2.4.1.1"]
PRIVATE = [f"1.2.826.0.1.3680043.10.1599.9.{number}" for number in range(70)]


def an_image(folder: Path, uid: str, sop_class: str = MRImageStorage, syntax: str = ExplicitVRLittleEndian, **values):
    """A file whose UIDs say where it belongs: study, series and number are the parts of its own."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.SOPClassUID, image.SOPInstanceUID = sop_class, uid
    image.PatientID, image.PatientName = "SIMULATED", "SIM^000001"
    image.StudyInstanceUID, image.SeriesInstanceUID = ".".join(uid.split(".")[:-2]), ".".join(uid.split(".")[:-1])
    image.PixelData = encapsulate([bytes(999)]) if syntax == JPEG2000Lossless else bytes(2048)
    image["PixelData"].VR = "OB" if syntax == JPEG2000Lossless else "OW"
    for keyword, value in values.items():
        setattr(image, keyword, value)
    image.save_as(folder / f"{uid}.dcm", enforce_file_format=True)
    return folder / f"{uid}.dcm"


@dataclass
class Destination:
    """A storage SCP of pynetdicom's: what it was sent, and how it answers."""

    objects: dict[str, bytes] = field(default_factory=dict)
    originators: list[tuple[str, int]] = field(default_factory=list)
    associations: set[Association] = field(default_factory=set)
    answer: Callable[[str], int | None] = lambda _uid: 0

    def take(self, event: evt.Event) -> int:
        request = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.associations.add(event.assoc)
        self.originators.append(
            (str(request.MoveOriginatorApplicationEntityTitle), int(request.MoveOriginatorMessageID))
        )
        status = self.answer(uid)
        if status is None:
            event.assoc.abort()
            return 0
        if status == 0 or 0xB000 <= status < 0xC000:
            self.objects[uid] = request.DataSet.getvalue()
        return status


@dataclass(frozen=True)
class Retrieving:
    """The listener, what lies behind it, and where it can send to."""

    listener: Listener
    files: ObjectStore
    index: Index
    destination: Destination
    implicit: StoreSCP
    asker_port: int

    @property
    def port(self) -> int:
        return self.listener.port

    def stored(self) -> dict[str, bytes]:
        """The data sets as they lie here, by SOP Instance UID."""
        found = {}
        for path in (self.files.root / "objects").rglob("*.dcm"):
            data = path.read_bytes()
            meta = pydicom.filereader.read_file_meta_info(path)
            start = 144 + int(pydicom.dcmread(path, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength)
            found[str(meta.MediaStorageSOPInstanceUID)] = data[start:]
        return found


@pytest.fixture(scope="module")
def retrieving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retrieving]:
    folder = tmp_path_factory.mktemp("retrieve")
    destination = Destination()
    ae = AE(ae_title="DEST")
    contexts = [build_context(uid) for uid in (MRImageStorage, CTImageStorage, SecondaryCaptureImageStorage, *PRIVATE)]
    contexts[0] = build_context(MRImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless])
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, contexts=contexts, evt_handlers=[(evt.EVT_C_STORE, destination.take)]
    )
    asker_port = free_port()
    with running_storescp(folder / "implicit", "+xi", ae_title="IMPLICIT") as implicit:

        def remote(title: str, port: int = 0, timeout_s: float = 60, **rights: bool) -> RemoteSettings:
            host = "127.0.0.1" if port else ""
            return RemoteSettings(name=title, ae_title=title, host=host, port=port, timeout_s=timeout_s, **rights)

        remotes = (
            remote("SCANNER", may_store=True),
            remote("ASKER", asker_port, may_retrieve=True),
            remote("BOTH", may_store=True, may_retrieve=True),
            remote("DEST", server.server_address[1]),
            remote("IMPLICIT", implicit.port),
            remote("DOWN", free_port()),
            remote("SLOW", server.server_address[1], timeout_s=1),
        )
        settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
        index = Index(open_engine(f"sqlite:///{folder / 'index.sqlite'}"))
        files = ObjectStore(folder / "root")
        listener = Listener(settings, remotes, files, index)
        listener.start()
        images = [an_image(folder, uid) for uid in IMAGES[:-1]]
        images.append(an_image(folder, IMAGES[-1], syntax=JPEG2000Lossless))
        images.append(an_image(folder, "1.2.4.1.1", CTImageStorage, PatientID="OTHER"))
        images += [an_image(folder, f"1.2.5.{n}.1", uid, PatientID="MANY") for n, uid in enumerate(PRIVATE)]
        outcomes = list(store(images, "127.0.0.1", listener.port, "RECTALNODE", "SCANNER", 60))
        assert {outcome.status for outcome in outcomes} == {0}
        while catch_up(index.engine, files):
            pass
        yield Retrieving(listener, files, index, destination, implicit, asker_port)
        listener.stop(patience_s=0.5)
    ae.shutdown()


@pytest.fixture
def destination(retrieving: Retrieving) -> Destination:
    """As new."""
    found = retrieving.destination
    found.objects.clear()
    found.originators.clear()
    found.associations.clear()
    found.answer = lambda _uid: 0
    return found


def an_identifier(**keys: object) -> Dataset:
    asked = Dataset()
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    return asked


def associate(where: Retrieving, calling: str, *classes: str, handlers=(), roles=()) -> Association:
    ae = AE(ae_title=calling)
    for each in classes:
        ae.add_requested_context(each, [ExplicitVRLittleEndian])
    handlers = [*handlers, (evt.EVT_CONN_CLOSE, end_waiting)]
    found = ae.associate("127.0.0.1", where.port, ae_title="RECTALNODE", evt_handlers=handlers, ext_neg=list(roles))
    keep_responses(found)
    return found


def move(where: Retrieving, model: str, to: str = "DEST", **keys: object) -> list[tuple[Dataset, Dataset | None]]:
    association = associate(where, "ASKER", model)
    assert association.is_established
    answers = list(association.send_c_move(an_identifier(**keys), to, model, msg_id=7))
    association.release()
    return answers


def get(where: Retrieving, model: str, *classes: str, answer=lambda _uid: 0, calling: str = "ASKER", **keys: object):
    """The responses, and the data sets that came, by SOP Instance UID."""
    received: dict[str, bytes] = {}

    def keep(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        received[uid] = event.request.DataSet.getvalue()
        return answer(uid)

    roles = [build_role(each, scp_role=True) for each in classes]
    association = associate(where, calling, model, *classes, handlers=[(evt.EVT_C_STORE, keep)], roles=roles)
    assert association.is_established
    answers = list(association.send_c_get(an_identifier(**keys), model, msg_id=9))
    association.release()
    return answers, received


def numbers(status: Dataset) -> tuple[int | None, int, int, int]:
    """Remaining, completed, failed, warning."""
    return tuple(
        status.get(f"NumberOf{which}Suboperations") for which in ("Remaining", "Completed", "Failed", "Warning")
    )


def failed(identifier: Dataset | None) -> list[str]:
    value = identifier.FailedSOPInstanceUIDList if identifier else []
    return [value] if isinstance(value, str) else list(value)


# --- what is sent


def test_a_move_sends_the_stored_bytes_with_the_originator_and_counts_them(retrieving, destination):
    answers = move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    stored = retrieving.stored()
    assert destination.objects == {uid: stored[uid] for uid in IMAGES}
    assert set(destination.originators) == {("ASKER", 7)}
    assert [(status.Status, *numbers(status)) for status, _ in answers] == [
        *((PENDING, 6 - done, done, 0, 0) for done in range(1, 6)),
        (0, None, 6, 0, 0),
    ]


@pytest.mark.parametrize(
    ("model", "keys", "uids"),
    [
        (PATIENT_MOVE, {"QueryRetrieveLevel": "PATIENT", "PatientID": "SIMULATED"}, IMAGES),
        (PATIENT_MOVE, {"QueryRetrieveLevel": "STUDY", "PatientID": "OTHER", "StudyInstanceUID": "1.2.4"}, OTHER),
        (PATIENT_MOVE, {"QueryRetrieveLevel": "STUDY", "PatientID": "OTHER", "StudyInstanceUID": "1.2.3"}, []),
        (STUDY_MOVE, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ["1.2.3", "1.2.4"]}, [*IMAGES, *OTHER]),
        (
            STUDY_MOVE,
            {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": ["1.2.3.2", "1.2.3.9"]},
            IMAGES[3:],
        ),
        (
            STUDY_MOVE,
            {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": "1.2.3",
                "SeriesInstanceUID": "1.2.3.1",
                "SOPInstanceUID": [IMAGES[0], IMAGES[2]],
            },
            [IMAGES[0], IMAGES[2]],
        ),
    ],
)
def test_a_level_is_asked_for_by_its_unique_keys_and_those_above(retrieving, destination, model, keys, uids):
    status, _ = move(retrieving, model, **keys)[-1]
    assert (status.Status, *numbers(status)) == (0, None, len(uids), 0, 0)
    assert sorted(destination.objects) == sorted(uids)


def test_what_nothing_matches_is_a_success_without_sub_operations(retrieving, destination):
    ((status, identifier),) = move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="9.9")
    assert (status.Status, *numbers(status), identifier) == (0, None, 0, 0, 0, None)


def test_more_classes_than_an_association_has_contexts_go_over_several(retrieving, destination):
    status, _ = move(retrieving, PATIENT_MOVE, QueryRetrieveLevel="PATIENT", PatientID="MANY")[-1]
    assert (status.Status, *numbers(status)) == (0, None, 70, 0, 0)
    assert len(destination.objects) == 70
    assert len(destination.associations) == 2


def test_a_destination_that_takes_no_stored_syntax_gets_what_can_be_converted(retrieving):
    series = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1"}
    answers = move(retrieving, STUDY_MOVE, "IMPLICIT", **series)
    assert (answers[-1][0].Status, *numbers(answers[-1][0])) == (0, None, 3, 0, 0)
    received = retrieving.implicit.data_sets()
    assert sorted(str(each.SOPInstanceUID) for each in received) == IMAGES[:3]
    assert {each.file_meta.TransferSyntaxUID for each in received} == {ImplicitVRLittleEndian}
    assert {each.PixelData for each in received} == {bytes(2048)}


def test_a_get_sends_the_stored_bytes_on_the_same_association(retrieving):
    answers, received = get(
        retrieving,
        PATIENT_GET,
        MRImageStorage,
        QueryRetrieveLevel="STUDY",
        PatientID="SIMULATED",
        StudyInstanceUID="1.2.3",
        answer=lambda uid: 0xB000 if uid == IMAGES[1] else 0,
    )
    stored = retrieving.stored()
    # The compressed one cannot be made uncompressed: it holds no image.
    assert received == {uid: stored[uid] for uid in IMAGES[:-1]}
    status, identifier = answers[-1]
    assert (status.Status, *numbers(status)) == (SOME_FAILED, None, 4, 1, 1)
    assert failed(identifier) == IMAGES[-1:]


def test_objects_without_a_context_in_which_they_are_taken_are_counted_and_named(retrieving):
    answers, received = get(
        retrieving, STUDY_GET, CTImageStorage, QueryRetrieveLevel="STUDY", StudyInstanceUID=["1.2.3", "1.2.4"]
    )
    status, identifier = answers[-1]
    assert list(received) == ["1.2.4.1.1"]
    assert (status.Status, *numbers(status)) == (SOME_FAILED, None, 1, 6, 0)
    assert failed(identifier) == IMAGES
    assert "no presentation context" in status.ErrorComment


def test_an_asker_that_may_not_store_takes_objects_and_stores_none(retrieving, tmp_path):
    both = build_role(MRImageStorage, scu_role=True, scp_role=True)
    association = associate(retrieving, "ASKER", STUDY_GET, MRImageStorage, roles=[both])
    assert [context.abstract_syntax for context in association.accepted_contexts] == [STUDY_GET, MRImageStorage]
    assert [context.as_scu for context in association.accepted_contexts][1] is False
    association.release()
    without = associate(retrieving, "ASKER", STUDY_GET, MRImageStorage)
    assert [context.abstract_syntax for context in without.accepted_contexts] == [STUDY_GET]
    without.release()


def test_stores_and_retrievals_take_turns_on_one_association(retrieving, tmp_path):
    received = []

    def keep(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    role = build_role(MRImageStorage, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_STORE, keep)]
    association = associate(retrieving, "BOTH", STUDY_GET, MRImageStorage, handlers=handlers, roles=[role])
    for number in (1, 2):
        assert association.send_c_store(an_image(tmp_path, f"1.2.6.1.{number}", PatientID="LATER")).Status == 0
        asked = an_identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.6")
        assert [status.Status for status, _ in association.send_c_get(asked, STUDY_GET)][-1] == 0
    association.release()
    assert received == ["1.2.6.1.1", "1.2.6.1.1", "1.2.6.1.2"]


def test_getscu_of_dcmtk_has_the_stored_bytes(retrieving, tmp_path):
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=1.2.3", "-k", "SeriesInstanceUID=1.2.3.1"]
    call = ["-S", "-aet", "ASKER", "-aec", "RECTALNODE", "+B", "-od", tmp_path, *keys, "127.0.0.1", retrieving.port]
    done = run_dcmtk("getscu", *call)
    assert done.returncode == 0, done.stderr
    assert sorted(data_sets(tmp_path).items()) == [(uid, retrieving.stored()[uid]) for uid in IMAGES[:3]]


def test_movescu_of_dcmtk_has_the_stored_bytes(retrieving, tmp_path, monkeypatch):
    """With +B it writes into the folder that it is started in."""
    monkeypatch.chdir(tmp_path)
    keys = ["-k", "QueryRetrieveLevel=SERIES", "-k", "StudyInstanceUID=1.2.3", "-k", "SeriesInstanceUID=1.2.3.1"]
    call = ["-S", "-aet", "ASKER", "-aec", "RECTALNODE", "-aem", "ASKER", "+P", retrieving.asker_port, "+B"]
    done = run_dcmtk("movescu", *call, *keys, "127.0.0.1", retrieving.port)
    assert done.returncode == 0, done.stderr
    assert sorted(data_sets(tmp_path).items()) == [(uid, retrieving.stored()[uid]) for uid in IMAGES[:3]]


def test_orthanc_moves_a_study_to_itself(retrieving, orthanc):
    remote = RemoteSettings(
        name="orthanc", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port, may_retrieve=True
    )
    with another_listener(retrieving, remote) as listener:
        orthanc.know("node", "RECTALNODE", listener.port)
        asked = {"Level": "Study", "Resources": [{"StudyInstanceUID": "1.2.3"}], "TargetAet": "ORTHANC"}
        orthanc.post("/modalities/node/move", asked)
    assert sorted(str(each.SOPInstanceUID) for each in orthanc.data_sets("1.2.3")) == IMAGES


def test_several_listener_processes_serve_retrievals(retrieving):
    asker = RemoteSettings(name="asker", ae_title="ASKER", may_retrieve=True)
    with another_listener(retrieving, asker, processes=2) as listener:
        several = replace(retrieving, listener=listener)
        asked = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.4"}
        answers, received = get(several, STUDY_GET, CTImageStorage, **asked)
    assert answers[-1][0].Status == 0
    assert received == {"1.2.4.1.1": retrieving.stored()["1.2.4.1.1"]}


@contextmanager
def another_listener(where: Retrieving, remote: RemoteSettings, processes: int = 1) -> Iterator[Listener]:
    """On the same root, for another remote."""
    settings = ListenerSettings(minimum_free_gb=0, processes=processes).model_copy(update={"port": 0})
    listener = Listener(settings, (remote,), where.files, where.index)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(patience_s=0.5)


def data_sets(folder: Path) -> dict[str, bytes]:
    """The bytes of the data sets of the files in a folder, by SOP Instance UID."""
    found = {}
    for path in folder.iterdir():
        meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        found[str(meta.MediaStorageSOPInstanceUID)] = path.read_bytes()[144 + meta.FileMetaInformationGroupLength :]
    return found


# --- what goes wrong


def test_a_destination_that_refuses_some_is_a_warning_that_names_them(retrieving, destination):
    destination.answer = lambda uid: {IMAGES[0]: 0xA700, IMAGES[4]: 0xC001, IMAGES[1]: 0xB007}.get(uid, 0)
    status, identifier = move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")[-1]
    assert (status.Status, *numbers(status)) == (SOME_FAILED, None, 3, 2, 1)
    assert failed(identifier) == [IMAGES[0], IMAGES[4]]
    assert "0xA700" in status.ErrorComment


def test_nobody_can_remove_a_study_while_it_is_sent(retrieving, destination):
    removable: list[bool] = []

    def answer(_uid: str) -> int:
        with retrieving.files.locks.alone("1.2.3") as alone:
            removable.append(alone)
        return 0

    destination.answer = answer
    move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    with retrieving.files.locks.alone("1.2.3") as alone:
        removable.append(alone)
    assert removable == [False] * len(IMAGES) + [True]


def test_a_destination_that_aborts_at_one_object_gets_the_others(retrieving, destination):
    destination.answer = lambda uid: None if uid == IMAGES[1] else 0
    status, identifier = move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")[-1]
    assert (status.Status, *numbers(status)) == (SOME_FAILED, None, 5, 1, 0)
    assert failed(identifier) == [IMAGES[1]]


def test_a_destination_that_is_down_is_a_failure_that_names_all(retrieving):
    status, identifier = move(retrieving, STUDY_MOVE, "DOWN", QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")[-1]
    assert (status.Status, *numbers(status)) == (UNABLE, None, 0, 6, 0)
    assert failed(identifier) == IMAGES
    assert "no connection" in status.ErrorComment


def test_a_destination_that_does_not_answer_in_its_time_is_waited_for_no_longer(retrieving, destination):
    destination.answer = gate = Gate()
    status, identifier = move(retrieving, STUDY_MOVE, "SLOW", QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")[-1]
    gate.open.set()
    assert (status.Status, *numbers(status)) == (SOME_FAILED, None, 5, 1, 0)
    assert failed(identifier) == [IMAGES[1]]
    assert "lost before the answer" in status.ErrorComment


@pytest.mark.parametrize("to", ["NOBODY", "SCANNER"])
def test_a_destination_that_is_not_known_or_whose_address_is_not_is_refused(retrieving, to):
    ((status, _),) = move(retrieving, STUDY_MOVE, to, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    assert status.Status == UNKNOWN_DESTINATION
    assert to in status.ErrorComment


@pytest.mark.parametrize(
    ("model", "keys", "tag"),
    [
        (STUDY_MOVE, {"StudyInstanceUID": "1.2.3"}, 0x00080052),
        (STUDY_MOVE, {"QueryRetrieveLevel": "PATIENT", "PatientID": "SIMULATED"}, 0x00080052),
        (STUDY_MOVE, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}, 0x0020000D),
        (STUDY_MOVE, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.*"}, 0x0020000D),
        (STUDY_MOVE, {"QueryRetrieveLevel": "SERIES", "SeriesInstanceUID": "1.2.3.1"}, 0x0020000D),
        (
            STUDY_MOVE,
            {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": ["1.2.3", "1.2.4"], "SeriesInstanceUID": "1.2.3.1"},
            0x0020000D,
        ),
        (PATIENT_MOVE, {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"}, 0x00100020),
        (PATIENT_MOVE, {"QueryRetrieveLevel": "PATIENT", "PatientID": ["SIMULATED", "OTHER"]}, 0x00100020),
    ],
)
def test_an_identifier_that_does_not_fit_is_refused_with_its_element(retrieving, destination, model, keys, tag):
    ((status, _),) = move(retrieving, model, **keys)
    assert (status.Status, status.OffendingElement) == (MALFORMED, tag)
    assert status.ErrorComment
    assert destination.objects == {}


def test_more_objects_than_their_numbers_can_count_are_refused(retrieving, destination):
    """Numbers of sub-operations are of two bytes (PS3.7 9.1.4.1)."""
    columns = [
        "origin",
        "study_instance_uid",
        "series_instance_uid",
        "sop_class_uid",
        "transfer_syntax_uid",
        "revision",
    ]
    columns += ["path", "digest", "size", "calling_ae", "catalogued", "sop_instance_uid"]
    values = f"'RECEIVED', '1.9', '1.9.1', '1.2', '{ExplicitVRLittleEndian}', 1, 'none', '', 1, '', 1, '1.9.1.' || n"
    counted = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < 65536)"
    with retrieving.index.engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO dicom_object ({', '.join(columns)}) {counted} SELECT {values} FROM count")
        )
    ((status, _),) = move(retrieving, STUDY_MOVE, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.9")
    assert status.Status == TOO_MANY
    assert status.ErrorComment == "more than 65535 objects match; ask for less at once"
    assert destination.objects == {}


def test_who_has_no_right_to_retrieve_gets_no_context_for_it(retrieving, caplog):
    association = associate(retrieving, "SCANNER", STUDY_MOVE, STUDY_GET, MRImageStorage)
    assert [context.abstract_syntax for context in association.accepted_contexts] == [MRImageStorage]
    association.release()
    assert "remote without the right may_retrieve asked for its service: AE SCANNER" in caplog.text


# --- what ends before its time


class Gate:
    """Holds the destination at the second object until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self._count = 0

    def __call__(self, _uid: str) -> int:
        self._count += 1
        if self._count == 2:
            self.reached.set()
            assert self.open.wait(60)
        return 0


def test_a_cancelled_move_ends_after_the_object_that_is_under_way(retrieving, destination):
    destination.answer = gate = Gate()
    association = associate(retrieving, "ASKER", STUDY_MOVE)
    asked = an_identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    answers = []
    for answer, _ in association.send_c_move(asked, "DEST", STUDY_MOVE, msg_id=7):
        answers.append(answer)
        if not gate.open.is_set():
            assert gate.reached.wait(60)
            association.send_c_cancel(7, None, STUDY_MOVE)
            gate.open.set()
    association.release()
    remaining, completed, failed, warned = numbers(answers[-1])
    assert (answers[-1].Status, remaining + completed, failed, warned) == (CANCELLED, 6, 0, 0)
    # pynetdicom says that it has sent a C-CANCEL before it has: an object or two may go meanwhile.
    assert len(destination.objects) == completed < 6


def test_a_cancelled_get_ends_after_the_object_that_is_under_way(retrieving):
    received = []

    def keep(event: evt.Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        if len(received) == 2:
            event.assoc.send_c_cancel(9, None, STUDY_GET)
        return 0

    association = associate(
        retrieving, "ASKER", STUDY_GET, MRImageStorage,
        handlers=[(evt.EVT_C_STORE, keep)], roles=[build_role(MRImageStorage, scp_role=True)],
    )  # fmt: skip
    asked = an_identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
    last, _ = list(association.send_c_get(asked, STUDY_GET, msg_id=9))[-1]
    association.release()
    assert (last.Status, *numbers(last)) == (CANCELLED, 4, 2, 0, 0)
    assert received == IMAGES[:2]


def test_a_move_ends_when_the_one_who_asked_is_gone(retrieving, destination):
    destination.answer = gate = Gate()
    association = associate(retrieving, "ASKER", STUDY_MOVE)
    answers = association.send_c_move(
        an_identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3"), "DEST", STUDY_MOVE, msg_id=7
    )
    next(answers)
    assert gate.reached.wait(60)
    assert retrieving.index.engine.pool.checkedout() == 0  # the database is not held while objects go
    association.abort()
    gate.open.set()
    wait_for(lambda: retrieving.listener.open_associations == 0, "the association has ended", 60)
    assert len(destination.objects) == 2


def test_a_get_ends_when_the_one_who_asked_is_gone_and_the_node_serves_on(retrieving):
    def leave(event: evt.Event) -> int:
        event.assoc.abort()
        return 0

    association = associate(
        retrieving, "ASKER", STUDY_GET, MRImageStorage,
        handlers=[(evt.EVT_C_STORE, leave)], roles=[build_role(MRImageStorage, scp_role=True)],
    )  # fmt: skip
    list(association.send_c_get(an_identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3"), STUDY_GET))
    wait_for(lambda: retrieving.listener.open_associations == 0, "the association has ended", 60)
    answers, received = get(retrieving, STUDY_GET, CTImageStorage, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.4")
    assert (answers[-1][0].Status, list(received)) == (0, ["1.2.4.1.1"])
