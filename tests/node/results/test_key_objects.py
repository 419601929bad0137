"""The Key Object Selection that ties the results of a study together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.destinations import takes
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.identity import RESEARCH_STATEMENT
from node.results.kinds import selection_role
from node.settings import USUAL_RESULTS, RemoteSettings, ResultKind

from .conftest import EVERYTHING, OF_SEQUENCES, SITE

Objects = tuple[EncodedObject, ...]


@pytest.fixture(scope="module")
def objects(siemens, tmp_path_factory) -> Objects:
    """All results of a study, the selection among them."""
    return encode(siemens.results, tmp_path_factory.mktemp("selected"), SITE, selections=(EVERYTHING,))


@pytest.fixture(scope="module")
def selection(objects) -> Dataset:
    return dcmread(objects[-1].path)


def named(selection: Dataset) -> list[str]:
    """UIDs of the objects in the content, in order."""
    return [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in selection.ContentSequence
        if item.ValueType in ("IMAGE", "COMPOSITE")
    ]


def description_of(selection: Dataset) -> str:
    """What it says of itself in words."""
    (text,) = (it for it in selection.ContentSequence if (it.ValueType, it.RelationshipType) == ("TEXT", "CONTAINS"))
    return str(text.TextValue)


def test_it_is_the_last_object_and_the_others_stay_as_they_are(objects, siemens):
    assert objects[-1].role.startswith("key-objects-")
    assert [it.path.read_bytes() for it in objects[:-1]] == [it.path.read_bytes() for it in siemens.objects]


def test_it_names_every_object_the_report_first(objects, selection):
    uids = named(selection)
    assert uids[0] == next(it.sop_instance_uid for it in objects if it.role == "report")
    assert sorted(uids) == sorted(it.sop_instance_uid for it in objects[:-1])


def test_its_evidence_is_complete_with_the_series_of_each_object(objects, selection):
    (study,) = selection.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        (series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert study.StudyInstanceUID == selection.StudyInstanceUID
    assert evidence == {(it.series_instance_uid, it.sop_class_uid, it.sop_instance_uid) for it in objects[:-1]}


def test_it_says_what_it_is(selection, siemens):
    assert (selection.Modality, selection.SeriesNumber) == ("KO", 9401)
    assert selection.ConceptNameCodeSequence[0].CodeValue == "113030"
    assert RESEARCH_STATEMENT in description_of(selection)
    assert str(selection.PatientName) == siemens.vendor.patient_name_unicode


def test_highdicom_reads_it_and_finds_every_object(objects, selection):
    document = KeyObjectSelectionDocument.from_dataset(selection)
    for each in objects[:-1]:
        assert document.resolve_reference(each.sop_instance_uid)[1] == each.series_instance_uid


def test_the_same_results_give_the_same_bytes(objects, siemens, tmp_path: Path):
    again = encode(siemens.results, tmp_path, SITE, selections=(EVERYTHING,))
    assert again[-1].path.read_bytes() == objects[-1].path.read_bytes()


def test_each_selection_names_what_its_destination_gets_and_nothing_else(only_t2, tmp_path: Path):
    """Those of a PACS that gets the usual kinds, and of a viewer that gets some others without the report."""
    pacs = frozenset(USUAL_RESULTS) | {ResultKind.KEY_OBJECTS}
    viewer = frozenset((ResultKind.KEY_OBJECTS, ResultKind.FRACTIONAL, ResultKind.SUPER_RESOLVED))
    objects = encode(only_t2.results, tmp_path, SITE, kinds=OF_SEQUENCES, selections=(pacs, viewer))
    made = {it.role: it for it in objects}
    for kinds in (pacs, viewer):
        document = dcmread(made[selection_role(kinds)].path)
        remote = RemoteSettings(name="r", ae_title="R", host="h", port=104, results=tuple(kinds), receives_results=True)
        gets = {it.sop_instance_uid for it in objects if takes(remote, it.sop_class_uid, it.role)}
        assert {*named(document), str(document.SOPInstanceUID)} == gets
        assert ("the report is their root" in description_of(document)) == (ResultKind.REPORT in kinds)
    assert made[selection_role(pacs)].series_instance_uid != made[selection_role(viewer)].series_instance_uid


def test_no_selection_is_made_where_its_destination_gets_nothing(make_encoded):
    """Of a study without a tumour there is no segmentation."""
    wanted = frozenset((ResultKind.KEY_OBJECTS, ResultKind.SEGMENTATION))
    made = make_encoded("siemens", ("T2WI",), with_tumour=False, selections=(wanted,))
    assert not [it for it in made.objects if it.role.startswith("key-objects")]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_and_dcmtk_find_no_error(objects):
    checked = subprocess.run(["dciodvfy", "-new", objects[-1].path], capture_output=True, text=True, check=False)
    assert checked.stderr
    assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []
    assert subprocess.run(["dsrdump", objects[-1].path], capture_output=True, check=False).returncode == 0
