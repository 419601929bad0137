"""Which destinations get which results of a study."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.destinations import chosen, facts_of, selections, takes
from node.results.kinds import selection_role
from node.settings import Conditions, RemoteSettings, ResultKind
from storage.files import ObjectStore
from storage.header import read_header
from storage.records import InstanceRecord


def remote(name: str = "pacs", **change: object) -> RemoteSettings:
    values = {"receives_results": True, "ae_title": name.upper(), "host": "h", "port": 104, **change}
    return RemoteSettings(name=name, **values)  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


@pytest.fixture
def received(files: ObjectStore):
    """Store an object of a series, as one that an AE title has sent."""
    count = iter(range(1, 1000))

    def store(calling_ae: str = "SKYRA", series: int = 1, **elements: object) -> InstanceRecord:
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SpecificCharacterSet = "ISO_IR 192"
        made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, f"1.2.3.{series}.{next(count)}"
        made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", f"1.2.3.{series}"
        for keyword, value in elements.items():
            setattr(made, keyword, value)
        path = files.root / "made.dcm"
        made.save_as(path, enforce_file_format=True)
        header = read_header(path)
        return InstanceRecord(header, 1, files.store(path.read_bytes(), header), calling_ae, datetime.now(UTC))

    return store


def names(remotes, facts) -> list[str]:
    return [it.name for it in chosen(remotes, facts)[0]]


@pytest.mark.parametrize(
    ("kind", "sop_class"),
    [
        (ResultKind.SUPER_RESOLVED, MRImageStorage),
        (ResultKind.SEGMENTATION, SegmentationStorage),
        (ResultKind.REPORT, Comprehensive3DSRStorage),
        (ResultKind.PICTURE, SecondaryCaptureImageStorage),
        (ResultKind.PDF, EncapsulatedPDFStorage),
    ],
)
def test_a_remote_gets_the_kinds_that_it_takes(kind, sop_class):
    assert takes(remote(), sop_class)
    assert takes(remote(results=(kind,)), sop_class)
    assert not takes(remote(results=tuple(set(ResultKind) - {kind})), sop_class)


def test_key_objects_go_only_to_a_remote_that_names_them():
    assert not takes(remote(), KeyObjectSelectionDocumentStorage)
    assert takes(remote(results=(ResultKind.REPORT, ResultKind.KEY_OBJECTS)), KeyObjectSelectionDocumentStorage)


def test_of_several_key_object_selections_a_remote_gets_the_one_that_names_what_it_gets():
    reports = remote(results=(ResultKind.KEY_OBJECTS, ResultKind.REPORT))
    images = remote(results=(ResultKind.SUPER_RESOLVED, ResultKind.PDF, ResultKind.KEY_OBJECTS))
    as_images = remote(results=(ResultKind.PDF, ResultKind.KEY_OBJECTS, ResultKind.SUPER_RESOLVED))
    wanted = selections([remote(), reports, images, as_images])
    assert wanted == {frozenset(reports.results), frozenset(images.results)}
    for kinds in wanted:
        role = selection_role(kinds)
        found = [takes(it, KeyObjectSelectionDocumentStorage, role) for it in (remote(), reports, images, as_images)]
        assert found == [False, kinds == set(reports.results), *[kinds == set(images.results)] * 2]


@pytest.mark.parametrize("role", ["key-objects", "unknown"])
def test_a_selection_of_which_it_is_not_known_what_it_names_goes_to_who_asks_for_one(role):
    """Of an earlier release, or found by `reindex` without its list of results."""
    wants = remote(results=(ResultKind.REPORT, ResultKind.KEY_OBJECTS))
    assert takes(wants, KeyObjectSelectionDocumentStorage, role)
    assert not takes(remote(), KeyObjectSelectionDocumentStorage, role)


def test_a_remote_that_gets_key_objects_and_nothing_that_they_could_name_is_refused():
    with pytest.raises(ValidationError, match="key-objects names the other objects"):
        remote(results=(ResultKind.KEY_OBJECTS,))


def test_without_conditions_a_remote_gets_the_results_of_every_study(received, files):
    assert names([remote("a"), remote("b")], facts_of([received()], files, ())) == ["a", "b"]


@pytest.mark.parametrize(
    ("key", "keyword", "value", "pattern"),
    [
        ("station_name", "StationName", "MR1", "^MR1$"),
        ("institution_name", "InstitutionName", "东方医院", "医院"),
        ("modality", "Modality", "MR", "MR|PT"),
        ("study_description", "StudyDescription", "MRI Rectum Staging", "(?i)rectum"),
    ],
)
def test_a_condition_is_met_where_one_series_says_it(received, files, key, keyword, value, pattern):
    wants = [remote(when=Conditions(**{key: pattern}))]
    other = received(series=1, **{keyword: "OT" if key == "modality" else "another"})
    assert names(wants, facts_of([other, received(series=2, **{keyword: value})], files, wants)) == ["pacs"]
    found, why = chosen(wants, facts_of([other, received(series=2)], files, wants))
    assert found == ()
    assert why == f"no destination: pacs wants {key} {pattern!r}"


def test_every_condition_must_be_met(received, files):
    wants = [remote(when=Conditions(station_name="MR1", calling_ae_title="SKYRA"))]
    study = [received("VIDA", StationName="MR1")]
    assert chosen(wants, facts_of(study, files, wants))[1] == "no destination: pacs wants calling_ae_title 'SKYRA'"
    assert names(wants, facts_of([*study, received("SKYRA")], files, wants)) == ["pacs"]


def test_results_return_to_the_remote_that_has_sent_the_study(received, files):
    remotes = [remote(name, receives_results=False, return_to_sender=True) for name in ("skyra", "vida")]
    assert names(remotes, facts_of([received("SKYRA")], files, remotes)) == ["skyra"]
    found, why = chosen(remotes, facts_of([received("TRIO")], files, remotes))
    assert found == ()
    assert why == ("no destination: skyra wants what SKYRA has sent itself; vida wants what VIDA has sent itself")


def test_a_file_that_cannot_be_read_says_nothing(received, files):
    wants = [remote(when=Conditions(station_name="MR1"))]
    broken = received(series=1, StationName="MR1")
    files.absolute(broken.file).write_bytes(b"no DICOM")
    assert names(wants, facts_of([broken], files, wants)) == []
    assert names(wants, facts_of([broken, received(series=2, StationName="MR1")], files, wants)) == ["pacs"]
