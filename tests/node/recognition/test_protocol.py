"""A study's parameters beside those that the models have seen in training."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.uid import EnhancedMRImageStorage

from models.research.phantom.scanners import load_scanners
from models.sequence import Sequence
from node.planning import plan_from
from node.recognition.header.facts import AcquiredMatrix, Placement
from node.recognition.header.frames import read_frames
from node.recognition.header.words import words
from node.recognition.plan import read_study
from node.recognition.protocol import is_outside
from node.settings import RecognitionSettings

SETTINGS = RecognitionSettings()


@pytest.fixture
def planned(tmp_path):
    """Plans instances with the training ranges of one model on T2WI: of echo times, and others by name."""

    def run(instances, te_ms=(70.0, 88.0), settings=SETTINGS, **ranges):
        for number, instance in enumerate(instances):
            instance.save_as(tmp_path / f"{number:04d}.dcm")
        facts = read_study(str(instances[0].StudyInstanceUID), tmp_path.glob("*.dcm"), settings)
        return plan_from(facts, settings, ({Sequence.T2WI: {"te_ms": te_ms, **ranges}},))

    return run


def test_inside_the_range_nothing_is_said(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"))
    assert plan.stack(Sequence.T2WI) is not None
    assert plan.warnings == ()


def test_outside_the_range_there_is_a_warning_with_both_numbers(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"), te_ms=(80.0, 88.0))
    assert plan.stack(Sequence.T2WI) is not None
    assert plan.warnings == ("T2WI: echo time 75 ms, trained on 80 to 88 ms",)
    assert all(map(is_outside, plan.warnings))


def test_far_outside_the_range_the_series_is_refused_with_its_reason(series_of, planned):
    plan = planned(series_of("Skyra", "t2_tse_tra"), te_ms=(160.0, 200.0))
    assert plan.stack(Sequence.T2WI) is None
    assert plan.refusal(Sequence.T2WI).code == "E-PROTOCOL"
    assert "echo time 75 ms, trained on 160 to 200 ms" in plan.refusal(Sequence.T2WI).reason
    assert "E-PROTOCOL" in plan.verdicts[0].reason


def test_another_series_takes_the_place_of_one_that_lies_far_outside(series_of, planned):
    t2 = series_of("Skyra", "t2_tse_tra")
    second = series_of("Skyra", "t2_tse_tra")
    for instance in second:
        instance.SeriesInstanceUID += ".2"
        instance.SOPInstanceUID += ".2"
        instance.SeriesNumber = "77"
        instance.EchoTime = "180"
    plan = planned([*t2, *second], te_ms=(160.0, 200.0))
    assert plan.stack(Sequence.T2WI).series_instance_uid == second[0].SeriesInstanceUID


def test_the_factor_is_the_site_s(series_of, planned):
    settings = RecognitionSettings(protocol_factor=3.0)
    assert planned(series_of("Skyra", "t2_tse_tra"), (160.0, 200.0), settings).stack(Sequence.T2WI) is not None


SPACING = (0.67, 0.97)


def interpolated(instances, rows, columns, spacing_mm, **header):
    """Headers of images of `rows` x `columns` pixels; their pixels are not looked at."""
    for instance in instances:
        instance.Rows, instance.Columns = rows, columns
        instance.PixelSpacing = [f"{spacing_mm}"] * 2
        instance.PercentPhaseFieldOfView = "100"
        for keyword in ("AcquisitionMatrix", "InPlanePhaseEncodingDirection"):
            del instance[keyword]
        for keyword, value in header.items():
            setattr(instance, keyword, value)
    return instances


def test_an_interpolated_image_is_judged_by_what_was_acquired(series_of, planned):
    fine = interpolated(
        series_of("Skyra", "t2_tse_tra"), 512, 512, 0.27,
        AcquisitionMatrix=[0, 304, 234, 0], InPlanePhaseEncodingDirection="ROW",
    )  # fmt: skip
    plan = planned(fine, pixel_spacing_mm=SPACING)
    assert plan.stack(Sequence.T2WI).acquisition.pixel_spacing_mm == pytest.approx(512 * 0.27 / 304)
    assert plan.warnings == ("T2WI: acquired pixel spacing 0.4547 mm, trained on 0.67 to 0.97 mm",)


@pytest.mark.parametrize(
    ("direction", "matrix", "share", "acquired_mm"),
    [
        # Half as many columns as rows; the phase runs along a row: 128 mm over 200 lines, 256 mm over 320.
        ("ROW", [0, 320, 200, 0], "50", 0.64),
        # It runs along a column: 256 mm over 200 lines, 128 mm over 320.
        ("COL", [320, 0, 0, 200], "100", 0.4),
        ("", [0, 320, 200, 0], "50", 0.64),
        # 300 lines over twice what is left of the field of view.
        ("ROW", [0, 256, 300, 0], "100", 256 / 300),
        # Acquired finer than the image shows.
        ("ROW", [0, 2560, 2000, 0], "50", 0.25),
    ],
)
def test_the_finer_acquired_spacing_follows_from_field_of_view_and_matrix(
    series_of, planned, direction, matrix, share, acquired_mm
):
    t2 = interpolated(
        series_of("Skyra", "t2_tse_tra"), 1024, 512, 0.25,
        AcquisitionMatrix=matrix, InPlanePhaseEncodingDirection=direction, PercentPhaseFieldOfView=share,
    )  # fmt: skip
    assert planned(t2).stack(Sequence.T2WI).acquisition.pixel_spacing_mm == pytest.approx(acquired_mm)


def test_fine_pixels_are_no_reason_where_nothing_says_what_was_acquired(series_of, planned):
    plan = planned(interpolated(series_of("Skyra", "t2_tse_tra"), 512, 512, 0.27), pixel_spacing_mm=SPACING)
    assert plan.stack(Sequence.T2WI).acquisition.pixel_spacing_mm is None
    assert plan.warnings == ()


def test_coarse_pixels_are_a_reason_whatever_was_acquired(series_of, planned):
    plan = planned(interpolated(series_of("Skyra", "t2_tse_tra"), 96, 96, 2.5), pixel_spacing_mm=SPACING)
    assert plan.refusal(Sequence.T2WI).code == "E-PROTOCOL"
    assert "acquired pixel spacing 2.5 mm, trained on 0.67 to 0.97 mm" in plan.refusal(Sequence.T2WI).reason


def test_a_resolution_far_finer_than_the_training_is_refused(series_of, planned):
    fine = interpolated(series_of("Skyra", "t2_tse_tra"), 512, 512, 0.27, AcquisitionMatrix=[0, 500, 400, 0])
    assert planned(fine, pixel_spacing_mm=SPACING).refusal(Sequence.T2WI).code == "E-PROTOCOL"


@pytest.mark.parametrize("spacing", ["0.335", "0.33499999", "0.33500001"])
def test_rounding_does_not_decide_at_a_limit(series_of, planned, spacing):
    t2 = interpolated(series_of("Skyra", "t2_tse_tra"), 512, 512, spacing, AcquisitionMatrix=[0, 512, 512, 0])
    assert planned(t2, pixel_spacing_mm=SPACING).stack(Sequence.T2WI) is not None


def test_real_prostate_images_interpolated_from_304_x_234_are_not_refused(shared_data, planned):
    folder = shared_data / "philips_Achieva_T2_prostate" / "MIP-0001"
    real = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    plan = planned(real, settings=RecognitionSettings(body_parts=("PROSTATE",)), pixel_spacing_mm=SPACING)
    assert plan.stack(Sequence.T2WI).acquisition.pixel_spacing_mm == pytest.approx(140 / 304, abs=1e-3)


@pytest.mark.parametrize("folder", ["DTI_headers_explicit", "T1W_TSE_R11_plus_RawData"])
def test_enhanced_images_say_what_was_acquired_in_their_functional_groups(shared_data, folder):
    (path,) = [path for path in (shared_data / "philips_enhanced" / folder).rglob("*") if _enhanced(path)]
    frames = read_frames(path, words())
    steps, field_of_view_mm = {"DTI_headers_explicit": (128, 350), "T1W_TSE_R11_plus_RawData": (256, 256)}[folder]
    assert {frame.placement.acquired.read_out for frame in frames} == {steps}
    assert frames[0].placement.acquired_spacing_mm == pytest.approx(field_of_view_mm / steps, rel=1e-3)


def _enhanced(path) -> bool:
    return path.is_file() and str(dcmread(path).SOPClassUID) == EnhancedMRImageStorage


@pytest.mark.parametrize("scanner", load_scanners(), ids=lambda scanner: scanner.model)
def test_what_the_phantom_calls_pixel_spacing_is_the_finer_acquired_one(scanner):
    for protocol in (scanner.t2wi, scanner.dwi, scanner.dce):
        image = Placement(
            rows=protocol.reconstructed,
            columns=protocol.reconstructed,
            spacing=(protocol.pixel_spacing_mm, protocol.pixel_spacing_mm),
            position=(0, 0, 0),
            row_direction=(1, 0, 0),
            column_direction=(0, 1, 0),
            thickness_mm=protocol.slice_thickness_mm,
            frame_of_reference_uid="1.2.3",
            acquired=AcquiredMatrix(*protocol.matrix),
        )
        assert image.acquired_spacing_mm == pytest.approx(protocol.pixel_spacing_mm)
