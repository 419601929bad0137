"""A stack of which no result can be written is refused by name before the networks run, and takes no other with it."""

from __future__ import annotations

import pydicom
import pytest

from models.sequence import Sequence
from node.errors import Refusal
from node.planning import plan_from, plan_with_volumes
from node.recognition.plan import read_study
from node.results.trial import require_encodable
from node.settings import RecognitionSettings

SETTINGS = RecognitionSettings()


@pytest.fixture
def t2wi(only_t2):
    """The stack of a T2WI and its volume."""
    (result,) = only_t2.results.sequences
    return result.stack, result.acquired


def test_a_stack_that_can_be_written_passes(t2wi):
    require_encodable("1.2.840.99999.1", *t2wi)


def test_a_stack_that_lies_elsewhere_than_its_headers_say_is_refused(t2wi):
    stack, image = t2wi
    moved = image[:, :, :]
    moved.SetOrigin([place + 3 for place in image.GetOrigin()])
    with pytest.raises(Refusal, match=r"E-ENCODE: series 1\.2\.840\.99999\.1\.5: .*voxels away"):
        require_encodable("1.2.840.99999.1", stack, moved)


def test_a_header_without_a_place_is_refused_without_a_value_of_it(t2wi, tmp_path):
    stack, image = t2wi
    original = stack.frames[3].path.read_bytes()
    dataset = pydicom.dcmread(stack.frames[3].path)
    del dataset.ImagePositionPatient
    dataset.save_as(stack.frames[3].path)
    try:
        with pytest.raises(Refusal, match="E-ENCODE") as refusal:
            require_encodable("1.2.840.99999.1", stack, image)
    finally:
        stack.frames[3].path.write_bytes(original)
    assert "ImagePositionPatient" in refusal.value.reason
    assert "P-0815" not in refusal.value.reason


def test_the_study_is_planned_again_without_it(written_by, tmp_path):
    instances = written_by("Skyra").instances
    facts = read_study(str(instances[0].StudyInstanceUID), written_by("Skyra").paths, SETTINGS)

    def trial(study_instance_uid, stack, image):
        if stack.role is Sequence.T2WI:
            moved = image[:, :, :]
            moved.SetOrigin([place + 3 for place in image.GetOrigin()])
            require_encodable(study_instance_uid, stack, moved)
        require_encodable(study_instance_uid, stack, image)

    plan, volumes = plan_with_volumes(plan_from(facts, SETTINGS, ()), lambda: facts, SETTINGS, (), trial)
    assert set(volumes) == {Sequence.DWI, Sequence.ADC, Sequence.PVP}
    assert plan.refusal(Sequence.T2WI).code == "E-ENCODE"
