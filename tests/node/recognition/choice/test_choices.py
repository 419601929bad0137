"""The choice of a role is a function: of the series, and of the choice of another role where it depends on one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from models.research.phantom.scanners import load_scanners
from models.sequence import Sequence
from node.recognition.choice.diffusion import choose_adc, choose_dwi
from node.recognition.choice.dynamic import choose_pvp
from node.recognition.choice.role import RoleChoice
from node.recognition.choice.study import choose
from node.recognition.choice.t2 import choose_t2
from node.recognition.header.facts import Fault
from node.recognition.plan import read_study
from node.recognition.rules.series import Series, series_of
from node.settings import RecognitionSettings

from ...copies import copied

SETTINGS = RecognitionSettings()
SKYRA = "Siemens Skyra"


@pytest.fixture
def series(tmp_path: Path) -> Callable[[list[Dataset]], tuple[Series, ...]]:
    """The series that instances make, with what the rules say of their volumes."""

    def read(instances: list[Dataset]) -> tuple[Series, ...]:
        for number, instance in enumerate(instances):
            instance.save_as(tmp_path / f"{number:04d}.dcm")
        facts = read_study(str(instances[0].StudyInstanceUID), tmp_path.iterdir(), SETTINGS)
        return series_of(facts.frames, SETTINGS)

    return read


@pytest.fixture(scope="module")
def whole(written_by: Callable[[str], Any]) -> Callable[[str], tuple[Series, ...]]:
    """The series of the study of a scanner."""

    @cache
    def read(scanner: str) -> tuple[Series, ...]:
        written = written_by(scanner)
        facts = read_study(str(written.instances[0].StudyInstanceUID), written.paths, SETTINGS)
        return series_of(facts.frames, SETTINGS)

    return read


@pytest.fixture(params=[scanner.name for scanner in load_scanners()])
def of_each(request: pytest.FixtureRequest, whole: Callable[[str], tuple[Series, ...]]) -> tuple[Series, ...]:
    """The series of the study of each of the six scanners in turn."""
    return whole(request.param)


def moved(instances: list[Dataset]) -> list[Dataset]:
    """The same as a series of its own, an hour later and 40 mm further along the patient."""
    copies, uid = [copied(instance) for instance in instances], generate_uid()
    for copy in copies:
        copy.SOPInstanceUID, copy.SeriesInstanceUID = generate_uid(), uid
        copy.AcquisitionTime = f"{int(copy.AcquisitionTime[:2]) + 1:02d}{copy.AcquisitionTime[2:]}"
        x, y, z = copy.ImagePositionPatient
        copy.ImagePositionPatient = [x, y, z + 40]
    return copies


def uid_of(choice: RoleChoice) -> str:
    assert choice.chosen is not None
    return choice.chosen.key.series_instance_uid


def test_the_choices_of_the_roles_do_not_hang_on_the_order_in_which_they_are_made(whole):
    found = whole(SKYRA)
    pvp, dwi, t2 = choose_pvp(found, SETTINGS, None), choose_dwi(found, SETTINGS), choose_t2(found, SETTINGS)
    adc = choose_adc(found, SETTINGS, dwi)
    assert all(choice.chosen is not None for choice in (t2, dwi, adc, pvp.choice))
    assert choose(found, SETTINGS).roles == (t2, dwi, adc, pvp.choice)


def test_the_adc_map_is_that_of_the_dwi_choice_that_is_given(series_of, series):
    dwi, adc = series_of(SKYRA, "TRACEW"), series_of(SKYRA, "ADC")
    dwi_elsewhere, adc_elsewhere = moved(dwi), moved(adc)
    both = series([*dwi, *adc, *dwi_elsewhere, *adc_elsewhere])
    for one, its_map in ((dwi, adc), (dwi_elsewhere, adc_elsewhere)):
        uid = one[0].SeriesInstanceUID
        given = choose_dwi(tuple(entry for entry in both if entry.uid == uid), SETTINGS)
        assert uid_of(given) == uid
        assert uid_of(choose_adc(both, SETTINGS, given)) == its_map[0].SeriesInstanceUID


def test_without_a_dwi_the_later_of_equal_adc_maps_is_chosen(series_of, series):
    adc = series_of(SKYRA, "ADC")
    later = moved(adc)
    refused = RoleChoice(Sequence.DWI, refusal=Fault("E-MISSING", "no diffusion-weighted series"))
    assert uid_of(choose_adc(series([*adc, *later]), SETTINGS, refused)) == later[0].SeriesInstanceUID


def test_volumes_are_known_by_series_and_number_also_where_several_come_from_one_series(of_each):
    keys = [volume.key for one in of_each for volume in one.volumes]
    assert len(set(keys)) == len(keys) > len(of_each)


def test_every_candidate_fills_the_role_or_keeps_its_reason(of_each):
    choice = choose_dwi(of_each, SETTINGS)
    assert choice.chosen is not None
    candidates = {it.key for one in of_each for it in one.volumes if it.finding is choice.chosen.finding}
    assert candidates == {choice.chosen.key, *choice.passed_over}
    assert choice.chosen.key not in choice.passed_over
