"""What an association has brought is put on record once it has ended: an event a study, however many objects."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from node.services import store
from storage.audit import Audit, AuditAction, AuditSearch

from ...parts.processes import wait_for


@pytest.fixture
def sender():
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    return ae


def test_an_event_a_study_after_the_end(receiving, make_image, sender):
    audit = Audit(receiving.index.engine)
    association = sender.associate("127.0.0.1", receiving.port, ae_title="RECTALNODE")
    for number in range(12):
        study = {"StudyInstanceUID": f"1.2.{3 + number % 2}", "SeriesInstanceUID": f"1.2.{3 + number % 2}.1"}
        image = dcmread(make_image(number, PatientID=f"P{number % 2}", SOPInstanceUID=f"1.2.9.{number}", **study))
        assert association.send_c_store(image).Status == 0
    del image.StudyInstanceUID
    assert association.send_c_store(image).Status == 0xC000
    assert audit.count(AuditSearch()) == 0
    association.release()
    wait_for(lambda: audit.count(AuditSearch()) == 3, "three events", 30)
    found = {(it.study_instance_uid, it.patient_id): it for it in audit.find(AuditSearch())}
    assert {it.action for it in found.values()} == {AuditAction.RECEIVED}
    assert {it.remote for it in found.values()} == {"SCANNER"}
    first, second, unknown = found["1.2.3", "P0"], found["1.2.4", "P1"], found["", ""]
    assert [dict(it.facts.sop_classes) for it in (first, second, unknown)] == [
        {MRImageStorage: 6},
        {MRImageStorage: 6},
        {},
    ]
    assert (first.succeeded, unknown.succeeded, unknown.detail) == (True, False, "0 objects stored, 1 refused")


def test_who_brings_many_studies_is_on_record_before_its_end(receiving, make_image, sender, monkeypatch):
    monkeypatch.setattr(store, "_MOST_STUDIES", 3)
    audit = Audit(receiving.index.engine)
    association = sender.associate("127.0.0.1", receiving.port, ae_title="RECTALNODE")
    for number in range(8):
        study = {"StudyInstanceUID": f"1.2.{number}", "SeriesInstanceUID": f"1.2.{number}.1"}
        image = dcmread(make_image(number, SOPInstanceUID=f"1.2.9.{number}", **study))
        assert association.send_c_store(image).Status == 0
    wait_for(lambda: audit.count(AuditSearch()) == 6, "those of two loads", 30)
    association.release()
    wait_for(lambda: audit.count(AuditSearch()) == 8, "the rest", 30)
    assert {it.study_instance_uid for it in audit.find(AuditSearch())} == {f"1.2.{number}" for number in range(8)}


def test_who_does_not_end_is_on_record_now_and_then(receiving, make_image, sender, monkeypatch):
    monkeypatch.setattr(store, "_LONGEST_S", 0.0)
    audit = Audit(receiving.index.engine)
    association = sender.associate("127.0.0.1", receiving.port, ae_title="RECTALNODE")
    for number in range(2):
        image = dcmread(make_image(number, SOPInstanceUID=f"1.2.9.{number}"))
        assert association.send_c_store(image).Status == 0
    wait_for(lambda: audit.count(AuditSearch()) == 2, "an event an object", 30)
    association.release()


def test_a_hundred_strangers_are_an_event_and_a_count(receiving, scanner):
    audit = Audit(receiving.index.engine)
    for _ in range(100):
        stranger = scanner(receiving.port)
        stranger.send(stranger.request(called=b"OTHERNODE       "))
        stranger.read()
        stranger.close()
    receiving.listener.stop(0.5)
    found = audit.find(AuditSearch())
    assert [(it.action, it.facts.times, it.facts.called) for it in found] == [
        (AuditAction.REFUSED, 99, "OTHERNODE"),
        (AuditAction.REFUSED, 1, "OTHERNODE"),
    ]
