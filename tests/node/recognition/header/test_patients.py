"""Two patients under one Study Instance UID are never analysed together; what one may differ in does not count."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, permutations
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage

from models.sequence import Sequence
from node.recognition.header import patients
from node.recognition.header.facts import Fault
from node.recognition.header.frames import read_frames, read_patient
from node.recognition.header.patients import contradict, identity, persons
from node.recognition.header.words import words
from node.recognition.plan import recognise
from node.recognition.record import STUDY, StudyPlan, from_json, to_json
from node.settings import RecognitionSettings
from storage.identity import InstanceKey

from ...copies import copied

SETTINGS = RecognitionSettings()
PATIENT = ("P-0815", "Hospital A", "19610307")


# --- the rule


@pytest.mark.parametrize(
    "other",
    [
        ("p-0815", "HOSPITAL a", "19610307"),
        ("  P-0815 ", " Hospital  A", "1961.03.07"),
        ("Ｐ-0815", "Hospital A", "1961-03-07"),
        ("P-0815\0", "Hospital A\0", "1961/3/7"),
        ("P-0815", "", "07.03.1961"),
        ("P-0815", "Hospital A", "19610307000000"),
        ("P-0815", "Hospital A", ""),
        ("P-0815", "Hospital A", "unknown"),
        ("P-0815", "Hospital A", "00000000"),
        ("", "", "19610307"),
        ("", "Hospital B", "19610307"),
        ("", "", ""),
    ],
)
def test_what_one_patient_may_differ_in_is_no_second_patient(other):
    assert not contradict(identity(*PATIENT), identity(*other))
    assert not contradict(identity(*other), identity(*PATIENT))


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        (("P-0816", "", ""), ("Patient ID",)),
        (("P-0816", "Hospital A", "19610307"), ("Patient ID",)),
        (("", "", "19610308"), ("birth date",)),
        (("P-0815", "", "1961.07.03"), ("birth date",)),
        (("P-0815", "Hospital B", ""), ("Issuer of Patient ID",)),
        (("P 0815", "Hospital B", "19610308"), ("Patient ID", "birth date")),
    ],
)
def test_what_both_state_and_state_differently_is_a_second_patient(other, differing):
    assert patients.differences(identity(*PATIENT), identity(*other)) == differing
    assert contradict(identity(*other), identity(*PATIENT))


def test_no_two_kinds_of_value_are_taken_for_one_another():
    same = (identity("19610307").identifier, identity("1", "19610307").issuer, identity("", "", "19610307").born)
    assert len(set(same)) == 3


def test_what_is_kept_of_a_patient_is_not_what_the_header_says():
    kept = repr(identity(*PATIENT)).lower()
    assert not any(part in kept for part in ("0815", "hospital", "1961", "0307"))


def test_there_are_two_persons_where_two_headers_contradict_and_only_there():
    """All orders, and all that may be stated beside."""
    known = [identity(*it) for it in (PATIENT, ("P-0815",), ("", "", "19610307"), ("X-1",), ("", "", "19700101"))]
    for size in range(1, 4):
        for chosen in permutations(known, size):
            mixed = any(contradict(one, other) for one, other in combinations(chosen, 2))
            assert (len(persons(chosen)) > 1) == mixed
            assert persons(chosen) == persons(chosen[::-1])


def test_all_that_headers_state_of_one_person_is_put_together():
    assert persons([identity("P-0815"), identity("", "", "19610307"), identity("P-0815", "Hospital A")]) == (
        identity(*PATIENT),
    )


# --- studies


@pytest.fixture
def study(series_of) -> dict[str, list[Dataset]]:
    """Axial T2 (series 3), sagittal T2 (series 2) and ADC map of one study, all of one patient."""
    parts = {"axial": "t2_tse_tra", "sagittal": "t2_tse_sag", "adc": "ADC"}
    found = {name: series_of("Skyra", description) for name, description in parts.items()}
    for instance in all_of(found):
        instance.PatientID, instance.IssuerOfPatientID, instance.PatientBirthDate = PATIENT
    return found


def all_of(study: dict[str, list[Dataset]]) -> list[Dataset]:
    return [instance for instances in study.values() for instance in instances]


def number(instances: list[Dataset]) -> int:
    return int(instances[0].SeriesNumber)


def refusal(plan: StudyPlan) -> str:
    found = plan.study_refusal()
    assert found is not None
    assert found.code == "E-PATIENT-MIX"
    return found.reason


def test_one_patient_is_no_mix(study, recognised):
    plan = recognised(all_of(study))
    assert plan.study_refusal() is None
    assert not [warning for warning in plan.warnings if "E-PATIENT-MIX" in warning]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientID", "p-0815 "),
        ("PatientID", None),
        ("PatientBirthDate", None),
        ("PatientBirthDate", "1961.03.07"),
        ("IssuerOfPatientID", None),
        ("PatientName", "Other^Spelling=他^人=た^ひと"),
        ("PatientSex", "O"),
    ],
)
def test_a_series_that_states_the_patient_otherwise_is_analysed_with_the_others(study, recognised, keyword, value):
    for instance in study["adc"]:
        if value is None:
            instance.pop(keyword, None)
        else:
            setattr(instance, keyword, value)
    assert recognised(all_of(study)).study_refusal() is None


def test_a_series_of_another_patient_refuses_the_study_and_is_named(study, recognised):
    for instance in study["adc"]:
        instance.PatientID, instance.PatientBirthDate = "X-1", "19700101"
    plan = recognised(all_of(study))
    sagittal, axial, adc = (number(study[name]) for name in ("sagittal", "axial", "adc"))
    first, second = sorted((sagittal, axial))
    assert refusal(plan) == (
        f"series {first} and {second} name one patient, series {adc} another (Patient ID and birth date differ); say "
        f"which is meant by `rectal-node rerun {plan.study_instance_uid} --patient ID`"
    )
    assert plan.stacks == ()
    assert len(plan.verdicts) == 3
    assert all("E-PATIENT-MIX: the study names more than one patient" in verdict.reason for verdict in plan.verdicts)


def test_another_id_with_the_same_birth_date_is_another_patient(study, recognised):
    for instance in study["adc"]:
        instance.PatientID = "X-1"
    assert "(Patient ID differs)" in refusal(recognised(all_of(study)))


def test_one_object_of_another_patient_within_a_series_is_enough(study, recognised):
    study["axial"][4].PatientID = "X-1"
    reason = refusal(recognised(all_of(study)))
    assert f"series {number(study['axial'])} names two patients" in reason


def test_a_series_is_named_by_uid_where_it_has_no_number(study, recognised):
    for instance in study["adc"]:
        instance.PatientID = "X-1"
        del instance.SeriesNumber
    reason = refusal(recognised(all_of(study)))
    assert reason.startswith(f"series {study['adc'][0].SeriesInstanceUID} names one patient, series ")


def another_object(instance: Dataset, **values: str) -> Dataset:
    """A report in a series of its own, made of the header of an image."""
    made = copied(instance)
    del made.PixelData
    made.SOPClassUID, made.Modality = BasicTextSRStorage, "SR"
    made.SOPInstanceUID = made.SeriesInstanceUID = f"{instance.SeriesInstanceUID}9"[-64:].lstrip(".0")
    made.SeriesNumber = 77
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_what_is_no_image_counts_as_well(study, recognised):
    report = another_object(study["axial"][0], PatientID="X-1")
    assert "series 77 another" in refusal(recognised([*all_of(study), report]))


def test_a_result_of_this_node_does_not_count(study, recognised):
    result = another_object(study["axial"][0], PatientID="X-1", Manufacturer="rectal-node")
    assert recognised([*all_of(study), result]).study_refusal() is None


def test_nothing_of_the_patient_is_in_the_record(study, recognised):
    for instance in study["adc"]:
        instance.PatientID, instance.PatientBirthDate, instance.PatientName = "X-4711", "19700101", "Zweit^Person"
    record = to_json(recognised(all_of(study)))
    assert not any(text in record for text in ("0815", "4711", "19610307", "19700101", "Zweit", "Hospital A"))


# --- a person has said who is meant


@pytest.fixture
def of_two(study, recognised, tmp_path) -> Callable[..., StudyPlan]:
    """The plan of the study with the ADC map of a second patient, once a person has said whom it is of."""
    for instance in study["adc"]:
        instance.PatientID, instance.PatientBirthDate = "X-1", "19700101"
        instance.pop("IssuerOfPatientID", None)

    def plan(*meant: str, more: tuple[Dataset, ...] = ()) -> StudyPlan:
        uid = recognised([*all_of(study), *more]).study_instance_uid
        return recognise(uid, sorted(tmp_path.glob("*.dcm")), SETTINGS, identity(*meant))

    return plan


def test_only_what_does_not_name_another_patient_is_used(of_two, study):
    plan = of_two("P-0815")
    assert plan.study_refusal() is None
    assert [stack.role for stack in plan.stacks] == [Sequence.T2WI]
    left_out = next(verdict for verdict in plan.verdicts if verdict.series_number == number(study["adc"]))
    assert not left_out.used
    assert left_out.reason.endswith("E-PATIENT-MIX: it names another patient than the one who is meant")
    assert left_out.instance_count == 10


def test_the_plan_warns_that_the_study_held_two_and_says_what_is_left_out(of_two, study):
    plan = of_two("P-0815")
    assert plan.warnings[0] == (
        f"E-PATIENT-MIX: the study names two patients; a person said which is meant, and what names another is left "
        f"out: series {number(study['adc'])}"
    )
    assert [stack.role for stack in of_two("x-1 ").stacks] == [Sequence.ADC]


def test_what_states_no_patient_is_kept_for_either(of_two, study):
    for instance in study["sagittal"]:
        del instance.PatientID, instance.PatientBirthDate, instance.IssuerOfPatientID
    for meant in ("P-0815", "X-1"):
        sagittal = next(it for it in of_two(meant).verdicts if it.series_number == number(study["sagittal"]))
        assert "E-PATIENT-MIX" not in sagittal.reason


def test_objects_of_the_other_patient_within_a_series_are_left_out_and_counted(of_two, study):
    study["axial"][4].PatientID = "X-1"
    study["axial"][4].PatientBirthDate = "19700101"
    study["axial"][4].IssuerOfPatientID = ""
    plan = of_two("P-0815")
    axial = number(study["axial"])
    assert f"series {number(study['adc'])} and 1 of 10 objects of series {axial}" in plan.warnings[0]
    assert next(verdict for verdict in plan.verdicts if verdict.series_number == axial).instance_count == 9


def test_who_contradicts_what_another_header_states_of_the_patient_is_left_out(of_two, study):
    """The ID alone is said; an object without it states another birth date than the patient of that ID has."""
    for instance in study["sagittal"]:
        del instance.PatientID, instance.IssuerOfPatientID
        instance.PatientBirthDate = "19700101"
    sagittal = next(it for it in of_two("P-0815").verdicts if it.series_number == number(study["sagittal"]))
    assert "E-PATIENT-MIX" in sagittal.reason


def test_who_is_named_by_no_object_is_refused(of_two):
    assert refusal(of_two("P-0816")).startswith("no object names the patient who was said to be meant")
    assert refusal(of_two("P-0815", "", "19610308")).startswith("no object names the patient")


@pytest.mark.parametrize(
    ("keyword", "value", "more"),
    [("PatientBirthDate", "19700101", ("", "19610307")), ("IssuerOfPatientID", "Hospital B", ("Hospital A", ""))],
)
def test_two_patients_of_one_id_are_told_apart_by_what_else_is_said(study, recognised, tmp_path, keyword, value, more):
    for instance in study["adc"]:
        setattr(instance, keyword, value)
    uid = recognised(all_of(study)).study_instance_uid
    files = sorted(tmp_path.glob("*.dcm"))
    assert "each has the ID that was said" in refusal(recognise(uid, files, SETTINGS, identity("P-0815")))
    plan = recognise(uid, files, SETTINGS, identity("P-0815", *more))
    assert [stack.role for stack in plan.stacks] == [Sequence.T2WI]


def test_what_was_said_of_a_study_of_one_patient_changes_nothing(study, recognised, tmp_path):
    plan = recognised(all_of(study))
    assert recognise(plan.study_instance_uid, sorted(tmp_path.glob("*.dcm")), SETTINGS, identity("P-0815")) == plan


# --- whom results name


def test_results_take_the_patient_from_an_image_that_is_used(study, recognised):
    plan = recognised(all_of(study))
    assert plan.reference in plan.stack(Sequence.T2WI).instances


def test_results_take_the_patient_from_the_object_that_states_most_of_the_one_who_is_meant(of_two, study):
    for instance in study["axial"]:
        del instance.PatientID
    plan = of_two("P-0815")
    assert plan.stack(Sequence.T2WI) is not None
    assert plan.reference.series_instance_uid == study["sagittal"][0].SeriesInstanceUID


def test_the_reference_is_kept_with_the_record_and_absent_from_one_of_before(study, recognised):
    plan = recognised(all_of(study))
    assert from_json(to_json(plan)).reference == plan.reference
    assert isinstance(plan.reference, InstanceKey)
    before = Path(__file__).parents[1] / "records" / "skyra-of-0.1.json"
    assert from_json(before.read_text()).reference is None


def test_a_file_alone_tells_whom_it_names_as_its_facts_do(study, recognised, tmp_path):
    recognised(study["axial"])
    path = tmp_path / "0000.dcm"
    (frame,) = read_frames(path, words(SETTINGS.words_of_site))
    assert frame.header.patient == read_patient(path) == identity(*PATIENT)
    (tmp_path / "letter.dcm").write_text("Dear colleague")
    assert read_patient(tmp_path / "letter.dcm") == identity("")


def test_whom_a_file_names_is_told_by_its_beginning_however_it_ends(study, recognised, tmp_path):
    recognised(study["axial"])
    whole = (tmp_path / "0000.dcm").read_bytes()
    # Image Position (Patient) stands far behind the patient and before the pixels.
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[: whole.index(b"\x20\x00\x32\x00DS") + 10])
    assert read_patient(cut) == identity(*PATIENT)


def test_every_real_file_alone_tells_whom_it_names_as_its_facts_do(shared_data):
    vocabulary, compared = words(SETTINGS.words_of_site), 0
    for folder in ("charsets", "transfer_syntaxes", "philips_enhanced", "siemens_XA30_enhanced"):
        for path in sorted(it for it in (shared_data / folder).rglob("*") if it.is_file()):
            frames = read_frames(path, vocabulary)
            if not isinstance(frames, Fault):
                assert read_patient(path) == frames[0].header.patient, path.name
                compared += 1
    assert compared > 20


def test_a_refusal_of_the_study_is_the_only_one(study, recognised):
    for instance in study["adc"]:
        instance.PatientID = "X-1"
        instance.BodyPartExamined = "KNEE"
    assert [it.role for it in recognised(all_of(study)).refusals] == [STUDY]
