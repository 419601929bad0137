"""Where a name, a number or a date can hide: values of another kind than theirs, codes, spellings."""

from __future__ import annotations

import pytest
from pydicom import Dataset, config
from pydicom.dataelem import DataElement
from pydicom.tag import Tag
from pydicom.uid import (
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from node.deidentification.profile import RESEARCH, profile_of

from .conftest import WHO
from .test_dataset import content_item, image

BASIC, DATES = profile_of("basic"), profile_of("basic,dates")


def planted(ds: Dataset, keyword: str, vr: str, value: object) -> Dataset:
    """An element as a careless system writes it."""
    ds.add(DataElement(Tag(keyword), vr, value, validation_mode=config.IGNORE))
    return ds


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


# --- dates from which the shift would be found


@pytest.mark.parametrize("profile", [RESEARCH, DATES, BASIC], ids=str)
def test_dates_that_anybody_knows_are_not_moved(through, profile) -> None:
    template = content_item("CONTAINER", ("121070", "DCM"))
    template.ContentTemplateSequence = [planted(Dataset(), "TemplateVersion", "DT", "20160314")]
    region = planted(code("T-D6000", "SRT", "Pelvis"), "ContextGroupVersion", "DT", "20020904")
    made = through(image(AnatomicRegionSequence=[region], ContentSequence=[template]), profile)
    version = made.AnatomicRegionSequence[0].ContextGroupVersion
    assert version in ("20020904", "19000101000000")
    assert made.ContentSequence[0].ContentTemplateSequence[0].get("TemplateVersion", "20160314") == "20160314"


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("DateOfLastCalibration", "DA", "20330101"),
        ("CalibrationDateTime", "DT", "20330101101112"),
        ("EthicsCommitteeApprovalEffectivenessStartDate", "DA", "20330101"),
        ("ContextGroupLocalVersion", "DT", "20330101"),
    ],
)
def test_dates_of_the_equipment_or_the_site_do_not_tell_how_patients_differ(through, keyword, vr, value) -> None:
    assert through(planted(image(), keyword, vr, value)).get(keyword) in (None, "", "19000101000000")


def test_a_version_that_is_the_birth_date_goes(through) -> None:
    region = planted(code("T-D6000", "SRT", "Pelvis"), "ContextGroupVersion", "DT", "19510317")
    assert "ContextGroupVersion" not in through(image(AnatomicRegionSequence=[region])).AnatomicRegionSequence[0]


# --- values of another kind than theirs


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "made"),
    [
        ("StudyTime", "TM", "Zebrafish^Quincy", "000000"),
        ("StudyTime", "TM", "20330514103000", "000000"),
        ("StudyTime", "TM", "10:30:00", "10:30:00"),
        ("AcquisitionDateTime", "DT", "20330514 Zebrafish", "20310614"),
        ("AcquisitionDateTime", "DT", "2033051410+0100", "2031061410+0100"),
        ("SeriesDate", "DA", "20330514 Zebrafish", "19000101"),
        ("TimezoneOffsetFromUTC", "SH", "Zebra", None),
        ("PatientAge", "AS", "95Y", "090Y"),
        ("PatientAge", "AS", "095y", "090Y"),
        ("PatientAge", "AS", " 95Y", "090Y"),
        ("PatientAge", "AS", "0101Y", "090Y"),
        ("PatientAge", "AS", "64Y", "064Y"),
        ("PatientAge", "AS", "ZEBR", "000Y"),
        ("SeriesDate", "SH", "20330514", "20310614"),
        ("SeriesDate", "LO", "14.05.2033", "19000101"),
        ("PatientID", "UT", "QX-77-ZZ", "TRIAL-ABCDEFGH"),
        ("PatientName", "LO", "Zebrafish", "TRIAL-ABCDEFGH"),
        ("PatientBirthDate", "LO", "19510317", ""),
        ("EchoTime", "LO", "101", "101"),
        ("EchoTime", "LO", "Zebrafish", None),
        ("Modality", "LO", "geb. 17.3.51", None),
    ],
)
def test_a_value_is_of_its_kind_or_goes(through, keyword, vr, value, made) -> None:
    found = through(planted(image(), keyword, vr, value)).get(keyword)
    assert (None if found is None else str(found)) == made


def test_a_uid_in_another_kind_of_element_is_replaced(through) -> None:
    made = through(planted(image(), "FrameOfReferenceUID", "LO", "1.2.840.99.20330514"))
    assert made.FrameOfReferenceUID == WHO.uid("1.2.840.99.20330514")


# --- codes


@pytest.mark.parametrize("profile", [RESEARCH, BASIC], ids=str)
@pytest.mark.parametrize(
    ("keyword", "value"), [("LongCodeValue", "HOSP-0000000000000000001"), ("URNCodeValue", "urn:oid:1.2.276.0.76.4.9")]
)
def test_a_code_of_an_institution_is_a_dummy_however_its_value_is_written(through, profile, keyword, value) -> None:
    item = planted(Dataset(), keyword, "UC" if keyword == "LongCodeValue" else "UR", value)
    item.CodeMeaning = "St Mary Hospital"
    made = through(image(InstitutionCodeSequence=[item], RequestingServiceCodeSequence=[item]), profile)
    assert b"St Mary" not in str(made).encode()
    assert value not in str(made)


def test_codes_stay_of_published_schemes_alone(through) -> None:
    published, own = code("34402009", "SCT", "Rectum"), code("M", "99LOCAL", "Meier, Karl")
    made = through(image(AnatomicRegionSequence=[published], ViewCodeSequence=[own]))
    assert made.AnatomicRegionSequence[0].CodeMeaning == "Rectum"
    assert made.ViewCodeSequence[0].CodeMeaning == "REMOVED"


def test_a_code_of_the_nodes_own_scheme_is_known_where_the_node_has_made_it(through) -> None:
    item = code("AI-RESULT", "99RECTALNODE", "Result")
    assert through(image(ViewCodeSequence=[item]), made_here=True).ViewCodeSequence[0].CodeMeaning == "Result"
    assert through(image(ViewCodeSequence=[item])).ViewCodeSequence[0].CodeMeaning == "REMOVED"


# --- content items


def report(*items: Dataset) -> Dataset:
    ds = image(SOPClassUID=ComprehensiveSRStorage, Modality="SR", ContentSequence=list(items))
    del ds.PixelData
    return ds


def age(years: str, unit: str = "a", concept: tuple[str, str] = ("121033", "DCM")) -> Dataset:
    value = Dataset()
    value.NumericValue, value.MeasurementUnitsCodeSequence = years, [code(unit, "UCUM", "unit")]
    return content_item("NUM", concept, MeasuredValueSequence=[value])


@pytest.mark.parametrize(
    ("item", "profile", "kept"),
    [
        (age("64"), RESEARCH, True),
        (age("97"), RESEARCH, False),
        (age("1164", "mo"), RESEARCH, False),
        (age("12", "unknown"), RESEARCH, False),
        (age("64"), BASIC, False),
        (age("64", concept=("30525-0", "LN")), BASIC, False),
        (age("70", "kg", ("29463-7", "LN")), BASIC, False),
        (age("70", "kg", ("29463-7", "LN")), RESEARCH, True),
        (age("3", "mm", ("112058", "DCM")), BASIC, True),
    ],
)
def test_age_size_and_weight_in_a_report_are_as_those_of_the_patient(through, item, profile, kept) -> None:
    assert bool(through(report(item), profile).ContentSequence[0].MeasuredValueSequence) is kept


def test_the_sex_in_a_report_is_as_that_of_the_patient(through) -> None:
    item = content_item("CODE", ("121032", "DCM"), ConceptCodeSequence=[code("F", "DCM", "Female")])
    meanings = [
        through(report(item), it).ContentSequence[0].ConceptCodeSequence[0].CodeMeaning for it in (RESEARCH, BASIC)
    ]
    assert meanings == ["Female", "REMOVED"]


@pytest.mark.parametrize("concept", [("21112-8", "LN"), ("184099003", "SCT"), ("111060", "DCM")])
def test_a_birth_date_in_a_report_is_replaced_by_whatever_code_it_is_named(through, concept) -> None:
    item = content_item("DATE", concept, Date="19510317")
    assert through(report(item)).ContentSequence[0].Date == "19000101"


def test_what_a_bundle_says_of_itself_and_the_device_of_a_result_stay_only_where_they_may(through) -> None:
    kinds = [("AI-MODEL", "99RECTALNODE"), ("AI-LIMITATION", "99RECTALNODE"), ("121013", "DCM"), ("121016", "DCM")]
    ds = report(
        *(content_item("TEXT", it, TextValue="1.2.276.0.76.4" if it[0] == "121016" else "St Mary") for it in kinds)
    )
    texts = [[it.TextValue for it in through(ds, by, made_here=True).ContentSequence] for by in (RESEARCH, BASIC)]
    assert texts == [["REMOVED", "REMOVED", "St Mary", "REMOVED"], ["REMOVED"] * 4]


# --- what the table does not name


@pytest.mark.parametrize(
    ("keyword", "vr"),
    [
        *(
            ("PlacerOrderNumberProcedure", "LO"),
            ("FillerOrderNumberProcedure", "LO"),
            ("BreedRegistrationNumber", "LO"),
        ),
        *(("PlacerOrderNumberImagingServiceRequestRetired", "SH"), ("StorageMediaFileSetID", "SH")),
        *(("CompletionFlagDescription", "LO"), ("StrainDescription", "UC")),
        *(("PerformedProcedureTypeDescription", "LO"), ("RequestedProcedureDescriptionTrial", "LO")),
        *(
            ("FrameOfReferenceTransformationComment", "LO"),
            ("DeviceID", "LO"),
            ("ContextGroupExtensionCreatorUID", "UI"),
        ),
        *(("PatientBirthDateInAlternativeCalendar", "LO"), ("PatientDeathDateInAlternativeCalendar", "LO")),
    ],
)
def test_a_text_that_nothing_is_said_of_goes(through, keyword, vr) -> None:
    assert keyword not in through(planted(image(), keyword, vr, "1.2" if vr == "UI" else "7788"), BASIC)


def test_numbers_calendars_digests_and_assigners_go(through) -> None:
    qualifiers = Dataset()
    qualifiers.AssigningAgencyOrDepartmentCodeSequence = [code("RAD", "99STMARY", "St Mary Radiology")]
    mac = Dataset()
    mac.MACIDNumber, mac.MACAlgorithm, mac.DataElementsSigned = 1, "SHA256", [0x00100010]
    ds = image(IssuerOfPatientIDQualifiersSequence=[qualifiers], MACParametersSequence=[mac], OtherStudyNumbers="7788")
    ds.PatientAlternativeCalendar, ds.ICCProfile = "PERSIAN", b"St Mary"
    made = through(ds, BASIC)
    gone = ("IssuerOfPatientIDQualifiersSequence", "MACParametersSequence", "OtherStudyNumbers", "ICCProfile")
    assert not [it for it in (*gone, "PatientAlternativeCalendar") if it in made]


@pytest.mark.parametrize("keyword", ["PrinterStatusInfo", "VisitStatusID", "ImplantType", "FractionGroupType"])
def test_an_attribute_of_no_class_that_is_exported_goes(through, keyword) -> None:
    assert keyword not in through(planted(image(), keyword, "CS", "MEIER"), BASIC)


def test_a_code_that_is_of_no_item_goes(through) -> None:
    ds = planted(image(CodingSchemeDesignator="DCM", CodeMeaning="Meier"), "URNCodeValue", "UR", "urn:meier")
    assert not {"CodingSchemeDesignator", "CodeMeaning", "URNCodeValue"} & set(through(ds).dir())


def test_a_description_without_an_option_for_it_is_a_dummy(through) -> None:
    ds = image(SOPClassUID=SegmentationStorage, ContentDescription="tumour of 24.11.26 by km", ContentLabel="MEIER")
    assert [through(ds, it).ContentDescription for it in (BASIC, RESEARCH)] == ["REMOVED", "tumour"]
    assert through(ds).ContentLabel == "REMOVED"


def test_labels_of_regions_hold_no_date(through) -> None:
    ds = image(SOPClassUID=RTStructureSetStorage, StructureSetLabel="03/04/31")
    ds.StructureSetROISequence = [planted(Dataset(), "ROIName", "LO", "tumour 24.11.26")]
    del ds.PixelData
    made = through(ds)
    assert (made.StructureSetLabel, made.StructureSetROISequence[0].ROIName) == ("REMOVED", "tumour")


def test_graphics_and_layers_stay_of_this_node_alone(through) -> None:
    text, graphic, layer = Dataset(), Dataset(), Dataset()
    text.UnformattedTextValue, layer.GraphicLayer, layer.GraphicLayerOrder = "AI tumour contour", "TUMOUR", 1
    graphic.TextObjectSequence, graphic.GraphicLayer = [text], "TUMOUR"
    ds = image(GraphicAnnotationSequence=[graphic], GraphicLayerSequence=[layer])
    kept = through(ds, made_here=True)
    assert kept.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue == "AI tumour contour"
    assert not {"GraphicAnnotationSequence", "GraphicLayerSequence"} & set(through(ds).dir())
    ds.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    del ds.PixelData
    assert through(ds, made_here=True).GraphicLayerSequence[0].GraphicLayer == "TUMOUR"


def test_the_root_of_a_sites_uids_is_no_serial_number(through) -> None:
    ds = image(DeviceSerialNumber="1.2.826.0.1.3680043.9.7777")
    assert through(ds).DeviceSerialNumber == "REMOVED"
    assert through(image(DeviceSerialNumber="41055")).DeviceSerialNumber == "41055"


@pytest.mark.parametrize(
    ("name", "version", "kept"), [("rectal-segmentation", "0.4.0", True), ("st-mary", "0.4.0", False)]
)
def test_a_model_of_a_site_is_not_named_in_a_result(through, name, version, kept) -> None:
    algorithm, scanner, model = Dataset(), Dataset(), Dataset()
    algorithm.AlgorithmName, algorithm.AlgorithmVersion, algorithm.AlgorithmParameters = name, version, "St Mary"
    scanner.Manufacturer, scanner.ManufacturerModelName = "SIEMENS", "Aera"
    model.Manufacturer, model.ManufacturerModelName = "rectal-node", name
    ds = image(
        SOPClassUID=SegmentationStorage, Manufacturer="rectal-node", SoftwareVersions=["0.1.0", f"{name} {version}"]
    )
    ds.ContributingEquipmentSequence, ds.SegmentationAlgorithmIdentificationSequence = [scanner, model], [algorithm]
    ds.ContentSequence = [content_item("TEXT", ("111001", "DCM"), TextValue=name)]
    made = through(ds, made_here=True)
    of_scanner, of_model = (it.ManufacturerModelName for it in made.ContributingEquipmentSequence)
    item = made.SegmentationAlgorithmIdentificationSequence[0]
    said = [of_model, item.AlgorithmName, made.ContentSequence[0].TextValue]
    assert said == [name if kept else "REMOVED"] * 3
    assert (of_scanner, item.AlgorithmVersion, "AlgorithmParameters" in item) == ("Aera", version, False)
    assert made.SoftwareVersions == (["0.1.0", f"{name} {version}"] if kept else "REMOVED")


def test_what_an_earlier_de_identification_retained_is_said_no_more(through) -> None:
    earlier = [code(it, "DCM", "earlier") for it in ("113101", "113106", "113109", "113110")]
    ds = image(DeidentificationMethodCodeSequence=[*earlier, code("K", "99STMARY", "by Karl")])
    made = through(ds, BASIC)
    assert [it.CodeValue for it in made.DeidentificationMethodCodeSequence] == ["113101", "113100", "113103", "113104"]


# --- spellings


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"PatientName": "Wu^Li"}, "coil WuLi"),
        ({"PatientName": "Wu^Li"}, "wu.li"),
        ({"PatientName": "Wu^Li"}, "li, wu"),
        ({"PatientName": "van der Berg^Jo"}, "vanderbergjo"),
        ({"PatientName": "Müller^Änne"}, "coil of Mueller"),
        ({"PatientName": "Müller^Änne"}, "anne muller"),
        ({"PatientName": "Zebrafish^Quincy"}, "ＺＥＢＲＡＦＩＳＨ"),
        ({"PatientID": "123-456-789"}, "１２３４５６７８９"),
        ({"PatientID": "123-456-789"}, "123456789"),
        ({"PatientID": "123-456-789"}, "123 456 789"),
        ({"PatientID": "00123456"}, "123456"),
        ({"PatientID": "A12"}, "coil A12"),
        ({"PatientBirthDate": "19310403"}, "03.04.1931"),
        ({"PatientBirthDate": "19310403"}, "3.4.31"),
        ({"PatientBirthDate": "19310403"}, "04/03/1931"),
        ({"PatientBirthDate": "19310403"}, "1931 04 03"),
        ({"PatientBirthDate": "19310403"}, "03041931"),
    ],
)
def test_what_is_known_is_found_in_another_spelling(through, known, text) -> None:
    assert through(image(**known, ReceiveCoilName=text)).ReceiveCoilName == "REMOVED"


@pytest.mark.parametrize("text", ["of 14.05.2033", "2033-05-14", "coil 14.5.33"])
def test_the_day_of_the_study_in_a_text_does_not_tell_the_shift(through, text) -> None:
    assert through(image(ReceiveCoilName=text)).ReceiveCoilName == "REMOVED"


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"PatientName": "Wu^Li"}, "allowulimit"),
        ({"PatientID": "123456"}, "91234567"),
        ({"PatientBirthDate": "19310403"}, "13.4.31"),
        ({"PatientID": "12"}, "HEA;12"),
    ],
)
def test_what_only_looks_like_it_stays(through, known, text) -> None:
    assert through(image(**known, ReceiveCoilName=text)).ReceiveCoilName == text


def test_a_description_with_a_number_of_the_patient_goes_whole(through) -> None:
    assert through(image(PatientID="b8001", SeriesDescription="t2 b8001")).SeriesDescription == "REMOVED"


# --- private elements


@pytest.mark.parametrize(("term", "kept"), [("DIRECTIONAL", True), ("MEIER", False)])
def test_of_a_private_term_those_stay_that_are_known(through, term, kept) -> None:
    ds = image()
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0D, "CS", term)
    assert (Tag(0x0019, 0x100D) in through(ds)) is kept
