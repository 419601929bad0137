"""Matching at the four levels: what each kind of key finds, on both databases."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from storage import delivery_rows
from storage.catalogue.filling import catch_up
from storage.catalogue.keys import Key, Query, key
from storage.catalogue.query import Level, find, portions
from storage.header import read_header
from storage.records import ResultRecord, Revocation

from ..house import House, a_file


@pytest.fixture
def found(engine, tmp_path, at):
    """UIDs, or Patient IDs, of what a query finds among three studies of two patients."""
    house = House(engine, tmp_path / "root", at)
    house.receive(a_file(1, 1, "1.2.3"))
    house.receive(a_file(2, 1, "1.2.3"))
    house.receive(a_file(1, 2, "1.2.3", Modality="SEG", SeriesDescription="mask_1"))
    house.receive(a_file(1, 1, "1.2.4", StudyDate="20260203", AccessionNumber="B1"))
    other = {"PatientID": "p1", "PatientName": "Wang^Xiao=王^小", "PatientBirthDate": "19700101"}
    house.receive(a_file(1, 1, "1.2.5", StudyDate="", StudyTime="", AccessionNumber="A_1", **other))
    catch_up(house.engine, house.files)
    names = {Level.PATIENT: "00100020", Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.IMAGE: "00080018"}

    def ask(level: Level, **keys: str) -> list[str]:
        with engine.connect() as connection:
            rows = find(connection, level, keys, 100)
        return sorted(entity.elements[names[level]]["Value"][0] for entity in rows)

    return ask


def test_single_values_are_matched_in_their_case(found):
    assert found(Level.PATIENT, PatientID="P1") == ["P1"]
    assert found(Level.STUDY, PatientID="p1") == ["1.2.5"]
    assert found(Level.STUDY, AccessionNumber="B1") == ["1.2.4"]


def test_wild_cards_are_those_of_dicom_alone(found):
    assert found(Level.STUDY, AccessionNumber="A?") == ["1.2.3"]
    assert found(Level.STUDY, AccessionNumber="?_1") == ["1.2.5"]
    assert found(Level.STUDY, AccessionNumber="a*") == []
    assert found(Level.SERIES, SeriesDescription="*sk_?") == ["1.2.3.2"]
    assert found(Level.STUDY, StudyDescription="[B]*") == []


def test_names_are_matched_without_case_and_accents_in_any_group(found):
    assert found(Level.PATIENT, PatientName="MUSTER*") == ["P1"]
    assert found(Level.PATIENT, PatientName="wang^xiao") == ["p1"]
    assert found(Level.PATIENT, PatientName="王*") == ["p1"]
    assert found(Level.STUDY, ReferringPhysicianName="Arztin^E?a", PatientName="Wang*") == ["1.2.5"]


def test_ranges_may_be_open_and_what_has_no_date_is_in_none(found):
    assert found(Level.STUDY, StudyDate="20260102") == ["1.2.3"]
    assert found(Level.STUDY, StudyDate="20260103-") == ["1.2.4"]
    assert found(Level.STUDY, StudyDate="-20260102") == ["1.2.3"]
    assert found(Level.STUDY, StudyDate="20260101-20261231") == ["1.2.3", "1.2.4"]
    assert found(Level.STUDY, StudyTime="0900-0930") == ["1.2.3", "1.2.4"]
    assert found(Level.STUDY, StudyDate="yesterday") == []


def test_one_of_several_modalities_is_enough(found):
    assert found(Level.STUDY, ModalitiesInStudy="SEG") == ["1.2.3"]
    assert found(Level.STUDY, ModalitiesInStudy="MR") == ["1.2.3", "1.2.4", "1.2.5"]
    assert found(Level.STUDY, ModalitiesInStudy="M") == []


def test_uids_are_matched_as_a_list(found):
    assert found(Level.STUDY, StudyInstanceUID="1.2.4\\1.2.5\\1.2.6") == ["1.2.4", "1.2.5"]


def test_keys_of_upper_levels_hold_for_what_is_below(found):
    assert found(Level.SERIES, StudyInstanceUID="1.2.3", Modality="MR") == ["1.2.3.1"]
    assert found(Level.IMAGE, PatientID="P1", SeriesInstanceUID="1.2.3.1", InstanceNumber="2") == ["1.2.3.1.2"]
    assert len(found(Level.IMAGE, PatientName="", StudyDate="*")) == 5


def test_several_values_are_any_of_them_and_no_letter_is_another_one(found):
    assert found(Level.STUDY, AccessionNumber="B1\\A_1") == ["1.2.4", "1.2.5"]
    assert found(Level.STUDY, ModalitiesInStudy="mr") == []
    assert found(Level.STUDY, ModalitiesInStudy="S*") == ["1.2.3"]
    assert found(Level.STUDY, ModalitiesInStudy="M*G") == []


def test_names_of_fewer_components_have_empty_ones(found):
    assert found(Level.PATIENT, PatientName="muster^erika^*") == ["P1"]
    assert found(Level.PATIENT, PatientName="muster^*^*") == ["P1"]
    assert found(Level.PATIENT, PatientName="muster^*^?*") == []
    assert found(Level.PATIENT, PatientName="=王^*") == ["p1"]
    assert found(Level.PATIENT, PatientName="wang*=李*") == []


def test_attributes_that_have_no_column_are_matched_all_the_same(found):
    assert found(Level.IMAGE, StudyInstanceUID="1.2.3", Rows="4", NumberOfStudyRelatedInstances="3") != []
    assert found(Level.STUDY, NumberOfStudyRelatedInstances="3") == ["1.2.3"]
    assert found(Level.STUDY, NumberOfStudyRelatedInstances="4") == []


def test_a_time_of_less_precision_covers_all_its_moments(found):
    assert found(Level.STUDY, StudyTime="09") == ["1.2.3", "1.2.4"]
    assert found(Level.STUDY, StudyTime="0931-") == []
    assert found(Level.STUDY, StudyTime="-0929") == []
    assert found(Level.STUDY, StudyTime="-0930") == ["1.2.3", "1.2.4"]


def asked(engine, level: Level, *keys: Key, combined: bool = False) -> list[str]:
    """UIDs of the studies that fit."""
    rows = [entity for portion in portions(engine, Query(level, keys, combined), 2) for entity in portion]
    return [entity.elements["0020000D"]["Value"][0] for entity in rows]


def test_dates_and_times_are_one_range_where_that_is_agreed_on(engine, found):
    """PS3.4 C.2.2.2.5.4: from the first date at the first time to the last date at the last time."""
    from_noon = key("StudyDate", ["20260102-20260203"]), key("StudyTime", ["1200-0900"])
    assert asked(engine, Level.STUDY, *from_noon) == []
    to_ten = key("StudyDate", ["20260102-20260203"]), key("StudyTime", ["1200-1000"])
    assert asked(engine, Level.STUDY, *to_ten) == []
    assert asked(engine, Level.STUDY, *to_ten, combined=True) == ["1.2.4"]
    assert asked(engine, Level.STUDY, *from_noon, combined=True) == []
    since = key("StudyDate", ["20260102-"]), key("StudyTime", ["0930-"])
    assert asked(engine, Level.STUDY, *since, combined=True) == ["1.2.3", "1.2.4"]


def test_an_item_of_a_sequence_fits_all_keys_or_none(engine, tmp_path, at):
    """PS3.4 C.2.2.2.6; the keys of an instance of IHE RAD-137."""
    house = House(engine, tmp_path / "root", at)
    items = []
    for number in "12":
        item = Dataset()
        item.RequestedProcedureID, item.ScheduledProcedureStepID = f"RP{number}", f"SPS{number}"
        items.append(item)
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator = "126000", "DCM"
    house.receive(a_file(study="1.2.6", RequestAttributesSequence=items, ConceptNameCodeSequence=[title]))
    catch_up(house.engine, house.files)

    def sequence(keyword: str, **values: str) -> Key:
        return Key(keyword, "SQ", items=tuple(key(name, [value]) for name, value in values.items()))

    def of_request(**values: str) -> list[str]:
        return asked(engine, Level.SERIES, sequence("RequestAttributesSequence", **values))

    assert of_request(RequestedProcedureID="RP1", ScheduledProcedureStepID="SPS1") == ["1.2.6"]
    assert of_request(RequestedProcedureID="RP1", ScheduledProcedureStepID="SPS2") == []
    assert of_request(RequestedProcedureID="RP?", ScheduledProcedureStepID="") == ["1.2.6"]
    assert of_request(RequestedProcedureID="") == ["1.2.6"]
    coded = sequence("ConceptNameCodeSequence", CodeValue="126000", CodingSchemeDesignator="DCM")
    assert asked(engine, Level.IMAGE, coded) == ["1.2.6"]
    other = sequence("ConceptNameCodeSequence", CodeValue="126000", CodingSchemeDesignator="SRT")
    assert asked(engine, Level.IMAGE, other) == []


def test_a_segmentation_is_found_by_what_its_segments_show_and_track(engine, tmp_path, at):
    house = House(engine, tmp_path / "root", at)
    kind, segment = Dataset(), Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "108369006", "SCT", "Neoplasm"
    segment.SegmentedPropertyTypeCodeSequence, segment.TrackingUID, segment.SegmentLabel = [kind], "1.2.9.1", "tumour"
    house.receive(a_file(study="1.2.6", SegmentationType="BINARY", SegmentSequence=[segment]))
    catch_up(house.engine, house.files)

    def of_segment(*items: Key) -> list[str]:
        return asked(engine, Level.IMAGE, Key("SegmentSequence", "SQ", items=items))

    def of_code(value: str) -> Key:
        return Key("SegmentedPropertyTypeCodeSequence", "SQ", items=(key("CodeValue", [value]),))

    assert asked(engine, Level.IMAGE, key("SegmentationType", ["BINARY"])) == ["1.2.6"]
    assert asked(engine, Level.IMAGE, key("SegmentationType", ["FRACTIONAL"])) == []
    assert of_segment(key("TrackingUID", ["1.2.9.1"]), of_code("108369006")) == ["1.2.6"]
    assert of_segment(key("TrackingUID", ["1.2.9.1"]), of_code("1")) == []


def test_a_datetime_is_matched_in_its_offset_or_that_of_its_object(engine, tmp_path, at):
    house = House(engine, tmp_path / "root", at)
    stated = {"AcquisitionDateTime": "20260102093000+0100"}
    house.receive(a_file(study="1.2.7", **stated))
    house.receive(a_file(study="1.2.8", AcquisitionDateTime="20260102083000", TimezoneOffsetFromUTC="-0500"))
    catch_up(house.engine, house.files)

    def at_moment(value: str) -> list[str]:
        return asked(engine, Level.IMAGE, key("AcquisitionDateTime", [value]))

    assert at_moment("20260102083000") == ["1.2.7"]  # UTC, the zone of the query
    assert at_moment("20260102093000+0100") == ["1.2.7"]
    assert at_moment("20260102083000-0500") == ["1.2.8"]
    assert at_moment("2026010208-2026010213") == ["1.2.7", "1.2.8"]
    assert at_moment("20260102") == ["1.2.7", "1.2.8"]
    assert at_moment("20260103-") == []


def test_what_is_of_another_patient_is_neither_offered_nor_counted(engine, tmp_path, at):
    house = House(engine, tmp_path / "root", at)
    house.receive(a_file(1, 1))
    data = a_file(1, 9, Modality="SEG", sop_class="1.2.840.10008.5.1.4.1.1.66.4")
    header = read_header(data)
    uids = (header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid)
    result = ResultRecord("1.2.3", 1, "segmentation", *uids, house.files.store(data, header))
    house.ledger.record([result], ["PACS"], at(0))
    catch_up(house.engine, house.files)

    def study() -> tuple[list[str], list[int]]:
        with engine.connect() as connection:
            (entity,) = find(connection, Level.STUDY, {}, 10)
        modalities = entity.elements["00080061"]["Value"]
        return modalities, [entity.elements[tag]["Value"][0] for tag in ("00201206", "00201208")]

    assert study() == (["MR", "SEG"], [2, 2])
    with engine.begin() as connection:
        delivery_rows.revoke(connection, "1.2.3", Revocation(frozenset({header.sop_instance_uid}), "another patient"))
    assert study() == (["MR"], [1, 1])
    with engine.connect() as connection:
        assert find(connection, Level.STUDY, {"ModalitiesInStudy": "SEG"}, 10) == []
        assert len(find(connection, Level.SERIES, {"StudyInstanceUID": "1.2.3"}, 10)) == 1
        assert len(find(connection, Level.IMAGE, {"StudyInstanceUID": "1.2.3"}, 10)) == 1


def test_portions_are_whole_and_hold_no_connection(engine, found):
    read = portions(engine, Query(Level.IMAGE, ()), 2)
    sizes = []
    for portion in read:
        sizes.append(len(portion))
        assert engine.pool.checkedout() == 0
    assert sizes == [2, 2, 1]


def test_a_key_of_a_lower_level_is_refused(found):
    with pytest.raises(KeyError, match="Modality: no key at STUDY level"):
        found(Level.STUDY, Modality="MR")
