"""Results of this node that come back under other UIDs: what a header tells of them, and where they are kept."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)

from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.overview import Overview
from storage.records import Registration, ResultRecord, StudyState

ENCODINGS = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


@pytest.fixture
def index(engine):
    return Index(engine)


def items(*each: dict[str, object]) -> list[Dataset]:
    found = []
    for values in each:
        item = Dataset()
        for keyword, value in values.items():
            setattr(item, keyword, value)
        found.append(item)
    return found


def a_file(syntax=ExplicitVRLittleEndian, undefined_lengths: bool = False, **values: object) -> bytes:
    """A data set of these values; `undefined_lengths` for its sequences and their items."""
    (image,) = items({"SOPClassUID": MRImageStorage, "SOPInstanceUID": "1.2.3.4.5", "Rows": 4, **values})
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    for element in image.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined_lengths
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined_lengths
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


def contribution(name: str, syntax=ExplicitVRLittleEndian, undefined_lengths: bool = False) -> bytes:
    scanner = {"Manufacturer": "SIEMENS", "PurposeOfReferenceCodeSequence": items({"CodeValue": "109101"})}
    contributing = items(scanner, {"Manufacturer": name})
    return a_file(syntax, undefined_lengths, Manufacturer="", ContributingEquipmentSequence=contributing)


@pytest.mark.parametrize("keyword", ["Manufacturer", "ManufacturerModelName", "SoftwareVersions"])
def test_equipment_that_names_the_node_is_told(keyword):
    assert read_header(a_file(**{keyword: "rectal-node"})).made_here
    assert not read_header(a_file(**{keyword: "SIEMENS"})).made_here


@pytest.mark.parametrize("undefined_lengths", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda uid: uid.name)
def test_contributing_equipment_is_told_in_every_encoding(syntax, undefined_lengths):
    assert read_header(contribution("rectal-node", syntax, undefined_lengths)).made_here
    assert not read_header(contribution("UIH", syntax, undefined_lengths)).made_here


@pytest.mark.parametrize("undefined_lengths", [True, False])
@pytest.mark.parametrize("syntax", ENCODINGS, ids=lambda uid: uid.name)
def test_what_an_image_was_made_from_is_told_and_not_what_it_was_planned_on(syntax, undefined_lengths):
    made_from, planned_on = ({"ReferencedSOPInstanceUID": uid} for uid in ("1.2.9.1", "1.2.9.2"))
    frame = {
        "ReferencedImageSequence": items(planned_on),
        "DerivationImageSequence": items({"SourceImageSequence": items(made_from)}),
    }
    classic = a_file(
        syntax, undefined_lengths, SourceImageSequence=items(made_from), ReferencedImageSequence=items(planned_on)
    )
    enhanced = a_file(syntax, undefined_lengths, PerFrameFunctionalGroupsSequence=items(frame, frame))
    assert read_header(classic).sources == ("1.2.9.1",)
    assert read_header(enhanced).sources == ("1.2.9.1",)


def test_what_follows_a_sequence_is_no_part_of_it():
    data = a_file(undefined_lengths=True, SourceImageSequence=[], ReferencedSOPInstanceUID="1.2.9.1")
    assert read_header(data).sources == ()


def test_of_a_long_sequence_the_beginning_is_looked_at():
    sources = items(*({"ReferencedSOPInstanceUID": f"1.2.9.{number}"} for number in range(5000)))
    header = read_header(a_file(SourceImageSequence=sources))
    assert header.sources == tuple(f"1.2.9.{number}" for number in range(64))


def test_a_broken_sequence_is_told_as_far_as_it_can_be_read():
    data = contribution("rectal-node").replace(b"109101", b"109\xff\xff\xff")
    broken = data.replace(b"\x08\x00\x00\x01SH", b"\x08\x00\x00\x01\xff\xff")
    assert broken != data
    assert read_header(broken).sop_instance_uid == "1.2.3.4.5"


def test_texts_of_the_sender_are_not_kept():
    assert "rectal" not in repr(read_header(contribution("rectal-node of Jane Doe")))


@pytest.fixture
def known(engine, index, make_header, make_file, at) -> ResultRecord:
    """A result of a study that has been analysed."""
    index.register(make_header(1), make_file(), "SCANNER", at(0))
    index.move("1.2.3", 1, StudyState.QUEUED)
    result = ResultRecord("1.2.3", 1, "super-resolved-t2wi", MRImageStorage, "1.7.1", "1.7", make_file("r"))
    Ledger(engine).conclude("1.2.3", 1, StudyState.COMPLETED, "", [result], [], at(1))
    return result


@pytest.mark.parametrize("study", ["1.2.3", "1.9"])
@pytest.mark.parametrize(
    "change",
    [{"made_here": True}, {"series_instance_uid": "1.7"}, {"sources": ("1.2.3.1.1", "1.7.1")}],
    ids=["by its equipment", "by its series", "by what it was made from"],
)
def test_a_result_under_other_uids_is_known(index, known, make_header, make_file, at, change, study):
    before = index.studies()
    coerced = replace(make_header(5, 5, study), **change)
    for moment in (60, 61):
        assert index.register(coerced, make_file("c"), "ROUTER", at(moment)) is Registration.OWN_RESULT
    assert index.studies() == before
    assert len(index.instances("1.2.3")) == 1
    assert index.returned_series(study) == {coerced.series_instance_uid}


def test_the_files_of_results_that_came_back_are_there_by_study(index, engine, make_header, make_file, at):
    files = [make_file(name) for name in "cd"]
    for number, file in enumerate(files):
        header = replace(make_header(5 + number, 5, "1.9"), made_here=True)
        index.register(header, file, "ROUTER", at(60 + number))
    with engine.connect() as connection:
        assert Overview(connection).returned_files() == {"1.9": files}


def test_what_is_of_the_series_of_a_result_that_came_back_is_known_too(index, known, make_header, make_file, at):
    index.register(replace(make_header(5, 5), made_here=True), make_file("c"), "ROUTER", at(60))
    assert index.register(make_header(6, 5), make_file("d"), "ROUTER", at(61)) is Registration.OWN_RESULT
    made_from = replace(make_header(1, 6), sources=("1.2.3.5.5",))
    assert index.register(made_from, make_file("e"), "ROUTER", at(62)) is Registration.OWN_RESULT


def test_images_that_were_made_from_others_are_none_of_it(index, known, make_header, make_file, at):
    adc = replace(make_header(1, 8), sources=("1.2.3.1.1",))
    assert index.register(adc, make_file("c"), "SCANNER", at(60)) is Registration.NEW
    assert index.returned_series("1.2.3") == frozenset()
