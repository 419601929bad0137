"""Matching at the four levels: what each kind of key finds, on both databases."""

from __future__ import annotations

import json

import pytest

from storage.catalogue.filling import catch_up
from storage.catalogue.query import Level, find

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
        return sorted(json.loads(row[-1])[names[level]]["Value"][0] for row in rows)

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


def test_a_key_of_a_lower_level_is_refused(found):
    with pytest.raises(KeyError, match="Modality: no key at STUDY level"):
        found(Level.STUDY, Modality="MR")
