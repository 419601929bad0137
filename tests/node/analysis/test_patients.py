"""Which results of an earlier revision are of another patient than the study is now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from node.analysis.patients import names_another, patient_of
from node.recognition.header.patients import identity
from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings

from ..copies import copied

NOW = identity("P-1", "", "19610307")


@pytest.fixture
def plan_of(written_by, tmp_path) -> Callable[..., StudyPlan]:
    """The plan of axial T2 whose images name patients in turn."""

    def plan(*patients: str) -> StudyPlan:
        paths = []
        for number, instance in enumerate(map(copied, written_by("Skyra").series("t2_tse_tra"))):
            instance.PatientID, instance.PatientBirthDate = patients[0], "19610307" if patients[0] else ""
            paths.append(tmp_path / f"{number}.dcm")
            instance.save_as(paths[-1])
        found = recognise(str(instance.StudyInstanceUID), paths, RecognitionSettings())
        if len(patients) > 1:
            instance.PatientID = patients[1]
            instance.save_as(paths[-1])
        return found

    return plan


@pytest.fixture
def result_of(written_by, tmp_path) -> Callable[[str], Path]:
    """A result that names a patient."""

    def result(patient: str) -> Path:
        made = copied(written_by("Skyra").instances[0])
        made.PatientID, made.PatientBirthDate = patient, ""
        made.save_as(tmp_path / "result.dcm")
        return tmp_path / "result.dcm"

    return result


def test_results_and_images_of_the_patient_are_in_order(plan_of, result_of):
    assert not names_another(NOW, plan_of("p-1"), [result_of("P-1 ")])


def test_a_result_that_names_another_patient_is_not(plan_of, result_of):
    assert names_another(NOW, plan_of("P-1"), [result_of("P-2")])
    assert names_another(NOW, None, [result_of("P-2")])


def test_a_result_that_names_the_patient_and_was_made_from_an_image_of_another_is_not(plan_of, result_of):
    assert names_another(NOW, plan_of("P-1", "P-2"), [result_of("P-1")])


def test_what_names_nobody_is_in_order(plan_of, result_of, tmp_path):
    assert not names_another(NOW, plan_of(""), [result_of("")])
    assert not names_another(NOW, None, [tmp_path / "absent.dcm"])


def test_the_patient_of_a_revision_is_all_that_its_reference_and_its_images_state(plan_of, result_of):
    plan = plan_of("P-1")
    assert patient_of(plan, None) == NOW
    assert patient_of(plan, result_of("")) == NOW
    assert patient_of(plan_of(""), result_of("P-1")) == identity("P-1")
