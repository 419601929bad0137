"""Kinds of results by destination, at a running node: a PACS gets the usual ones by C-STORE, one others by STOW-RS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.destinations import takes
from node.results.kinds import kind_of
from node.settings import USUAL_RESULTS, ResultKind, load_settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.records import DeliveryRecord

from ..parts.node import Node
from ..parts.orthanc import DICOMWEB, Orthanc
from ..parts.readers import READERS, faults_of_all
from .conftest import KINDS_OF_READER, SentStudy, files_of

pytestmark = pytest.mark.skipif(not DICOMWEB.exists(), reason="orthanc-dicomweb is not installed")


@pytest.fixture(scope="module")
def deliveries(returned: dict[str, Any], skyra: SentStudy, node: Node) -> tuple[DeliveryRecord, ...]:
    """What was to be sent of the Skyra study, once all of it was."""
    engine = open_engine(load_settings(node.config).storage_url)
    found = Deliveries(engine).records(skyra.uid)
    engine.dispose()
    assert {str(it.state) for it in found} == {"STORED"}
    return found


@pytest.fixture(scope="module")
def received(skyra: SentStudy, deliveries, reader: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What the reader has, as files."""
    return files_of(skyra.uid, tmp_path_factory.mktemp("received"), reader)


def uids_at(archive: Orthanc, study: SentStudy) -> set[str]:
    found = archive.find("Instance", StudyInstanceUID=study.uid)
    return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in found}


def test_each_destination_has_the_kinds_that_it_names_and_no_others(
    deliveries, skyra: SentStudy, node: Node, orthanc: Orthanc, reader: Orthanc
) -> None:
    remotes = {remote.name: remote for remote in load_settings(node.config).remotes}
    for name, kinds, archive in (("pacs", USUAL_RESULTS, orthanc), ("reader", KINDS_OF_READER, reader)):
        sent = [it.result for it in deliveries if it.destination == name]
        assert {kind_of(it.sop_class_uid, it.role) for it in sent} == set(kinds)
        assert all(takes(remotes[name], it.sop_class_uid, it.role) for it in sent)
        assert {it.sop_instance_uid for it in sent} == uids_at(archive, skyra)


def test_the_key_objects_name_exactly_what_their_destination_has(deliveries, skyra: SentStudy, reader: Orthanc) -> None:
    (selection,) = [it for it in reader.data_sets(skyra.uid) if it.Modality == "KO"]
    named = {
        item.ReferencedSOPInstanceUID
        for series in selection.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {*named, str(selection.SOPInstanceUID)} == uids_at(reader, skyra)


@pytest.mark.skipif(not READERS, reason="dicom3tools and DCMTK are not installed")
def test_no_reader_finds_a_fault_in_what_arrived(received: list[Path]) -> None:
    assert len(received) > 20
    assert faults_of_all(received) == {}


def test_every_kind_was_made_of_the_study(deliveries) -> None:
    assert {kind_of(it.result.sop_class_uid, it.result.role) for it in deliveries} == set(ResultKind)
