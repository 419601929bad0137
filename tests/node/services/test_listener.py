"""The listener with real senders over real sockets."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from node.dicom.outcomes import StoreResult
from node.dicom.scu import echo, store
from node.settings import RemoteSettings
from storage.records import Registration, ResultRecord, StudyState

AE_TITLE = "RECTALNODE"
PRIVATE_SOP_CLASS = "1.3.12.2.1107.5.99.3.10"  # Siemens CSA non-image storage's neighbour, made up
RETIRED_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.5"  # Nuclear Medicine Image Storage (Retired)


def send(receiving, *paths: Path, calling: str = "SCANNER", called: str = AE_TITLE):
    return list(store(paths, "127.0.0.1", receiving.port, called, calling, 10))


def data_set_of(path: Path) -> bytes:
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def associate(receiving, *contexts: tuple[str, str], called: str = AE_TITLE):
    ae = AE(ae_title="SCANNER")
    for sop_class, syntax in contexts or ((MRImageStorage, ExplicitVRLittleEndian),):
        ae.add_requested_context(sop_class, syntax)
    return ae.associate("127.0.0.1", receiving.port, ae_title=called)


# --- C-ECHO and who may connect


def test_dcmtk_is_answered_by_echo(receiving, dcmtk):
    assert dcmtk("echoscu", "-aec", AE_TITLE, "127.0.0.1", receiving.port).returncode == 0


def test_a_wrong_called_ae_title_is_rejected_with_its_reason_and_logged(receiving, dcmtk, caplog):
    answer = dcmtk("echoscu", "-aet", "CT1", "-aec", "SOMEBODY", "127.0.0.1", receiving.port)
    assert answer.returncode != 0
    assert "Called AE Title Not Recognized" in answer.stderr
    assert "AE CT1 from 127.0.0.1 called for SOMEBODY" in caplog.text
    assert receiving.listener.counts == {"rejected": 1}


def test_any_called_ae_title_will_do_where_the_settings_say_so(start):
    receiving = start(require_called_ae=False)
    assert echo("127.0.0.1", receiving.port, "SOMEBODY", "CT1", 5) == ""


def test_an_unknown_calling_ae_title_is_rejected_with_its_reason_and_logged(start, dcmtk, make_image, caplog):
    receiving = start(remotes=(RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True),))
    answer = dcmtk("storescu", "-aet", "STRANGER", "-aec", AE_TITLE, "127.0.0.1", receiving.port, make_image())
    assert answer.returncode != 0
    assert "Calling AE Title Not Recognized" in answer.stderr
    assert "STRANGER from 127.0.0.1 is not a known remote" in caplog.text
    assert receiving.index.studies() == ()
    assert send(receiving, make_image(), calling="SCANNER")[0].result is StoreResult.SENT


def test_a_remote_must_come_from_its_host(start):
    elsewhere = start(remotes=(RemoteSettings(name="scanner", ae_title="SCANNER", host="192.0.2.7", may_store=True),))
    here = start(remotes=(RemoteSettings(name="scanner", ae_title="SCANNER", host="localhost", may_store=True),))
    refusal = "association rejected: calling AE title not recognised"
    assert echo("127.0.0.1", elsewhere.port, AE_TITLE, "SCANNER", 5) == refusal
    assert echo("127.0.0.1", here.port, AE_TITLE, "SCANNER", 5) == ""


def test_a_remote_without_the_right_to_store_is_answered_and_stores_nothing(start, make_image, caplog):
    pacs = RemoteSettings(name="pacs", ae_title="PACS", host="localhost", port=104, receives_results=True)
    receiving = start(remotes=(pacs, RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True)))
    assert echo("127.0.0.1", receiving.port, AE_TITLE, "PACS", 5) == ""
    (outcome,) = send(receiving, make_image(), calling="PACS")
    assert outcome.result is StoreResult.PERMANENT
    assert "no presentation context accepted" in outcome.reason
    assert receiving.index.studies() == ()
    assert "remote without the right may_store asked for its service: AE PACS from 127.0.0.1" in caplog.text


def test_more_associations_than_allowed_are_refused_for_now(start):
    receiving = start(maximum_associations=1)
    first = associate(receiving)
    assert first.is_established
    assert echo("127.0.0.1", receiving.port, AE_TITLE, "SCANNER", 5).endswith("local limit of associations exceeded")
    first.release()


# --- presentation contexts


def test_query_is_not_accepted(receiving):
    association = associate(
        receiving,
        (StudyRootQueryRetrieveInformationModelFind, ExplicitVRLittleEndian),
        (MRImageStorage, ExplicitVRLittleEndian),
    )
    assert [c.abstract_syntax for c in association.accepted_contexts] == [MRImageStorage]
    association.release()


def test_an_unknown_transfer_syntax_is_not_accepted(receiving):
    association = associate(receiving, (MRImageStorage, "1.2.840.113619.5.2"), (MRImageStorage, ExplicitVRLittleEndian))
    assert [c.transfer_syntax for c in association.accepted_contexts] == [[ExplicitVRLittleEndian]]
    association.release()


@pytest.mark.parametrize("sop_class", [PRIVATE_SOP_CLASS, RETIRED_SOP_CLASS])
def test_private_and_retired_storage_classes_are_stored(receiving, make_image, sop_class):
    (outcome,) = send(receiving, make_image(SOPClassUID=sop_class))
    assert outcome.result is StoreResult.SENT
    (record,) = receiving.index.instances("1.2.3")
    assert record.header.sop_class_uid == sop_class


# --- C-STORE


def test_what_dcmtk_sends_is_stored_and_indexed(receiving, dcmtk, make_image):
    path = make_image()
    answer = dcmtk("storescu", "-aet", "SKYRA", "-aec", AE_TITLE, "127.0.0.1", receiving.port, path)
    assert answer.returncode == 0, answer.stderr
    (record,) = receiving.index.instances("1.2.3")
    assert record.calling_ae == "SKYRA"
    assert record.header.transfer_syntax_uid == ExplicitVRLittleEndian
    stored = receiving.store.absolute(record.file)
    assert data_set_of(stored) == data_set_of(path)
    assert dcmread(stored).PixelData == dcmread(path).PixelData
    assert (datetime.now(UTC) - record.received_at).total_seconds() < 60


def test_every_transfer_syntax_is_stored_as_it_came(receiving, shared_data):
    """Nine encodings of one image: one by one, since they share a SOP Instance UID, and a deflated object."""
    paths = sorted((shared_data / "transfer_syntaxes").rglob("*.dcm"))
    assert len(paths) == 10
    for path in paths:
        (outcome,) = send(receiving, path)
        assert outcome.status == 0, (path.name, outcome)
        record = next(
            record
            for record in receiving.index.instances(outcome.study_instance_uid)
            if record.header.sop_instance_uid == outcome.sop_instance_uid
        )
        stored = receiving.store.absolute(record.file)
        assert data_set_of(stored) == data_set_of(path), path.name
        assert dcmread(stored).file_meta.TransferSyntaxUID == dcmread(path).file_meta.TransferSyntaxUID


def test_the_same_object_again_is_acknowledged_and_stored_once(receiving, make_image):
    path = make_image()
    assert [outcome.status for outcome in send(receiving, path, path)] == [0, 0]
    assert len(receiving.files()) == 1
    assert receiving.index.study("1.2.3").instance_count == 1
    assert receiving.listener.counts[Registration.DUPLICATE] == 1


def test_the_same_uid_with_other_bytes_is_kept_as_a_revision(receiving, make_image):
    first, second = make_image(), make_image(name="corrected.dcm", PatientID="CORRECTED")
    assert [outcome.status for outcome in send(receiving, first, second)] == [0, 0]
    (latest,) = receiving.index.instances("1.2.3")
    assert latest.revision == 2
    assert data_set_of(receiving.store.absolute(latest.file)) == data_set_of(second)
    assert receiving.index.study("1.2.3").changed
    assert len(receiving.files()) == 2


def test_a_late_image_reopens_the_study(receiving, make_image):
    send(receiving, make_image(1))
    receiving.index.move("1.2.3", 1, StudyState.QUEUED)
    send(receiving, make_image(2))
    study = receiving.index.study("1.2.3")
    assert (study.revision, study.state) == (2, StudyState.RECEIVING)


def test_our_own_result_coming_back_is_acknowledged_and_left_alone(receiving, make_image):
    path = make_image(7)
    first = dcmread(path)
    file = receiving.store.store(path.read_bytes(), _header(first))
    result = ResultRecord("1.2.3", 1, "SR", first.SOPClassUID, first.SOPInstanceUID, "1.2.3.1", file)
    receiving.ledger.record([result], [], datetime.now(UTC))
    assert send(receiving, path)[0].status == 0
    assert send(receiving, make_image(7, PatientID="COERCED"))[0].status == 0
    assert receiving.index.studies() == ()
    assert receiving.files() == [receiving.store.absolute(file)]


def _header(image):
    from storage.records import InstanceHeader

    return InstanceHeader(
        image.SOPClassUID,
        image.SOPInstanceUID,
        image.StudyInstanceUID,
        image.SeriesInstanceUID,
        image.file_meta.TransferSyntaxUID,
    )


def test_four_associations_at_once_lose_nothing(receiving, make_image):
    paths = [make_image(number) for number in range(100)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [o for found in pool.map(lambda n: send(receiving, *paths[n::4]), range(4)) for o in found]
    assert {outcome.status for outcome in outcomes} == {0}
    study = receiving.index.study("1.2.3")
    assert (study.instance_count, study.series_count) == (100, 3)
    stored = {record.header.sop_instance_uid: record for record in receiving.index.instances("1.2.3")}
    for path in paths:
        record = stored[dcmread(path).SOPInstanceUID]
        assert data_set_of(receiving.store.absolute(record.file)) == data_set_of(path)


@pytest.mark.parametrize("count", [2, 8, 126])
def test_zero_bytes_after_the_last_element_are_stored_as_they_came(receiving, make_image, count):
    path = make_image()
    path.write_bytes(path.read_bytes() + bytes(count))
    assert send(receiving, path)[0].status == 0
    (record,) = receiving.index.instances("1.2.3")
    stored = receiving.store.absolute(record.file)
    assert data_set_of(stored) == data_set_of(path)
    assert dcmread(stored).PixelData == bytes([1]) * 2048


# --- what cannot be stored


def cut(path: Path, missing: int) -> Path:
    shorter = path.with_name("cut.dcm")
    shorter.write_bytes(path.read_bytes()[:-missing])
    return shorter


def test_a_truncated_data_set_fails_and_is_kept_in_quarantine(receiving, make_image):
    shorter = cut(make_image(), 500)
    association = associate(receiving)
    answer = association.send_c_store(shorter)
    association.release()
    assert 0xC000 <= answer.Status <= 0xCFFF
    assert "cut short" in answer.ErrorComment
    (record,) = receiving.quarantined()
    assert "cut short" in record.reason
    assert record.calling_ae == "SCANNER"
    assert data_set_of(receiving.store.absolute(record.file)) == data_set_of(shorter)
    assert receiving.index.studies() == ()


def test_an_object_that_is_no_dicom_fails_and_is_kept_in_quarantine(receiving, make_image):
    path = make_image()
    _, offset = split_dataset(path)
    path.write_bytes(path.read_bytes()[:offset] + b"Dear colleague, please find enclosed " * 20)
    association = associate(receiving)
    answer = association.send_c_store(path)
    association.release()
    assert 0xC000 <= answer.Status <= 0xCFFF
    (record,) = receiving.quarantined()
    assert receiving.store.absolute(record.file).read_bytes().endswith(b"please find enclosed ")


def test_dcmtk_sees_that_an_object_without_study_is_not_understood(receiving, dcmtk, make_image):
    path = make_image()
    path.write_bytes(path.read_bytes().replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0b\x00UI"))
    answer = dcmtk("storescu", "-v", "-aec", AE_TITLE, "127.0.0.1", receiving.port, path)
    assert "Error: CannotUnderstand" in answer.stdout + answer.stderr
    (record,) = receiving.quarantined()
    assert record.reason == "the data set has no Study Instance UID"


@pytest.mark.parametrize("element", ["AffectedSOPClassUID", "AffectedSOPInstanceUID"])
def test_a_command_that_contradicts_its_data_set_fails_and_is_kept_in_quarantine(receiving, make_image, element):
    path = make_image()
    association = associate(receiving)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(MRImageStorage), UID("1.2.3.4.1")
    setattr(request, element, UID("1.2.840.10008.5.1.4.1.1.2"))
    request._dataset_path = (path, split_dataset(path)[1])
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.release()
    assert answer.Status == 0xA900
    (record,) = receiving.quarantined()
    assert "in the command" in record.reason
    assert receiving.index.studies() == ()


def test_a_disk_that_is_nearly_full_is_a_transient_refusal(start, make_image):
    receiving = start(minimum_free_gb=1e9)
    (outcome,) = send(receiving, make_image())
    assert outcome.status == 0xA700
    assert outcome.result is StoreResult.TRANSIENT
    assert receiving.files() == []


def test_a_disk_that_refuses_is_a_transient_refusal_and_leaves_nothing(receiving, make_image, monkeypatch):
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("storage.files.os.fsync", full)
    (outcome,) = send(receiving, make_image())
    monkeypatch.undo()
    assert outcome.status == 0xA700
    assert receiving.files() == []
    assert list(receiving.store.spool.iterdir()) == []
    assert receiving.index.studies() == ()


def test_a_connection_lost_inside_a_data_set_leaves_nothing(receiving, make_image):
    association = associate(receiving)
    path = make_image(pixels=2_000_000)
    sent = threading.Event()
    association.bind(evt.EVT_DATA_SENT, lambda event: sent.set() if len(event.data) > 1000 else None)

    def half() -> None:
        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = UID(MRImageStorage), UID("1.2.3.4.1")
        request._dataset_path = (path, split_dataset(path)[1])
        message = _Message(request)
        primitives = message.encode_msg(association.accepted_contexts[0].context_id, 16382)
        for _ in range(10):
            association.dul.send_pdu(next(primitives))

    half()
    assert sent.wait(5)
    association.dul.socket.socket.close()
    _wait_until(lambda: receiving.listener.open_associations == 0)
    assert receiving.files() == []
    assert list(receiving.store.spool.iterdir()) == []
    assert receiving.index.studies() == ()
    assert echo("127.0.0.1", receiving.port, AE_TITLE, "SCANNER", 5) == ""


def _Message(request: C_STORE):
    from pynetdicom.dimse_messages import C_STORE_RQ

    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return message


def _wait_until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_success_means_that_the_index_row_is_there(receiving, make_image, monkeypatch):
    """Seen from the sender: while registration has not returned, no answer has come."""
    registered = []
    register = receiving.index.register

    def slow(*arguments):
        time.sleep(0.3)
        registration = register(*arguments)
        registered.append(time.monotonic())
        return registration

    monkeypatch.setattr(receiving.index, "register", slow)
    assert send(receiving, make_image())[0].status == 0
    assert registered
    assert registered[0] < time.monotonic()


# --- start and stop


def test_stopping_lets_an_open_association_finish(receiving, make_image):
    association = associate(receiving)
    stopping = threading.Thread(target=receiving.listener.stop)
    stopping.start()
    _wait_until(lambda: echo("127.0.0.1", receiving.port, AE_TITLE, "SCANNER", 1) != "")
    assert association.send_c_store(make_image()).Status == 0
    association.release()
    stopping.join(timeout=5)
    assert not stopping.is_alive()
    assert receiving.index.study("1.2.3").instance_count == 1


def test_stopping_does_not_wait_for_ever(receiving, caplog):
    association = associate(receiving)
    begin = time.monotonic()
    receiving.listener.stop(patience_s=0.2)
    assert time.monotonic() - begin < 5
    _wait_until(lambda: not association.is_established)
    assert "1 associations aborted" in caplog.text


def test_stopping_waits_for_the_object_in_hand(receiving, make_image, monkeypatch):
    inside, register = threading.Event(), receiving.index.register

    def slow(*arguments):
        inside.set()
        time.sleep(0.5)
        return register(*arguments)

    monkeypatch.setattr(receiving.index, "register", slow)
    sender = threading.Thread(target=send, args=(receiving, make_image()))
    sender.start()
    assert inside.wait(5)
    receiving.listener.stop(patience_s=0)
    assert receiving.index.study("1.2.3").instance_count == 1
    sender.join()


def test_stopping_twice_and_before_the_start_is_harmless(receiving):
    receiving.listener.stop()
    receiving.listener.stop()


def test_a_taken_port_is_an_error_at_the_start(start, receiving):
    with pytest.raises(OSError, match="in use"):
        start(port=receiving.port)


def test_no_patient_name_reaches_the_log(receiving, make_image, caplog):
    caplog.set_level(logging.DEBUG, logger="node")
    caplog.set_level(logging.DEBUG, logger="storage")
    path = make_image(PatientName="Muster^Erika")
    send(receiving, path)
    association = associate(receiving)
    association.send_c_store(cut(path, 100))
    association.release()
    assert "1.2.3.4.1" in caplog.text
    assert "Muster" not in caplog.text


def test_every_real_file_is_received_and_indexed(receiving, shared_data):
    """Whatever the sender can send: files without the UIDs that C-STORE itself needs stay with the sender."""
    paths = [path for path in sorted(shared_data.rglob("*")) if path.is_file() and _is_dicom(path)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = [o for found in pool.map(lambda n: send(receiving, *paths[n::4]), range(4)) for o in found]
    refused = [outcome for outcome in outcomes if outcome.result is not StoreResult.SENT]
    assert all(outcome.status is None for outcome in refused), refused
    assert len(outcomes) - len(refused) > 900
    assert all("malformed" in str(o.path) or "charsets" in str(o.path) for o in refused), refused
    assert receiving.quarantined() == ()
    indexed = {
        (study.study_instance_uid, record.header.sop_instance_uid)
        for study in receiving.index.studies()
        for record in receiving.index.instances(study.study_instance_uid)
    }
    sent = {(o.study_instance_uid, o.sop_instance_uid) for o in outcomes if o.result is StoreResult.SENT}
    assert indexed == sent


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
