"""Seeded names, in their places and in every other, through the whole chain at DEBUG: no record holds one."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pynetdicom.dsutils import split_dataset

from node.analysis.bundles import Models
from node.analysis.context import AnalysisContext
from node.analysis.steps import assemble_volumes, encode_results, recognise_study
from node.dicom.scu import StoreResult, store
from node.logs import LineFormatter
from node.recognition.record import to_json
from node.results.identity import Site
from node.results.source import read_header
from node.settings import Settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.records import StudyState

from ..copies import copied

NAME, IDENTIFIER, ACCESSION, BIRTH = "Seeded^Name", "SEED-4711", "SEEDED-ACC", "19360229"
SEEDS = (NAME, "Seeded", IDENTIFIER, ACCESSION, BIRTH)
#: Elements that are read, of every kind of value, where a name is no value at all.
MISPLACED = (
    *("SliceThickness", "EchoTime", "RepetitionTime", "FlipAngle", "PixelSpacing", "ImagePositionPatient"),
    *("ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "InstanceNumber", "SeriesNumber"),
    *("AcquisitionTime", "AcquisitionDate", "ContentTime", "SeriesTime", "StudyDate", "PatientAge", "PatientWeight"),
    *("ImageType", "Modality", "SpecificCharacterSet", "FrameOfReferenceUID", "DiffusionBValue", "EchoTrainLength"),
    *("Rows", "BitsStored", "WindowCenter", "PatientBirthDate", "TriggerTime", "TemporalPositionIdentifier"),
)


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Everything that the packages of the node have logged, as it is written."""
    for package in ("node", "storage", "models"):
        caplog.set_level(logging.DEBUG, logger=package)
    form = LineFormatter()
    return lambda: "\n".join(
        form.format(record) for record in caplog.records if record.name.split(".")[0] in ("node", "storage", "models")
    )


def assert_no_seed(text: str) -> None:
    assert [seed for seed in SEEDS if seed in text] == []


def seeded(instance: Dataset) -> Dataset:
    """With the names of a patient in the elements that are for them."""
    changed = copied(instance)
    changed.PatientName, changed.PatientID, changed.AccessionNumber = NAME, IDENTIFIER, ACCESSION
    changed.PatientBirthDate, changed.OtherPatientIDs = BIRTH, IDENTIFIER
    changed.ReferringPhysicianName = changed.OperatorsName = changed.PatientMotherBirthName = NAME
    return changed


def misplaced(instance: Dataset, keyword: str) -> Dataset:
    tag = BaseTag(tag_for_keyword(keyword) or 0)
    value = NAME.encode() + b" "
    instance[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return instance


def test_objects_and_commands_with_names_in_the_place_of_uids(receiving, scanner, make_image, written):
    uid = NAME.encode() + b" "
    path = make_image(PatientName=NAME, PatientID=IDENTIFIER, AccessionNumber=ACCESSION, PatientBirthDate=BIRTH)
    data_set = path.read_bytes()[split_dataset(path)[1] :]
    for wrong in (data_set.replace(b"1.2.3.4.1\0", uid[:10]), data_set.replace(b"1.2.3.1\0", uid[:8]), data_set[:-100]):
        sending = scanner(receiving.port)
        assert sending.associate() == "accepted"
        for elements in ({0x1000: b"1.2.3.4.1\0"}, {0x1000: uid}, {0x0002: uid}, {0x1000: uid * 10}, {}):
            command = {0x0002: sending.MR + b"\0", 0x0100: b"\1\0", 0x0110: b"\1\0", 0x0700: b"\0\0", 0x0800: b"\1\0"}
            sending.say(sending.fragment(3, sending.command(command | elements)), sending.fragment(2, wrong))
            assert sending.status() != "0000 to 1"
    text = written()
    assert "kept in quarantine" in text
    assert_no_seed(text)
    assert_no_seed(" ".join(record.reason for record in receiving.quarantined()))


def test_requests_and_pdus_with_names_in_them(receiving, scanner, written):
    field = NAME.encode().ljust(16)
    for asked in ({"calling": field}, {"called": field}, {"calling": b"\n" + field[:15]}):
        scanner(receiving.port).associate(**asked)
    for damaged in (
        scanner(receiving.port).request().replace(b"1.2.840.10008.3.1.1.1", (NAME * 2).encode()[:21]),
        scanner(receiving.port).request().replace(b"1.2.840.10008.5.1.4.1.1.4", (NAME * 3).encode()[:25]),
    ):
        asking = scanner(receiving.port)
        asking.send(damaged)
        asking.answer()
    for pdu in (NAME.encode() * 3, b"\x04\0" + struct.pack(">L", 33) + NAME.encode() * 3):
        talking = scanner(receiving.port)
        assert talking.associate() == "accepted"
        talking.send(pdu)
        assert talking.answer().startswith("aborted")
    assert "association rejected" in written()
    assert_no_seed(written())


def test_a_whole_study_through_reception_recognition_volumes_and_results(receiving, written_by, written, tmp_path):
    study = [seeded(each) for each in written_by("Siemens Skyra").instances]
    study[::4] = [misplaced(each, MISPLACED[n % len(MISPLACED)]) for n, each in enumerate(study[::4])]
    paths = []
    for number, instance in enumerate(study):
        paths.append(tmp_path / f"{number}.dcm")
        instance.save_as(paths[-1])
    paths[5].write_bytes(paths[5].read_bytes()[:-500])
    outcomes = list(store(paths, "127.0.0.1", receiving.port, "RECTALNODE", "SCANNER", 10))
    assert sum(outcome.result is StoreResult.SENT for outcome in outcomes) > len(study) * 0.9
    settings = Settings(root=receiving.store.root)
    storage = receiving.store, receiving.index, receiving.ledger, Deliveries(open_engine(settings.storage_url))
    context = AnalysisContext(settings, *storage, Models(settings.analysis))
    uid = str(study[1].StudyInstanceUID)
    context.index.move(uid, 1, StudyState.QUEUED)
    analysis = context.study(uid, 1)
    recognise_study(analysis, settings.recognition, context.models)
    plan = assemble_volumes(analysis, settings.recognition, context.models)
    for stack in plan.stacks:
        for frame in stack.frames:
            read_header(frame.path)
    (analysis.folder / "plan.json").write_text(to_json(replace(plan, stacks=())))
    assert encode_results(analysis, context.models, datetime.now(UTC), "settings", Site(settings.uid_root))
    assert plan.stacks
    assert_no_seed(written())
    assert_no_seed(to_json(plan))
