"""Each kind of damage ends in its own named refusal, with everything else of the study untouched."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from models.sequence import Sequence
from node.recognition.record import STUDY
from node.recognition.rules.findings import Confidence
from node.settings import RecognitionSettings, SiteRule

from ..copies import copied

FRAME_OF_REFERENCE = Tag("FrameOfReferenceUID")
SKYRA, MR750, MULTIVA, UMR = "Skyra", "MR750", "Multiva", "uMR 560"


def refusal(plan, role: str) -> tuple[str, str]:
    found = [each for each in plan.refusals if each.role == role]
    assert len(found) == 1, plan.refusals
    return found[0].code, found[0].reason


@pytest.fixture
def t2(series_of) -> list[Dataset]:
    return series_of(SKYRA, "t2_tse_tra")


def normal(instance: Dataset) -> np.ndarray:
    cosines = np.array(instance.ImageOrientationPatient, dtype=float)
    return np.cross(cosines[:3], cosines[3:])


def move(instance: Dataset, offset_mm: np.ndarray) -> None:
    position = np.array(instance.ImagePositionPatient, dtype=float) + offset_mm
    instance.ImagePositionPatient = [f"{value:.6f}" for value in position]


def in_plane(instance: Dataset, millimetres: float) -> np.ndarray:
    return np.array(instance.ImageOrientationPatient[:3], dtype=float) * millimetres


def step_mm(instances: list[Dataset]) -> float:
    along = sorted(float(normal(each) @ np.array(each.ImagePositionPatient, dtype=float)) for each in instances)
    return along[1] - along[0]


def twin(instance: Dataset) -> Dataset:
    copy = copied(instance)
    copy.SOPInstanceUID = generate_uid()
    return copy


def test_the_undamaged_series_is_used(t2, recognised):
    plan = recognised(t2)
    assert plan.stack(Sequence.T2WI) is not None


def test_the_last_digits_of_pixel_spacing_do_not_tear_a_series_apart(t2, recognised):
    for each, spacing in zip(t2, ("0.78125", "0.7812500001", "0.7812499999") * len(t2), strict=False):
        each.PixelSpacing = [spacing, spacing]
    assert len(recognised(t2).stack(Sequence.T2WI).frames) == len(t2)


def test_a_missing_slice_is_named_with_its_place(t2, recognised):
    ordered = sorted(t2, key=lambda each: float(normal(each) @ np.array(each.ImagePositionPatient, dtype=float)))
    code, reason = refusal(recognised([each for each in t2 if each is not ordered[4]]), "T2WI")
    assert code == "E-SLICE-MISSING"
    assert "1 slice(s) missing, first behind index 3" in reason


def test_two_neighbouring_missing_slices_are_counted(t2, recognised):
    ordered = sorted(t2, key=lambda each: float(normal(each) @ np.array(each.ImagePositionPatient, dtype=float)))
    gone = {id(ordered[4]), id(ordered[5])}
    code, reason = refusal(
        recognised([each for each in t2 if id(each) not in gone], RecognitionSettings(minimum_slices=4)), "T2WI"
    )
    assert code == "E-SLICE-MISSING"
    assert "2 slice(s)" in reason


def test_a_slice_that_came_twice_under_two_uids(t2, recognised):
    assert refusal(recognised([*t2, twin(t2[3])]), "T2WI")[0] == "E-SLICE-DUP"


def test_one_slice_shifted_in_plane(t2, recognised):
    move(t2[4], in_plane(t2[4], 2.0))
    assert refusal(recognised(t2), "T2WI")[0] == "E-SHEAR"


def test_a_stack_sheared_from_slice_to_slice(t2, recognised):
    for number, instance in enumerate(t2):
        move(instance, in_plane(instance, 0.5 * number))
    assert refusal(recognised(t2), "T2WI")[0] == "E-SHEAR"


def test_uneven_spacing(t2, recognised):
    move(t2[4], normal(t2[4]) * 0.3 * step_mm(t2))
    assert refusal(recognised(t2), "T2WI")[0] == "E-SPACING"


def test_one_slice_of_another_orientation(t2, recognised):
    t2[4].ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    assert refusal(recognised(t2), "T2WI")[0] == "E-MIXED-ORIENT"


def test_one_slice_in_another_frame_of_reference(t2, recognised):
    t2[4].FrameOfReferenceUID = generate_uid()
    assert refusal(recognised(t2), "T2WI")[0] == "E-FOR"


def test_one_slice_with_another_matrix(t2, recognised):
    t2[4].Rows = 40
    assert refusal(recognised(t2), "T2WI")[0] == "E-MIXED-MATRIX"


def test_two_interleaved_stacks_with_different_origins(t2, recognised):
    step = step_mm(t2)
    second = [twin(each) for each in t2]
    for instance in second:
        move(instance, normal(instance) * 0.3 * step)
    assert refusal(recognised([*t2, *second]), "T2WI")[0] == "E-STACK-OVERLAP"


def test_direction_cosines_that_are_no_unit_vectors(t2, recognised):
    for instance in t2:
        instance.ImageOrientationPatient = ["0.9", "0", "0", "0", "0.9", "0"]
    assert refusal(recognised(t2), "T2WI")[0] == "E-IOP"


def test_slices_without_a_position(t2, recognised):
    for instance in t2:
        del instance.ImagePositionPatient
    assert refusal(recognised(t2), "T2WI")[0] == "E-IOP"


def test_too_few_slices(t2, recognised):
    assert refusal(recognised(t2[:6]), "T2WI")[0] == "E-FEW-SLICES"


def test_a_sagittal_series_alone(series_of, recognised):
    code, reason = refusal(recognised(series_of(SKYRA, "t2_tse_sag")), "T2WI")
    assert code == "E-MISSING"
    assert "sagittal" in reason


def test_a_body_part_that_is_not_accepted(t2, recognised):
    for instance in t2:
        instance.BodyPartExamined = "KNEE"
    assert refusal(recognised(t2), "STUDY")[0] == "E-BODY-PART"


def test_a_manufacturer_without_a_profile(t2, recognised):
    for instance in t2:
        instance.remove_private_tags()
        instance.Manufacturer = "Somebody Else"
    assert refusal(recognised(t2), "T2WI")[0] == "E-VENDOR-UNKNOWN"


def test_repeated_slices_that_no_element_tells_apart(t2, recognised):
    second = [twin(each) for each in t2]
    for instance in (*t2, *second):
        for keyword in ("InstanceNumber", "AcquisitionTime", "ContentTime"):
            delattr(instance, keyword)
    assert refusal(recognised([*t2, *second]), "T2WI")[0] == "E-SPLIT-UNEXPLAINED"


def test_lost_b_values(series_of, recognised):
    dwi = series_of(MR750, "Ax DWI")
    for instance in dwi:
        del instance[0x0043, 0x1039]
    assert refusal(recognised(dwi), "DWI")[0] == "E-BVAL-UNKNOWN"


def test_a_private_b_value_of_the_wrong_length(series_of, recognised):
    dwi = series_of(MULTIVA, "DWI_0")
    for instance in dwi:
        del instance.DiffusionBValue
        del instance.DiffusionGradientOrientation
        instance.add_new(0x20011003, "UN", b"\x00\x01\x02")
    assert refusal(recognised(dwi), "DWI")[0] == "E-PRIVATE-UNDECODED"


def test_b_values_that_contradict_each_other(series_of, recognised):
    dwi = series_of(MR750, "Ax DWI")
    for instance in dwi:
        if instance[0x0043, 0x1039].value[0]:
            instance.DiffusionBValue = 1100.0
    code, reason = refusal(recognised(dwi), "DWI")
    assert code == "E-BVAL-CONFLICT"
    assert "1100" in reason
    assert "800" in reason


def test_no_b_value_in_the_range_of_the_site(series_of, recognised):
    settings = RecognitionSettings(b_value_range=(900, 1500))
    code, reason = refusal(recognised(series_of(MR750, "Ax DWI"), settings), "DWI")
    assert code == "E-BVAL-RANGE"
    assert "800" in reason


def test_b_0_images_alone(series_of, recognised):
    dwi = [each for each in series_of(MR750, "Ax DWI") if not each[0x0043, 0x1039].value[0]]
    assert refusal(recognised(dwi), "DWI")[0] == "E-BVAL-RANGE"


def test_single_diffusion_directions_without_a_combined_image(series_of, recognised):
    dwi = series_of(MULTIVA, "DWI_0")
    for instance in dwi:
        if instance.DiffusionBValue:
            instance.DiffusionGradientOrientation = [1.0, 0.0, 0.0]
            instance[0x2001, 0x1004].value = "O"
    assert refusal(recognised(dwi), "DWI")[0] == "E-DWI-DIRECTIONAL"


def test_a_sheet_whose_private_elements_an_archive_removed(written_by, recognised):
    dwi = [copied(each) for each in written_by(SKYRA, sheets=True).series("TRACEW")]
    for instance in dwi:
        del instance[0x0019100A], instance[0x00291010]
    code, reason = refusal(recognised(dwi), "DWI")
    assert code == "E-GRID-GEOM"
    assert "how many slices" in reason


def test_an_exponential_map_is_no_adc_map(series_of, recognised):
    adc = series_of(MULTIVA, "dADC")
    for instance in adc:
        instance.ImageType = ["ORIGINAL", "PRIMARY", "EADC_UNSPECIFIE", "EADC", "UNSPECIFIED"]
    assert refusal(recognised(adc), "ADC")[0] == "E-EADC-AS-ADC"


@pytest.fixture
def dynamic(series_of) -> list[Dataset]:
    """Five phases as series of their own, 50 ms … after one injection (UIH)."""
    return [each for each in series_of(UMR, "t1_quick3d") if "SUB" not in each.SeriesDescription]


def phases(instances: list[Dataset]) -> list[list[Dataset]]:
    uids = sorted({each.SeriesInstanceUID for each in instances}, key=lambda uid: _number(instances, uid))
    return [[each for each in instances if each.SeriesInstanceUID == uid] for uid in uids]


def _number(instances: list[Dataset], uid: str) -> int:
    return next(int(each.SeriesNumber) for each in instances if each.SeriesInstanceUID == uid)


def set_times(instances: list[Dataset], clock: list[str]) -> None:
    for phase, time in zip(phases(instances), clock, strict=True):
        for instance in phase:
            instance.AcquisitionTime = time


def test_no_time_of_injection(dynamic, recognised):
    for instance in dynamic:
        del instance.ContrastBolusStartTime
    code, reason = refusal(recognised(dynamic), "PVP")
    assert code == "E-DCE-T0"
    assert "5 phase(s)" in reason


def test_an_injection_after_the_last_phase_is_rejected(dynamic, recognised):
    for instance in dynamic:
        instance.ContrastBolusStartTime = "235900"
    code, reason = refusal(recognised(dynamic), "PVP")
    assert code == "E-DCE-T0"
    assert "Start Time" in reason


def test_no_phase_in_the_portal_venous_window(dynamic, recognised):
    kept = [instance for number, phase in enumerate(phases(dynamic)) for instance in phase if number != 3]
    code, reason = refusal(recognised(kept), "PVP")
    assert code == "E-DCE-NO-PVP"
    assert "nearest is at" in reason


def test_phases_without_distinct_times(dynamic, recognised):
    for instance in dynamic:
        instance.AcquisitionTime = instance.ContentTime = instance.SeriesTime = "120000"
        for keyword in ("TriggerTime", "AcquisitionDateTime"):
            if keyword in instance:
                delattr(instance, keyword)
    assert refusal(recognised(dynamic), "PVP")[0] == "E-DCE-TIME"


def test_times_and_temporal_positions_in_different_orders(dynamic, recognised):
    for position, phase in enumerate(reversed(phases(dynamic)), start=1):
        for instance in phase:
            instance.TemporalPositionIdentifier = position
    assert refusal(recognised(dynamic), "PVP")[0] == "E-DCE-ORDER"


def test_two_phases_equally_near_to_the_wanted_time_need_a_site_rule(dynamic, recognised):
    for instance in dynamic:
        instance.ContrastBolusStartTime = "120000"
        instance.AcquisitionDuration = 4000.0
        for keyword in ("AcquisitionDateTime", "TriggerTime"):
            if keyword in instance:
                delattr(instance, keyword)
    set_times(dynamic, ["115930", "120020", "120103", "120113", "120200"])
    assert refusal(recognised(dynamic), "PVP")[0] == "E-DCE-PVP-AMBIGUOUS"
    rule = SiteRule(name="the earlier of two", preferred_phase_s=70)
    plan = recognised(dynamic, RecognitionSettings(site_rules=(rule,)))
    assert plan.stack(Sequence.PVP).phase_time_s == pytest.approx(65)


def test_the_portal_venous_phase_lost_a_slice(dynamic, recognised):
    gone = phases(dynamic)[3][5]
    code, reason = refusal(recognised([each for each in dynamic if each is not gone]), "PVP")
    assert code == "E-SLICE-MISSING"
    assert "the phase at" in reason


def test_the_portal_venous_phase_lost_its_last_slice(dynamic, recognised):
    gone = phases(dynamic)[3][-1]
    assert refusal(recognised([each for each in dynamic if each is not gone]), "PVP")[0] == "E-SLICE-MISSING"


def test_one_volume_without_any_evidence_of_contrast(dynamic, recognised):
    single = phases(dynamic)[2]
    for instance in single:
        del instance.ContrastBolusStartTime
    assert refusal(recognised(single), "PVP")[0] == "E-CONTRAST-UNKNOWN"


def test_dixon_parts_without_the_water_image(dynamic, recognised):
    for instance in dynamic:
        instance.ImageType = ["DERIVED", "PRIMARY", "DIXON", "IN_PHASE"]
    assert refusal(recognised(dynamic), "PVP")[0] == "E-DIXON-NO-WATER"


def test_two_patients_in_one_study(t2, recognised):
    t2[2].PatientID = "SOMEBODY ELSE"
    plan = recognised(t2)
    assert refusal(plan, STUDY)[0] == "E-PATIENT-MIX"
    assert plan.stacks == ()


def test_roles_in_different_frames_of_reference_are_flagged(t2, series_of, recognised):
    for instance in t2:
        instance.FrameOfReferenceUID = generate_uid(entropy_srcs=["another table position"])
    plan = recognised([*t2, *series_of(SKYRA, "ADC")])
    assert {stack.role for stack in plan.stacks} >= {Sequence.T2WI, Sequence.ADC}
    assert any(warning.startswith("E-FOR") for warning in plan.warnings)


@pytest.mark.parametrize("value", [None, "", "no UID", "1.2\\3.4", "1." * 40 + "1"])
def test_series_without_a_frame_of_reference_are_used_each_in_a_space_of_its_own(t2, series_of, recognised, value):
    changed = [*t2, *series_of(SKYRA, "ADC")]
    for instance in changed:
        del instance.FrameOfReferenceUID
        if value is not None:
            instance._dict[FRAME_OF_REFERENCE] = RawDataElement(
                FRAME_OF_REFERENCE, "UI", len(value), value.encode(), 0, False, True, True
            )
    plan = recognised(changed)
    stacks = {role: plan.stack(role) for role in (Sequence.T2WI, Sequence.ADC)}
    assert {stack.frame_of_reference_uid for stack in stacks.values()} == {""}
    assert stacks[Sequence.T2WI].space != stacks[Sequence.ADC].space
    assert [warning for warning in plan.warnings if warning.startswith("E-FOR")] == [
        f"E-FOR: {role} states no Frame of Reference UID; it is laid over no other series" for role in stacks
    ]
    for verdict in plan.verdicts:
        assert verdict.confidence is not Confidence.HIGH
        assert "no Frame of Reference UID is stated" in verdict.doubts


def test_a_frame_of_reference_with_leading_zeros_is_one(t2, recognised):
    for instance in t2:
        instance.FrameOfReferenceUID = "1.02.003"
    assert recognised(t2).stack(Sequence.T2WI).frame_of_reference_uid == "1.02.003"


@pytest.mark.parametrize("spacing", [["1e-30", "1e-30"], ["0.001", "0.7"], ["90", "90"], ["1e30", "0.7"]])
def test_images_of_a_size_that_no_patient_has(t2, recognised, spacing):
    for instance in t2:
        instance.PixelSpacing = spacing
    assert refusal(recognised(t2), "T2WI")[0] == "E-EXTENT"


def test_slices_farther_apart_than_any_patient_is_long(t2, recognised):
    for number, instance in enumerate(t2):
        instance.ImagePositionPatient = [f"{place:.6f}" for place in number * 5000 * normal(instance)]
    assert refusal(recognised(t2), "T2WI")[0] == "E-EXTENT"


def test_parameters_that_cannot_be_are_none(t2, recognised):
    for instance in t2:
        instance.MagneticFieldStrength, instance.FlipAngle = "-3", "0"
    acquisition = recognised(t2).stack(Sequence.T2WI).acquisition
    assert (acquisition.field_strength_t, acquisition.flip_deg) == (None, None)


@pytest.mark.parametrize("vr", ["UI", "LO", "OB", "UN", "FD", "IS"])
def test_objects_are_known_by_the_uids_that_the_storage_reads(t2, recognised, vr):
    wanted = set()
    for number, instance in enumerate(t2):
        for keyword, value in (("SeriesInstanceUID", b"1.2.3.16"), ("SOPInstanceUID", b"1.2.3.%04d" % (number + 1))):
            tag = Tag(keyword)
            instance._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True, True)
        wanted.add(("1.2.3.16", f"1.2.3.{number + 1:04d}"))
    stack = recognised(t2).stack(Sequence.T2WI)
    assert {(stack.series_instance_uid, frame.sop_instance_uid) for frame in stack.frames} == wanted
