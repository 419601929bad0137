"""One object, a revision of it and a clash are told apart in recognition: no series loses an image that it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from models.sequence import Sequence
from node.analysis.identity import input_digest
from node.analysis.study import Study
from node.recognition.folder import studies_in
from node.recognition.header.facts import Fault
from node.recognition.plan import plan_study, read_study, recognise
from node.recognition.record import Revealed, from_json
from node.settings import RecognitionSettings

from ...copies import copied

SETTINGS = RecognitionSettings()
EXPLICIT_LITTLE, RLE_LOSSLESS = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"


@pytest.fixture
def sharing(series_of) -> list[Dataset]:
    """Axial and sagittal T2, the sagittal images with the SOP Instance UIDs of the axial ones."""
    axial, sagittal = series_of("Skyra", "t2_tse_tra"), series_of("Skyra", "t2_tse_sag")
    for one, other in zip(axial, sagittal, strict=True):
        other.SOPInstanceUID = one.SOPInstanceUID
    return [*axial, *sagittal]


def numbers(instances: list[Dataset]) -> list[int]:
    return sorted({int(each.SeriesNumber) for each in instances})


def clash_warnings(plan) -> list[str]:
    return [warning for warning in plan.warnings if warning.startswith("E-UID-CLASH")]


def test_two_series_that_share_uids_are_both_whole(sharing, recognised):
    for order in (sharing, sharing[::-1]):
        plan = recognised(order)
        assert [verdict.instance_count for verdict in plan.verdicts] == [10, 10]
        assert len(plan.stack(Sequence.T2WI).frames) == 10


def test_a_clash_is_named_with_the_numbers_of_the_series(sharing, recognised):
    one, two = numbers(sharing)
    assert clash_warnings(recognised(sharing)) == [
        f"E-UID-CLASH: 10 SOP Instance UIDs stand for one object in each of series {one} and {two}: all are kept, and "
        f"each series is taken whole"
    ]


def test_series_without_a_number_of_their_own_are_named_by_uid(sharing, recognised):
    for instance in sharing:
        instance.SeriesNumber = 7
    (warning,) = clash_warnings(recognised(sharing))
    assert all(str(each.SeriesInstanceUID) in warning for each in sharing)


def test_no_clash_is_named_where_uids_are_unique(series_of, recognised):
    assert not clash_warnings(recognised([*series_of("Skyra", "t2_tse_tra"), *series_of("Skyra", "t2_tse_sag")]))


def test_what_makes_one_volume_unusable_leaves_the_other_of_the_same_uid_alone(sharing, recognised, tmp_path):
    plan = recognised(sharing)
    facts = read_study(plan.study_instance_uid, sorted(tmp_path.glob("*.dcm")), SETTINGS)
    key = plan.stack(Sequence.T2WI).key
    again = plan_study(facts, SETTINGS, Revealed(((key, Fault("E-DECODE", "cannot be decoded")),)))
    axial, sagittal = sorted(again.verdicts, key=lambda verdict: verdict.plane)
    assert "E-DECODE" in axial.reason
    assert "E-DECODE" not in sagittal.reason


def test_of_two_contents_of_one_object_the_last_file_is_taken_and_that_is_said(series_of, recognised, tmp_path):
    t2 = series_of("Skyra", "t2_tse_tra")
    corrected = copied(t2[3])
    corrected.ImageComments = "second thoughts"
    plan = recognised([*t2, corrected])
    taken = [frame.path for frame in plan.stack(Sequence.T2WI).frames]
    assert len(taken) == 10
    assert tmp_path / "0010.dcm" in taken
    assert tmp_path / "0003.dcm" not in taken
    (warning,) = (warning for warning in plan.warnings if str(t2[3].SOPInstanceUID) in warning)
    assert "another content" in warning
    assert "0003.dcm" in warning


def test_the_same_bytes_in_another_transfer_syntax_are_no_second_copy(series_of, recognised, tmp_path):
    t2 = series_of("Skyra", "t2_tse_tra")
    recognised(t2)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes((tmp_path / "0003.dcm").read_bytes().replace(EXPLICIT_LITTLE, RLE_LOSSLESS, 1))
    plan = recognise(str(t2[0].StudyInstanceUID), sorted(tmp_path.glob("*.dcm")), SETTINGS)
    assert not any("second copy" in warning for warning in plan.warnings)
    assert any("another content" in warning for warning in plan.warnings)
    assert copy in [frame.path for frame in plan.stack(Sequence.T2WI).frames]


def test_objects_of_one_uid_in_two_studies_of_a_folder_are_named_in_both(series_of, tmp_path):
    t2 = series_of("Skyra", "t2_tse_tra")
    other, series = generate_uid(), generate_uid()
    for number, instance in enumerate(t2):
        instance.save_as(tmp_path / f"a{number}.dcm")
        instance.StudyInstanceUID, instance.SeriesInstanceUID = other, series
        instance.save_as(tmp_path / f"b{number}.dcm")
    for facts in studies_in(tmp_path, SETTINGS):
        assert len(facts.frames) == 10
        (warning,) = facts.warnings
        assert warning.startswith("E-UID-CLASH: 10 SOP Instance UIDs stand for one object in series ")
        assert ("study " + other in warning) == (facts.study_instance_uid != other)


def test_files_without_a_uid_are_counted_each(series_of, recognised):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2[:2]:
        del instance.SOPInstanceUID
    (verdict,) = recognised(t2).verdicts
    assert verdict.instance_count == 10


# --- what the UIDs of results derive from


@pytest.fixture
def study(series_of, recognised, tmp_path) -> Callable[..., str]:
    """The digest over the images of one study, each with a given content."""
    t2 = series_of("Skyra", "t2_tse_tra")
    plan = recognised(t2)

    def digest(content: str = "a", series: str = "") -> str:
        stacks = [replace(stack, series_instance_uid=series or stack.series_instance_uid) for stack in plan.stacks]
        keys = [key for stack in stacks for key in sorted(stack.instances)]
        instances = {key: (Path("x"), content if key is keys[0] else "same") for key in keys}
        changed = replace(plan, stacks=tuple(stacks), reference=None)
        return input_digest(Study(plan.study_instance_uid, 1, instances, tmp_path), changed)

    return digest


def test_results_of_another_content_or_series_have_other_uids(study):
    assert study() == study()
    assert len({study(), study(content="b"), study(series="1.2.3")}) == 3


# --- records of before


def test_a_record_of_before_is_read_and_what_it_knows_of_a_stack_still_holds(written_by):
    """Its keys name the first frame of a stack without the series."""
    record = from_json((Path(__file__).parents[1] / "records" / "skyra-of-0.1.json").read_text())
    ((key, fault),) = record.revealed.unusable
    written = written_by("Skyra")
    paths = [path for path in written.paths if "t2_tse_tra" in dcmread(path, stop_before_pixels=True).SeriesDescription]
    facts = read_study(record.study_instance_uid, paths, SETTINGS)
    (verdict,) = plan_study(facts, SETTINGS, record.revealed).verdicts
    assert "/" not in key
    assert fault.code == "E-DECODE"
    assert not verdict.used
    assert "E-DECODE" in verdict.reason
    assert [stack.role for stack in record.stacks] == [Sequence.ADC]
