"""A data set is made anew: no attribute of the standard lets a name through, and what is measured stays."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MRImageStorage,
)

from node.deidentification.dataset import rewritten
from node.deidentification.instance import Deidentified, deidentify
from node.deidentification.kinds import NotExportedError, UnreadableObjectError
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import RESEARCH, profile_of
from node.deidentification.words import cleaned

from .planting import PERSON, everywhere, found_in, identify, named_by_the_table, written

WHO = Pseudonym("TRIAL-ABCDEFGH", b"k" * 32, -700)
BASIC = profile_of("basic")


def image(**values: object) -> Dataset:
    """A small MR image of PERSON."""
    ds = identify(Dataset(), PERSON)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.Modality, ds.Manufacturer = MRImageStorage, "MR", "SIEMENS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (f"{PERSON.uids}{n}" for n in ("1", "1.1", "1.1.1"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 2, 2, 16, 12, 11, 0
    ds.PixelData = bytes(range(8))
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    buffer = BytesIO()
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = syntax
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def through(tmp_path):
    """A data set written to a file, and what leaves of it."""

    def go(ds: Dataset, profile=RESEARCH, syntax: UID = ExplicitVRLittleEndian) -> tuple[Dataset, Deidentified]:
        path = tmp_path / "source.dcm"
        path.write_bytes(encoded(ds, syntax))
        done = deidentify(path, WHO, profile)
        return dcmread(BytesIO(written(done))), done

    return go


@pytest.mark.parametrize("profile", [BASIC, RESEARCH], ids=str)
@pytest.mark.parametrize("tags", [named_by_the_table(), list(DicomDictionary)], ids=["table E.1-1", "dictionary"])
def test_no_attribute_of_the_standard_lets_an_identifier_through(through, tags, profile) -> None:
    ds = image()
    few = len(tags) < 1000
    planted = [element for element in everywhere(PERSON, tags, 1 if few else 10) if element.tag not in ds]
    assert len(planted) > 500
    for element in planted:
        ds.add(element)
    assert found_in(encoded(ds), PERSON)
    _, done = through(ds, profile)
    assert found_in(written(done), PERSON) == []


def test_an_identifier_that_is_left_behind_is_found(through) -> None:
    """The search of the test above can fail: it finds what is put back, in whatever encoding."""
    made, done = through(image())
    assert found_in(written(done), PERSON) == []
    for text, characters in (("of ZEBRAFISH", "ISO_IR 192"), ("王小东", "GB18030"), ("qx-77-zz", "ISO_IR 100")):
        made.SpecificCharacterSet, made.ReceiveCoilName = characters, text
        assert len(found_in(encoded(made), PERSON)) == 1


def test_unknown_elements_of_the_standards_groups_go(through) -> None:
    ds = image()
    ds.add(DataElement(0x001899F0, "LO", "anything"))
    ds.add(DataElement(0x60000010, "US", 5))
    ds.add(DataElement(0x60003000, "OW", b"overlay!"))
    ds.add(DataElement(0x50003000, "OW", b"curve..."))
    made, _ = through(ds)
    assert not {0x001899F0, 0x60000010, 0x60003000, 0x50003000} & set(made.keys())


def test_a_name_in_an_attribute_that_is_kept_is_replaced_and_told(through) -> None:
    values = {"ReceiveCoilName": "coil zebrafish", "TransmitCoilName": "Body", "SequenceName": "*ep_qx-77-zz"}
    made, done = through(image(**values))
    assert (made.ReceiveCoilName, made.TransmitCoilName, made.SequenceName) == ("REMOVED", "Body", "REMOVED")
    assert done.replaced == {"ReceiveCoilName", "SequenceName"}


def test_a_name_in_a_word_of_a_list_of_the_standard_keeps_the_object_here(through) -> None:
    with pytest.raises(NotExportedError, match="ScanOptions holds what identifies a person"):
        through(image(ScanOptions="ZEBRAFISH"))


def test_names_stay_short_words_that_are_no_names(through) -> None:
    """A patient called Lee is not found in `sleep`, nor an Art in `arterial`."""
    made, done = through(image(PatientName="Lee^Art", ReceiveCoilName="sleep arterial"))
    assert made.ReceiveCoilName == "sleep arterial"
    assert done.replaced == frozenset()


def test_a_patient_called_as_a_part_of_the_body_is_exported(through) -> None:
    made, _ = through(image(PatientName="Head^Unknown", BodyPartExamined="HEAD", ScanOptions="UNKNOWN"))
    assert (made.BodyPartExamined, made.ScanOptions) == ("HEAD", "UNKNOWN")


def test_a_number_of_a_patient_is_not_found_in_a_longer_one(through) -> None:
    made, _ = through(image(PatientID="1234", SoftwareVersions="91234567", ReceiveCoilName="C1234"))
    assert (made.SoftwareVersions, made.ReceiveCoilName) == ("91234567", "REMOVED")


def test_what_an_earlier_de_identification_has_encrypted_goes(through) -> None:
    kept = Dataset()
    kept.EncryptedContentTransferSyntaxUID, kept.EncryptedContent = ExplicitVRLittleEndian, b"secret"
    assert "EncryptedAttributesSequence" not in through(image(EncryptedAttributesSequence=[kept]))[0]


def test_a_reference_to_a_study_goes_and_stays_as_nothing_where_it_is_of_type_2(through) -> None:
    study, request = Dataset(), Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", f"{PERSON.uids}1"
    request.ReferencedStudySequence = [study]
    made, _ = through(image(ReferencedStudySequence=[study], ReferencedRequestSequence=[request]))
    assert "ReferencedStudySequence" not in made
    assert not made.ReferencedRequestSequence[0].ReferencedStudySequence


def test_text_in_a_character_set_that_is_not_declared_is_understood(through) -> None:
    ds = image(ReceiveCoilName="线圈 王小东")
    ds.PatientName = "王^小东"
    ds.SpecificCharacterSet = "GB18030"
    content = encoded(ds).replace(b"GB18030 ", b"ISO_IR 6")
    assert "王".encode("gb18030") in content
    made, _ = through(dcmread(BytesIO(content)))
    assert "小东" not in str(made)


def test_what_is_measured_stays(through) -> None:
    ds = image(
        EchoTime="101", MagneticFieldStrength="3", PixelSpacing=["0.5", "0.5"], PatientAge="064Y", PatientSex="F"
    )
    ds.StudyTime, ds.StationName = "101112.5", "MR1"
    made, _ = through(ds)
    kept = ("EchoTime", "MagneticFieldStrength", "PixelSpacing", "PatientAge", "PatientSex", "StudyTime", "StationName")
    assert [made[it].value for it in kept] == [ds[it].value for it in kept]
    assert made.PixelData == ds.PixelData


def test_the_object_says_what_was_done(through) -> None:
    made, _ = through(image())
    assert (made.PatientName, made.PatientID, made.PatientBirthDate) == (WHO.name, WHO.name, "")
    assert (made.PatientIdentityRemoved, made.LongitudinalTemporalInformationModified) == ("YES", "MODIFIED")
    assert [it.CodeValue for it in made.DeidentificationMethodCodeSequence] == [it.value for it in RESEARCH.codes]
    assert made.DeidentificationMethod.endswith("PS3.15 E")
    assert made.BurnedInAnnotation == "NO"
    made, _ = through(image(), BASIC)
    assert made.LongitudinalTemporalInformationModified == "REMOVED"
    assert (made.StudyDate, "PatientAge" in made) == ("", False)


def test_only_of_an_image_as_it_was_acquired_it_is_said_that_nothing_is_burnt_in(through) -> None:
    made, _ = through(image(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    assert "BurnedInAnnotation" not in made


def test_dates_are_moved_by_the_same_days_and_keep_their_distances(through) -> None:
    ds = image(StudyDate="20330514", SeriesDate="20330515", AcquisitionDateTime="20330601235959.5+0800")
    made, _ = through(ds)
    assert (made.StudyDate, made.SeriesDate) == ("20310614", "20310615")
    assert made.AcquisitionDateTime == "20310702235959.5+0800"


@pytest.mark.parametrize(
    ("text", "moved"),
    [("2033.05.14", "20310614"), ("2033", "19000101"), ("20331399", "19000101"), ("", ""), ("00010101", "19000101")],
)
def test_a_date_that_is_no_whole_day_is_replaced(text: str, moved: str) -> None:
    assert WHO.date(text) == moved


def test_who_is_older_than_89_is_90(through) -> None:
    assert through(image(PatientAge="097Y"))[0].PatientAge == "090Y"
    assert through(image(PatientAge="089Y"))[0].PatientAge == "089Y"


def test_uids_are_new_consistent_and_those_of_the_standard_stay(through) -> None:
    ds = image(FrameOfReferenceUID=f"{PERSON.uids}77")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = MRImageStorage, ds.SOPInstanceUID
    ds.ReferencedImageSequence = [reference]
    made, done = through(ds)
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID == done.sop_instance_uid
    assert made.ReferencedImageSequence[0].ReferencedSOPInstanceUID == made.SOPInstanceUID
    assert made.ReferencedImageSequence[0].ReferencedSOPClassUID == MRImageStorage
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in (made.SOPInstanceUID, made.FrameOfReferenceUID))
    assert Pseudonym("X", b"o" * 32, 0).uid(ds.SOPInstanceUID) != made.SOPInstanceUID


def test_file_meta_information_and_preamble_are_this_nodes_alone(tmp_path) -> None:
    ds = image()
    ds.ensure_file_meta()
    ds.file_meta.SourceApplicationEntityTitle = "ZEBRAFISH"
    ds.file_meta.PrivateInformationCreatorUID = f"{PERSON.uids}8"
    ds.file_meta.PrivateInformation = b"Zebrafish "
    ds.preamble = b"Zebrafish".ljust(128)
    path = tmp_path / "source.dcm"
    path.write_bytes(encoded(ds))
    assert path.read_bytes().startswith(b"Zebrafish")
    content = written(deidentify(path, WHO, RESEARCH))
    assert content[:132] == bytes(128) + b"DICM"
    assert found_in(content, PERSON) == []
    assert {it.keyword for it in dcmread(BytesIO(content)).file_meta} == {
        *("FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID"),
        *("MediaStorageSOPInstanceUID", "TransferSyntaxUID", "ImplementationClassUID", "ImplementationVersionName"),
    }


def test_of_private_elements_those_stay_that_are_known_to_be_numbers(through) -> None:
    ds = image()
    siemens = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "800")
    siemens.add_new(0x0F, "SH", "Fast")
    ds.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "anything")
    made, _ = through(ds)
    assert [it.value for it in made if it.tag.is_private] == ["SIEMENS MR HEADER", 800]
    assert not [it for it in through(ds, BASIC)[0] if it.tag.is_private]


def test_a_private_element_of_another_kind_than_it_should_be_goes(through) -> None:
    ds = image()
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "LO", "Zebrafish")
    assert not [it for it in through(ds)[0] if it.tag.is_private]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t2_tse_tra_384 Zebrafish", "t2 tse tra"),
        ("t2_tse_tra_384", "t2 tse tra 384"),
        ("t2_tse_384_tra 3D 0.8mm 1.5T", "t2 tse 384 tra 3D 0.8mm 1.5T"),
        ("ep2d_diff_b50_b800 20330514", "ep2d diff b50 b800"),
        ("t2 tse sag 24.11.26", "t2 tse sag"),
        ("t2 tse sag 24.11.26mm", "t2 tse sag"),
        ("geb 03/12/75 t2", "t2"),
        ("t2 2026-11-24 t1", "t2 t1"),
        ("123-456-789 t2", "t2"),
        ("tel 079 123 45 67", ""),
        ("t2 756.12.34.56.78", "t2"),
        ("24.11 26 t2", "t2"),
        ("t2 1.5 tse", "t2 tse"),
        ("t2-3D b800-1mm", "t2 3D b800 1mm"),
        ("Gadovist 7.5ml 12 Zebra", "Gadovist 7.5ml"),
        ("t2 2026", "t2"),
        ("24Nov26 t2 11月24日", "t2"),
        ("t2 ٢٤ tse", "t2 tse"),
        ("Dr. Meier: MRT Becken", "Becken"),
        ("直肠_增强 王小东", "直肠 增强"),
        ("1951 12345678", ""),
    ],
)
def test_of_descriptions_the_known_words_stay(text: str, words: str) -> None:
    assert cleaned(text) == words


def test_a_known_word_that_is_the_patients_name_goes(through) -> None:
    made, _ = through(image(PatientName="Tra^Tse", SeriesDescription="t2 tse tra"))
    assert made.SeriesDescription == "REMOVED"


def content_item(kind: str, concept: tuple[str, str], **values: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator = concept
    name.CodeMeaning = "a concept"
    item.ConceptNameCodeSequence = [name]
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def report() -> Dataset:
    """A report of another system that names the patient in each kind of content item."""
    ds = image(SOPClassUID=ComprehensiveSRStorage, Modality="SR")
    del ds.PixelData
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-59600", "SRT", "Rectum"
    inner = content_item("TEXT", ("121106", "DCM"), TextValue="Frau Zebrafish hat nichts")
    ds.ContentSequence = [
        content_item("TEXT", ("121071", "DCM"), TextValue="Zebrafish, seen by Dr. Quuxford"),
        content_item("TEXT", ("121030", "DCM"), TextValue=PERSON.patient_id),
        content_item("PNAME", ("121008", "DCM"), PersonName="Quuxford^Ada"),
        content_item("DATE", ("121031", "DCM"), Date=PERSON.born),
        content_item("DATE", ("111060", "DCM"), Date="20330515"),
        content_item("DATETIME", ("121135", "DCM"), DateTime="20330515101112"),
        content_item("UIDREF", ("121012", "DCM"), UID=f"{PERSON.uids}1.1.1"),
        content_item("CODE", ("121071", "DCM"), ConceptCodeSequence=[code]),
        content_item("TEXT", ("121013", "DCM"), TextValue="Workstation 3"),
        content_item("CONTAINER", ("121070", "DCM"), ContinuityOfContent="SEPARATE", ContentSequence=[inner]),
    ]
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Quuxford^Ada", "Klinik"
    observer.VerificationDateTime, observer.VerifyingObserverIdentificationCodeSequence = "20330515101112", []
    ds.VerifyingObserverSequence = [observer]
    return ds


def test_content_of_a_structured_report_is_cleaned_and_stays_a_report(through) -> None:
    made, done = through(report())
    text, subject, person, born, day, moment, uid, code, device, container = made.ContentSequence
    assert [it.TextValue for it in (text, subject, *container.ContentSequence)] == ["REMOVED"] * 3
    assert (person.PersonName, born.Date, device.TextValue) == ("REMOVED", "19000101", "Workstation 3")
    assert (day.Date, moment.DateTime, uid.UID) == ("20310615", "20310615101112", made.SOPInstanceUID)
    assert code.ConceptCodeSequence[0].CodeMeaning == "Rectum"
    observer = made.VerifyingObserverSequence[0]
    assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == ("REMOVED", "REMOVED")
    assert observer.VerificationDateTime == "20310615101112"
    assert found_in(written(done), PERSON) == []
    assert b"quuxford" not in written(done).lower()


def test_the_basic_profile_keeps_neither_dates_nor_devices_of_a_report(through) -> None:
    made, _ = through(report(), BASIC)
    assert made.ContentSequence[4].Date == "19000101"
    assert made.ContentSequence[8].TextValue == "REMOVED"


def test_a_name_in_a_comment_of_compressed_pixels_keeps_the_image_here(through) -> None:
    def compressed(comment: bytes) -> Dataset:
        jpeg = b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + b"\xff\xd9"
        ds = image(PixelData=encapsulate([jpeg]))
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
        return ds

    assert through(compressed(b"Lavc 58"), syntax=JPEGBaseline8Bit)[0].PixelData == compressed(b"Lavc 58").PixelData
    with pytest.raises(NotExportedError, match="PixelData holds what identifies a person"):
        through(compressed(b"ZEBRAFISH "), syntax=JPEGBaseline8Bit)


def test_what_cannot_be_read_stays_here_by_name_of_the_fault_alone(tmp_path) -> None:
    path = tmp_path / "broken.dcm"
    path.write_bytes(b"Zebrafish")
    with pytest.raises(UnreadableObjectError) as caught:
        deidentify(path, WHO, RESEARCH)
    assert "Zebrafish" not in str(caught.value)


def test_the_source_is_not_changed() -> None:
    ds = image()
    before = encoded(ds)
    rewritten(ds, WHO, RESEARCH, made_here=False, of_study=Dataset())
    assert encoded(ds) == before
