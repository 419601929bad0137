"""The catalogue says of each entity what its files say, in whatever order they come, and what could not be read."""

from __future__ import annotations

import json
import random

import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage, SegmentationStorage
from sqlalchemy import select, text

from storage import catalogue_schema as tables
from storage.catalogue import faults
from storage.catalogue.filling import WithheldError, catch_up
from storage.catalogue.header import read_entry
from storage.database import open_engine
from storage.errors import HeaderError
from storage.records import Registration
from storage.schema import NOT_CATALOGUED, dicom_object

from ..house import House, a_file


@pytest.fixture
def house(engine, tmp_path, at):
    return House(engine, tmp_path / "root", at)


def faults_of(house) -> dict[str, str]:
    with house.engine.connect() as connection:
        found = faults.entries(connection)
        assert faults.count(connection) == len(found)
    return {it.path.as_posix(): it.reason for it in found}


def test_an_object_is_found_at_four_levels_in_the_form_that_is_matched(house):
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"
    house.receive(a_file(RequestAttributesSequence=[request], ProtocolName="t2_sag", BodyPartExamined="PELVIS"))
    assert catch_up(house.engine, house.files) == 1
    ((patient,), (study,), (series,), (instance,)) = map(
        house.rows, (tables.patient, tables.study, tables.series, tables.instance)
    )
    assert (patient["patient_id"], patient["issuer_of_patient_id"]) == ("P1", "HOSPITAL")
    assert (patient["patient_name_alphabetic"], patient["patient_birth_date"]) == ("muster^erika", "19600229")
    assert (study["study_date"], study["study_time"]) == ("20260102", "093000.000000")
    assert (study["accession_number"], study["referring_physician_name_alphabetic"]) == ("A1", "arztin^eva")
    assert study["patient"] == patient["identifier"]
    assert (series["modality"], series["series_number"], series["series_description"]) == ("MR", 1, "t2 tse")
    assert (series["requested_procedure_ids"], series["scheduled_procedure_step_ids"]) == ("RP1", "SPS1")
    assert (series["protocol_name"], series["body_part_examined"]) == ("t2_sag", "PELVIS")
    assert (instance["sop_instance_uid"], instance["sop_class_uid"]) == ("1.2.3.1.1", MRImageStorage)
    assert (instance["instance_number"], instance["rows"], instance["columns"]) == (1, 4, 6)


def test_the_values_as_they_were_sent_are_beside_them(house):
    house.receive(a_file(PatientName="Wang^XiaoDong=王^小东", StudyTime="0930"))
    catch_up(house.engine, house.files)
    (patient,), (study,) = house.rows(tables.patient), house.rows(tables.study)
    said = Dataset.from_json(patient["attributes"])
    assert (str(said.PatientName), said.SpecificCharacterSet) == ("Wang^XiaoDong=王^小东", "ISO_IR 192")
    assert patient["patient_name_ideographic"] == "王^小东"
    assert Dataset.from_json(study["attributes"]).StudyTime == "0930"
    assert "PatientName" not in Dataset.from_json(study["attributes"])


def test_entities_are_counted_with_what_was_made_here(house):
    for series, number in ((1, 1), (1, 2), (2, 1)):
        house.receive(a_file(number, series))
    house.receive(a_file(1, 1, study="1.9", AccessionNumber="A2"))
    house.make(a_file(1, 7, sop_class=SegmentationStorage, Modality="SEG"))
    catch_up(house.engine, house.files)
    study = house.rows(tables.study)[0]
    assert (study["series_count"], study["instance_count"]) == (3, 4)
    assert study["modalities_in_study"] == "MR\\SEG"
    assert study["sop_classes_in_study"] == f"{MRImageStorage}\\{SegmentationStorage}"
    assert [row["instance_count"] for row in house.rows(tables.series)] == [2, 1, 1, 1]
    (patient,) = house.rows(tables.patient)
    assert (patient["study_count"], patient["series_count"], patient["instance_count"]) == (2, 4, 5)


def test_what_arrives_later_is_added_and_what_is_there_stays_one(house):
    house.receive(a_file(1))
    catch_up(house.engine, house.files)
    house.receive(a_file(1))
    house.receive(a_file(2))
    assert catch_up(house.engine, house.files) == 1
    assert catch_up(house.engine, house.files) == 0
    (study,) = house.rows(tables.study)
    assert study["instance_count"] == 2


def test_a_revision_takes_the_place_of_the_instance_before_it(house):
    house.receive(a_file(Rows=4))
    catch_up(house.engine, house.files)
    house.receive(a_file(Rows=8, StudyDescription="corrected"))
    catch_up(house.engine, house.files)
    (instance,), (study,) = house.rows(tables.instance), house.rows(tables.study)
    assert (instance["rows"], study["study_description"], study["instance_count"]) == (8, "corrected", 1)


def test_a_corrected_patient_takes_the_place_of_the_one_before(house):
    house.receive(a_file(PatientID="wrong"))
    catch_up(house.engine, house.files)
    house.receive(a_file(PatientID="P1"))
    catch_up(house.engine, house.files)
    assert [row["patient_id"] for row in house.rows(tables.patient)] == ["P1"]


def test_the_order_in_which_objects_are_catalogued_changes_nothing(tmp_path, at):
    objects = [
        a_file(number, series, StudyDescription=f"{series}.{number}", PatientName=f"Muster^Erika {series}{number}")
        for series in (1, 2)
        for number in (1, 2, 3)
    ]
    made = a_file(1, 0, sop_class=SegmentationStorage, Modality="SEG", StudyDescription="made here")
    contents = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        house = House(open_engine(f"sqlite:///{folder / 'index.sqlite'}"), folder, at)
        if seed:
            random.Random(seed).shuffle(objects)
            house.make(made)
        for each in objects:
            house.receive(each)
            catch_up(house.engine, house.files)
        if not seed:
            house.make(made)
            catch_up(house.engine, house.files, limit=1)
        contents.append(house.contents())
    assert contents[0] == contents[1] == contents[2]
    assert json.loads(contents[0]["catalogue_study"][0])["study_description"] == "1.1"


def test_who_has_no_patient_id_is_a_patient_in_one_study_only(house):
    house.receive(a_file(study="1.2.3", PatientID=""))
    house.receive(a_file(study="1.2.4", PatientID=""))
    catch_up(house.engine, house.files)
    assert [row["only_in_study"] for row in house.rows(tables.patient)] == ["1.2.3", "1.2.4"]


def test_what_was_not_catalogued_at_a_stop_is_taken_afterwards(house, url):
    for number in range(1, 8):
        house.receive(a_file(number))
    assert catch_up(house.engine, house.files, limit=3) == 3
    house.engine.dispose()
    house.engine = open_engine(url)
    assert [catch_up(house.engine, house.files, limit=3) for _ in range(3)] == [3, 1, 0]
    assert house.rows(tables.study)[0]["instance_count"] == 7


def test_a_file_that_cannot_be_read_is_named_with_its_reason_and_holds_up_no_other(house):
    for number in (1, 2):
        house.receive(a_file(number))
    (broken, _) = house.index.instances("1.2.3")
    whole = house.files.absolute(broken.file).read_bytes()
    house.files.absolute(broken.file).write_bytes(b"PatientName " * 40)
    assert catch_up(house.engine, house.files) == 2
    assert faults_of(house) == {broken.file.path.as_posix(): "the header cannot be read: InvalidDicomError"}
    assert house.rows(tables.study)[0]["instance_count"] == 1

    house.files.absolute(broken.file).write_bytes(whole)
    faults.forget(house.engine)
    assert catch_up(house.engine, house.files) == 1
    assert faults_of(house) == {}
    assert house.rows(tables.study)[0]["instance_count"] == 2


def test_a_group_length_of_another_length_holds_up_no_other(house):
    """An uploaded file keeps the file meta information that it came with; pydicom has an error of its own for it."""
    group_length = b"\x02\x00\x00\x00UL\x04\x00"
    assert group_length in a_file(1)
    house.receive(a_file(1).replace(group_length, b"\x02\x00\x00\x00UL\x06\x00\0\0"))
    house.receive(a_file(2))
    assert catch_up(house.engine, house.files) == 2
    assert list(faults_of(house).values()) == ["the header cannot be read: BytesLengthException"]


def test_a_sequence_that_ends_too_soon_is_no_fault_of_this_machine(tmp_path):
    """pydicom tells of it by an OSError, as of a file that cannot be read now, which would be tried for ever."""
    path = tmp_path / "cut.dcm"
    path.write_bytes(a_file() + b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff")
    with pytest.raises(HeaderError, match="the header cannot be read: OSError"):
        read_entry(path)


def test_a_value_that_ends_too_soon_is_named_and_the_others_are_taken(tmp_path):
    path = tmp_path / "cut.dcm"
    path.write_bytes(a_file() + b"\x40\x00\x75\x02SQ\0\0\x04\0\0\0\xfe\xff\x00\xe0")
    assert read_entry(path).faults == ("(0040,0275) RequestAttributesSequence is malformed",)


def test_a_file_that_is_gone_is_named_with_its_reason(house):
    house.receive(a_file())
    (gone,) = house.index.instances("1.2.3")
    house.files.absolute(gone.file).unlink()
    catch_up(house.engine, house.files)
    assert faults_of(house) == {gone.file.path.as_posix(): "the file cannot be read: No such file or directory"}


def test_a_file_that_this_machine_does_not_give_now_is_taken_later_and_holds_up_no_other(house):
    for number in (1, 2):
        house.receive(a_file(number))
    path = house.files.absolute(house.index.instances("1.2.3")[0].file)
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path)
    assert catch_up(house.engine, house.files) == 1
    with pytest.raises(OSError, match="symbolic links"):
        catch_up(house.engine, house.files)
    path.with_suffix(".away").replace(path)
    assert catch_up(house.engine, house.files) == 1
    assert faults_of(house) == {}
    assert house.rows(tables.study)[0]["instance_count"] == 2


def test_more_files_than_are_taken_at_once_that_this_machine_does_not_give_hold_up_no_other(house):
    for number in (1, 2, 3):
        house.receive(a_file(number))
    for each in house.index.instances("1.2.3")[:2]:
        path = house.files.absolute(each.file)
        path.unlink()
        path.symlink_to(path)
    assert catch_up(house.engine, house.files, limit=1) == 1
    assert house.rows(tables.study)[0]["instance_count"] == 1
    with pytest.raises(WithheldError) as left:
        catch_up(house.engine, house.files, limit=1)
    assert len(left.value.reasons) == 2


def test_of_a_root_that_is_away_nothing_is_taken_for_gone(house):
    house.receive(a_file())
    root = house.files.root
    root.rename(root.with_name("away"))
    with pytest.raises(FileNotFoundError):
        catch_up(house.engine, house.files)
    root.with_name("away").rename(root)
    assert catch_up(house.engine, house.files) == 1
    assert faults_of(house) == {}


def test_a_malformed_element_is_named_and_the_others_are_taken(house):
    house.receive(a_file().replace(b"\x20\x00\x13\x00IS\x02\x001 ", b"\x20\x00\x13\x00IS\x02\x00xy"))
    catch_up(house.engine, house.files)
    assert set(faults_of(house).values()) == {"(0020,0013) InstanceNumber is malformed"}
    (instance,) = house.rows(tables.instance)
    assert (instance["instance_number"], instance["rows"]) == (None, 4)


def test_values_of_any_length_and_with_nul_are_taken(house):
    house.receive(a_file(StudyID="S\0" * 40, SeriesNumber="999999999999"))
    catch_up(house.engine, house.files)
    (study,), (series,) = house.rows(tables.study), house.rows(tables.series)
    assert (study["study_id"], series["series_number"]) == ("S" * 40, 999999999999)


def test_an_element_that_is_too_long_for_a_query_is_left_out_alone(house):
    house.receive(a_file(PatientComments="word " * 2000))
    catch_up(house.engine, house.files)
    (patient,) = house.rows(tables.patient)
    said = Dataset.from_json(patient["attributes"])
    assert "PatientComments" not in said
    assert said.PatientID == "P1"


def test_results_that_came_back_under_other_uids_are_not_in_the_catalogue(house):
    assert house.receive(a_file(Manufacturer="rectal-node")) is Registration.OWN_RESULT
    assert catch_up(house.engine, house.files) == 1
    assert house.rows(tables.instance) == []
    assert catch_up(house.engine, house.files) == 0


def test_what_is_to_be_catalogued_is_found_without_looking_at_the_rest(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}")
    query = select(dicom_object.c.path).where(NOT_CATALOGUED).order_by(dicom_object.c.identifier).limit(5)
    with engine.connect() as connection:
        compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "object_not_catalogued" in plan
    assert "TEMP B-TREE" not in plan
