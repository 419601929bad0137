"""The reason in a verdict is true, names what decided, and calls series by their numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from models.sequence import Sequence
from node.errors import NodeError, Refusal
from node.operations.headers import in_processes
from node.recognition.folder import studies_in
from node.recognition.plan import given_header_of
from node.recognition.record import SeriesVerdict
from node.recognition.rules.findings import Confidence
from node.settings import RecognitionSettings
from node.volumes import assemble


@pytest.fixture
def verdict_on(recognised) -> Callable[[list[Dataset]], SeriesVerdict]:
    def only(instances: list[Dataset]) -> SeriesVerdict:
        (verdict,) = recognised(instances).verdicts
        return verdict

    return only


def of_phase(series_of, name: str) -> list[Dataset]:
    phase = series_of("uMR 560", name)
    for instance in phase:
        del instance.ContrastBolusStartTime
    return phase


def test_a_lone_phase_is_not_of_a_run_that_there_is_not(series_of, recognised):
    plan = recognised(of_phase(series_of, "R2"))
    assert "a single phase: without a dynamic run" in plan.verdicts[0].reason
    assert plan.refusal(Sequence.PVP).code == "E-CONTRAST-UNKNOWN"
    assert "not of the dynamic run" not in plan.verdicts[0].reason + plan.refusal(Sequence.PVP).reason


def test_a_phase_beside_a_run_is_not_of_it(series_of, recognised):
    dynamic = [each for each in series_of("uMR 560", "t1_quick3d") if "SUB" not in each.SeriesDescription]
    for instance in dynamic:
        if instance.SeriesDescription.endswith("R1"):
            instance.FlipAngle = "20"
            del instance.ContrastBolusStartTime
    plan = recognised(dynamic)
    (aside,) = [each for each in plan.verdicts if each.description.endswith("R1")]
    assert "not of the dynamic run (other TR, TE, flip angle or geometry)" in aside.reason


def test_the_used_phase_of_a_combined_series_is_not_said_to_be_unused(series_of, recognised):
    lava = [each for each in series_of("MR750", "LAVA") if "SUB" not in each.SeriesDescription]
    (line,) = [line for line in recognised(lava).verdicts[0].volumes if "used as PVP" in line]
    assert "not used" not in line


@pytest.mark.parametrize(("kept", "reason"), [(3, "with 3 slices only"), (1, "with 1 slice only")])
def test_a_localizer_in_one_plane_is_one_by_its_name_and_its_few_slices(series_of, verdict_on, kept, reason):
    planes = series_of("uMR 770", "localizer")
    one = [each for each in planes if each.ImageOrientationPatient == planes[0].ImageOrientationPatient]
    assert f"not used, named as a localizer, {reason}" in verdict_on(one[:kept]).reason


def test_a_localizer_in_three_planes_is_one_by_its_orientations(series_of, verdict_on):
    assert "not used, 3 orientations in 9 images" in verdict_on(series_of("uMR 770", "localizer")).reason


def kind_evidence(verdict: SeriesVerdict) -> str:
    return next(each.found for each in verdict.evidence if each.fact == "kind of image")


def test_a_calculated_b_value_cites_the_sequence_name_that_told_it(series_of, verdict_on):
    dwi = series_of("Skyra", "TRACEW")
    for instance in dwi:
        instance.SequenceName = "*ep_b0_800"
    assert kind_evidence(verdict_on(dwi)) == "calculated b-value (sequence name *ep_b0_800)"


def test_a_map_cites_the_image_type_that_told_it(series_of, verdict_on):
    adc = series_of("Skyra", "ADC")
    tokens = "\\".join(adc[0].ImageType)
    assert kind_evidence(verdict_on(adc)) == f"ADC map ({tokens})"


def test_a_phase_image_of_ge_cites_its_private_element(series_of, verdict_on):
    t2 = series_of("MR750", "Ax T2")
    for instance in t2:
        instance.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", 1)
    assert kind_evidence(verdict_on(t2)) == "phase, real or imaginary part ((0043,xx2F) GEMS_PARM_01)"


def test_what_is_no_mr_image_is_not_doubted_for_its_name(series_of, verdict_on):
    adc = series_of("uMR 770", "ADC")
    for instance in adc:
        instance.SOPClassUID, instance.Modality = SegmentationStorage, "SEG"
        instance.remove_private_tags()
    verdict = verdict_on(adc)
    assert verdict.reason.startswith("no MR image (SEG")
    assert (verdict.confidence, verdict.doubts) == (Confidence.HIGH, ())


def test_private_elements_without_creators_were_not_removed(series_of, verdict_on):
    t2 = series_of("Multiva", "T2W_TSE_tra")
    for instance in t2:
        for tag in [tag for tag in instance.keys() if tag.is_private and tag.element < 0x100]:  # noqa: SIM118
            del instance[tag]
    (doubt,) = verdict_on(t2).doubts
    assert doubt == (
        "private elements are there without the private creators of Philips, so that it is not known what they are"
    )


def test_private_elements_that_are_gone_were_removed(series_of, verdict_on):
    t2 = series_of("Multiva", "T2W_TSE_tra")
    for instance in t2:
        instance.remove_private_tags()
    assert verdict_on(t2).doubts == ("the private elements of Philips were removed",)


@pytest.mark.parametrize("missing", [("SOPClassUID",), ("SOPClassUID", "Modality")])
def test_a_damaged_header_is_no_sure_sign_of_another_object(series_of, verdict_on, missing):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        for keyword in missing:
            delattr(instance, keyword)
    verdict = verdict_on(t2)
    modality = "modality missing" if "Modality" in missing else "MR"
    assert verdict.reason.startswith(f"damaged header without SOP Class UID ({modality}); not used")
    assert verdict.confidence is Confidence.LOW
    assert verdict.doubts == ("SOP Class UID missing: what it is cannot be said",)
    assert not verdict.role


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda instance: instance.__setattr__("RescaleSlope", "1000"), "E-ADC-UNITS"),
        (lambda instance: instance.__setattr__("PixelData", b"\xe8\3" * (len(instance.PixelData) // 2)), "E-CONSTANT"),
        (lambda instance: instance.__setattr__("PhotometricInterpretation", "RGB"), "E-PHOTOMETRIC"),
        (lambda instance: instance.__setattr__("PixelData", b""), "E-DECODE"),
    ],
)
def test_pixels_are_refused_by_the_number_of_their_series(series_of, recognised, damage, code):
    adc = series_of("Skyra", "ADC")
    for instance in adc:
        damage(instance)
    with pytest.raises(Refusal) as refused:
        assemble(recognised(adc).stack(Sequence.ADC))
    assert refused.value.code == code
    assert refused.value.reason.startswith(f"series {adc[0].SeriesNumber}")
    assert str(adc[0].SeriesInstanceUID) not in refused.value.reason


def test_without_a_number_a_series_is_known_by_its_uid(series_of, recognised):
    adc = series_of("Skyra", "ADC")
    for instance in adc:
        del instance.SeriesNumber
    assert recognised(adc).stack(Sequence.ADC).series == f"series {adc[0].SeriesInstanceUID}"


def test_a_folder_without_a_readable_file_says_what_is_wrong_with_each(tmp_path, series_of):
    (tmp_path / "letter.txt").write_text("Dear colleague")
    for number in range(6):
        (tmp_path / f"z{number}").write_text("nothing")
    with pytest.raises(NodeError) as nothing:
        list(studies_in(tmp_path, RecognitionSettings()))
    said = str(nothing.value)
    assert said.startswith(f"{tmp_path}: no DICOM file that can be read; E-DECODE: letter.txt: no DICOM file")
    assert said.endswith("; and 2 more")


def test_nobody_is_told_how_pydicom_is_called(tmp_path, series_of):
    (tmp_path / "letter.txt").write_text("Dear colleague")
    series_of("Skyra", "t2_tse_tra")[0].save_as(tmp_path / "whole.dcm")
    (study,) = studies_in(tmp_path, RecognitionSettings())
    assert any("letter.txt: no DICOM file: it does not begin with" in warning for warning in study.warnings)
    assert not any("force" in warning or "pydicom" in warning or "Error" in warning for warning in study.warnings)


def test_a_file_that_the_disk_does_not_give_is_named_and_ends_nothing(tmp_path, series_of):
    series_of("Skyra", "t2_tse_tra")[0].save_as(tmp_path / "whole.dcm")
    lost = tmp_path / "lost.dcm"

    def read(files, settings):
        lost.unlink()  # it goes while the folder is read
        return in_processes(read_header=given_header_of)(files, settings)

    lost.write_bytes(b"")
    (study,) = studies_in(tmp_path, RecognitionSettings(), read)
    assert "E-DECODE: lost.dcm: cannot be read: No such file or directory" in study.warnings


def test_a_file_that_is_not_there_is_named_with_its_reason(tmp_path):
    with pytest.raises(NodeError, match=r"E-DECODE: absent: cannot be read: No such file or directory"):
        list(studies_in(tmp_path / "absent", RecognitionSettings()))
