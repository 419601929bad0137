"""Properties of every object that leaves, whatever the scanner."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import UID, ExplicitVRLittleEndian

import storage.header
from node.errors import PermanentError
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.identity import RESEARCH_STATEMENT, Identity, Site
from node.results.source import read_frames, read_header, with_patient

UID_ROOT = "1.2.826.0.1.3680043.10.1599."

needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")


def errors_of(path: Path) -> list[str]:
    """Lines of dciodvfy that say Error; its exit status says nothing."""
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert output.strip(), f"dciodvfy said nothing about {path.name}"
    return [line for line in output.splitlines() if line.startswith("Error")]


def some_of_each_role(objects: Iterable[EncodedObject]) -> list[EncodedObject]:
    """First and last object of each role: images of one series differ in place and pixels only."""
    by_role: dict[str, list[EncodedObject]] = {}
    for entry in objects:
        by_role.setdefault(entry.role, []).append(entry)
    return [
        entry
        for members in by_role.values()
        for entry in {members[0].path: members[0], members[-1].path: members[-1]}.values()
    ]


@needs_dciodvfy
def test_dciodvfy_finds_no_error(encoded):
    found = {entry.path.name: errors_of(entry.path) for entry in some_of_each_role(encoded.objects)}
    assert {name: lines for name, lines in found.items() if lines} == {}


@needs_dciodvfy
@pytest.mark.parametrize("study", ["without_tumour", "only_t2", "not_located", "set_aside"])
def test_dciodvfy_finds_no_error_in_the_smaller_answers(study, request):
    objects = request.getfixturevalue(study).objects
    assert [line for entry in some_of_each_role(objects) for line in errors_of(entry.path)] == []


def test_every_object_is_known_for_a_result_of_this_node_whatever_its_uids(encoded):
    assert all(storage.header.read_header(entry.path).made_here for entry in encoded.objects)


def test_a_complete_study_gives_every_kind_of_object_in_sending_order(encoded):
    roles = list(dict.fromkeys(entry.role for entry in encoded.objects))
    assert roles == [
        "super-resolved-t2wi",
        "super-resolved-dwi",
        "super-resolved-pvp",
        "segmentation-t2wi",
        "segmentation-super-resolved-t2wi",
        "segmentation-dwi",
        "segmentation-pvp",
        "report",
        "summary",
        "summary-pdf",
    ]


def test_patient_and_study_come_back_as_the_scanner_wrote_them(encoded):
    for entry in some_of_each_role(encoded.objects):
        ds = pydicom.dcmread(entry.path)
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName) == encoded.vendor.patient_name_unicode
        assert (ds.PatientID, ds.PatientBirthDate, ds.PatientSex) == ("P-0815", "19600229", "F")
        assert (ds.StudyDate, ds.StudyTime, ds.StudyID) == ("20240315", "101112.5", "S7")
        assert (ds.AccessionNumber, ds.StudyDescription) == ("A-4711", "MRI RECTUM")
        assert ds.StudyInstanceUID == encoded.results.study_instance_uid


def test_every_object_names_models_versions_and_that_it_is_research(encoded):
    for entry in some_of_each_role(encoded.objects):
        ds = pydicom.dcmread(entry.path, stop_before_pixels=True)
        processing = ds.ContributingEquipmentSequence[-1]
        assert processing.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert RESEARCH_STATEMENT in processing.ContributionDescription
        assert "sr-gan 0.3.0" in processing.ContributionDescription
        assert "research" in ds.SeriesDescription
        assert ds.Manufacturer == "rectal-node"
        assert "sr-gan 0.3.0" in ds.SoftwareVersions


def models_of(dataset):
    """Contributing equipment that IHE AI Results calls a processing algorithm."""
    return [
        item
        for item in dataset.ContributingEquipmentSequence
        if item.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Algorithm"
    ]


def test_every_object_has_one_item_of_equipment_for_each_model_that_ran(siemens):
    for entry in some_of_each_role(siemens.objects):
        ds = pydicom.dcmread(entry.path, stop_before_pixels=True)
        models = models_of(ds)
        told = [f"{it.ManufacturerModelName} {it.SoftwareVersions}" for it in models]
        assert told == ds.SoftwareVersions[1:], entry.role
        assert {(it.Manufacturer, it.PurposeOfReferenceCodeSequence[0].CodeValue) for it in models} == {
            ("rectal-node", "Newcode1")
        }
        assert all(RESEARCH_STATEMENT in it.ContributionDescription for it in models)


def test_the_device_uid_of_a_model_is_one_in_all_objects_and_another_after_training(siemens, make_encoded):
    def retrained(results):
        segmenter = replace(results.algorithms["segmentation"], digest="f6" * 32)
        return replace(results, algorithms={**results.algorithms, "segmentation": segmenter})

    def uids(encoded):
        found = {}
        for entry in some_of_each_role(encoded.objects):
            for item in models_of(pydicom.dcmread(entry.path, stop_before_pixels=True)):
                found.setdefault(item.ManufacturerModelName, set()).add(item.DeviceUID)
        assert all(len(each) == 1 and UID(next(iter(each))).is_valid for each in found.values())
        return {name: next(iter(each)) for name, each in found.items()}

    before, after = uids(siemens), uids(make_encoded("siemens", change=retrained))
    assert set(before) == {"sr-gan", "unet++", "grade"}
    assert len(set(before.values())) == 3
    assert {name for name in before if before[name] != after[name]} == {"unet++"}


def test_the_scanner_stays_named_as_acquisition_equipment(encoded):
    for entry in some_of_each_role(encoded.objects):
        first = pydicom.dcmread(entry.path).ContributingEquipmentSequence[0]
        assert first.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
        assert (first.Manufacturer, first.DeviceSerialNumber) == (encoded.vendor.name, "4242")


def test_no_private_group_and_no_step_of_the_scanner_is_passed_on(encoded):
    for entry in some_of_each_role(encoded.objects):
        ds = pydicom.dcmread(entry.path)
        assert [element.tag for element in ds.iterall() if element.tag.is_private] == []
        for keyword in ("OperatorsName", "PerformedProcedureStepID", "RescaleSlope", "LargestImagePixelValue"):
            assert keyword not in ds


def test_uids_are_valid_and_below_the_own_root(encoded):
    uids = [entry.sop_instance_uid for entry in encoded.objects]
    assert len(set(uids)) == len(uids)
    for uid in (*uids, *(entry.series_instance_uid for entry in encoded.objects)):
        assert UID(uid).is_valid
        assert uid.startswith(UID_ROOT)


def test_each_role_is_a_series_of_its_own_in_the_reserved_numbers(encoded):
    series = {(entry.role, entry.series_instance_uid) for entry in encoded.objects}
    assert len(series) == len({uid for _, uid in series}) == len({role for role, _ in series})
    some = some_of_each_role(encoded.objects)
    numbers = {pydicom.dcmread(entry.path, stop_before_pixels=True).SeriesNumber for entry in some}
    assert len(numbers) == len(series)
    assert min(numbers) > 9000


def test_files_are_part_10_in_explicit_little_endian_with_the_nodes_own_implementation(encoded):
    for entry in some_of_each_role(encoded.objects):
        meta = pydicom.dcmread(entry.path).file_meta
        assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert meta.ImplementationClassUID.startswith(UID_ROOT)
        assert meta.MediaStorageSOPInstanceUID == entry.sop_instance_uid
        assert meta.MediaStorageSOPClassUID == entry.sop_class_uid


def test_encoding_again_gives_the_same_bytes(siemens, tmp_path):
    again = encode(siemens.results, tmp_path, Site(UID_ROOT, "Our Hospital", "UTC"))

    def digests(objects):
        return {entry.path.name: hashlib.sha256(entry.path.read_bytes()).hexdigest() for entry in objects}

    assert digests(again) == digests(siemens.objects)


def test_another_model_version_gives_other_uids(siemens):
    before = Identity.of(siemens.results, Site(UID_ROOT))
    newer = replace(siemens.results.algorithms["segmentation"], version="0.4.2")
    algorithms = {**siemens.results.algorithms, "segmentation": newer}
    after = Identity.of(replace(siemens.results, algorithms=algorithms), Site(UID_ROOT))
    assert before.uid("report") != after.uid("report")


def test_uids_do_not_depend_on_the_clock(siemens):
    later = replace(siemens.results, created_at=siemens.results.created_at.replace(hour=23))
    uids = {Identity.of(results, Site(UID_ROOT)).uid("report") for results in (later, siemens.results)}
    assert len(uids) == 1


def test_uids_of_role_and_index_cannot_run_together(siemens):
    identity = Identity.of(siemens.results, Site(UID_ROOT))
    assert identity.uid("slice1", 1) != identity.uid("slice", 11)


def test_nothing_half_written_is_left_behind(siemens):
    names = {path.name for path in siemens.folder.iterdir()}
    assert names == {entry.path.name for entry in siemens.objects}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_that_lies_half_a_voxel_away_is_refused(siemens, tmp_path, axis):
    first = siemens.results.sequences[0]
    moved = sitk.Image(first.acquired)
    half = [0.5 if axis == other else 0.0 for other in range(3)]
    moved.SetOrigin(first.acquired.TransformContinuousIndexToPhysicalPoint(half))
    results = replace(siemens.results, sequences=(replace(first, acquired=moved),))
    with pytest.raises(PermanentError, match=r"lies 0\.50 voxels away"):
        encode(results, tmp_path, Site(UID_ROOT))


def test_a_stack_in_another_order_than_its_volume_is_refused(siemens, tmp_path):
    first = siemens.results.sequences[0]
    stack = replace(first.stack, frames=first.stack.frames[::-1])
    results = replace(siemens.results, sequences=(replace(first, stack=stack),))
    with pytest.raises(PermanentError, match="voxels away"):
        encode(results, tmp_path, Site(UID_ROOT))


def test_a_study_without_any_usable_stack_still_gets_its_answer(siemens, tmp_path):
    plan = replace(siemens.results.plan, stacks=())
    results = replace(siemens.results, sequences=(), prediction=None, plan=plan)
    source = siemens.results.plan.stacks[0].frames[0].path
    objects = encode(results, tmp_path, Site(UID_ROOT), reference=source)
    assert [entry.role for entry in objects] == ["report", "summary", "summary-pdf"]
    report = pydicom.dcmread(objects[0].path)
    assert str(report.PatientName) == siemens.vendor.patient_name_unicode
    texts = [item.TextValue for item in report.ContentSequence[-1].ContentSequence]
    assert "Not analysed: no series of this study could be used." in texts
    if shutil.which("dciodvfy"):
        assert [line for entry in objects for line in errors_of(entry.path)] == []


def test_without_a_stack_and_without_a_reference_nothing_is_invented(siemens, tmp_path):
    results = replace(siemens.results, sequences=(), prediction=None)
    with pytest.raises(PermanentError, match="no instance to take patient and study from"):
        encode(results, tmp_path, Site(UID_ROOT))


@pytest.fixture
def nameless(siemens, tmp_path):
    """T2WI of which no image states a Patient ID, and an object of another series that does."""
    (first, *_) = siemens.results.sequences
    frames = []
    for number, frame in enumerate(first.stack.frames):
        image = pydicom.dcmread(frame.path)
        image.PatientID, image.PatientBirthDate = "", ""
        frames.append(replace(frame, path=tmp_path / f"{number}.dcm"))
        image.save_as(frames[-1].path)
    image.PatientID, image.IssuerOfPatientID, image.PatientName = "P-77", "Hospital", "Full^Name"
    image.save_as(tmp_path / "reference.dcm")
    results = replace(siemens.results, sequences=(replace(first, stack=replace(first.stack, frames=tuple(frames))),))
    return results, tmp_path / "reference.dcm"


def test_images_without_a_patient_id_have_results_of_the_patient_of_the_study(nameless, tmp_path):
    """All objects carry him, the derived images as well."""
    results, reference = nameless
    (tmp_path / "out").mkdir()
    objects = encode(results, tmp_path / "out", Site(UID_ROOT), reference=reference)
    assert {it.role for it in objects} >= {"super-resolved-t2wi", "segmentation-t2wi", "report", "summary"}
    for made in (pydicom.dcmread(it.path, stop_before_pixels=True) for it in objects):
        assert (made.PatientID, made.IssuerOfPatientID, made.PatientName) == ("P-77", "Hospital", "Full^Name")


def test_images_that_state_a_patient_id_keep_their_own_patient(siemens, nameless):
    _, reference = nameless
    (first, *_) = siemens.results.sequences
    identity = Identity.of(siemens.results, Site(UID_ROOT))
    frames = with_patient(read_frames(first.stack, identity), read_header(reference))
    assert {str(frame.header.PatientName) for frame in frames} == {siemens.vendor.patient_name_unicode}
    assert {str(frame.header.PatientID) for frame in frames} == {"P-0815"}
