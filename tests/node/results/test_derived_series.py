"""The super-resolved series as a classic MR series in the patient space of its source."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from node.results.derived_mr import decimal, store_values
from node.results.identity import clipped


def read_volume(encoded, role: str) -> sitk.Image:
    """The series read by GDCM inside SimpleITK, which sorts by position itself."""
    folder = {entry.path.parent for entry in encoded.objects if entry.role == role}.pop()
    uid = next(entry.series_instance_uid for entry in encoded.objects if entry.role == role)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
    return sitk.ReadImage(names)


@pytest.mark.parametrize("sequence", ["T2WI", "DWI", "PVP"])
def test_an_independent_reader_gets_back_the_same_lattice_and_values(siemens, sequence):
    result = next(it for it in siemens.results.sequences if it.sequence == sequence)
    volume = read_volume(siemens, f"super-resolved-{sequence.lower()}")
    assert volume.GetSize() == result.super_resolved.GetSize()
    np.testing.assert_allclose(volume.GetSpacing(), result.super_resolved.GetSpacing(), atol=1e-6)
    for index in ((0, 0, 0), tuple(size - 1 for size in volume.GetSize())):
        np.testing.assert_allclose(
            volume.TransformIndexToPhysicalPoint(index),
            result.super_resolved.TransformIndexToPhysicalPoint(index),
            atol=1e-3,
        )
    difference = sitk.GetArrayFromImage(volume) - sitk.GetArrayFromImage(result.super_resolved)
    assert np.abs(difference).max() <= 0.5


def test_values_are_in_the_scale_after_the_sources_rescale(encoded):
    # Philips writes a tenth of the value and a RescaleSlope of 10.218: the result must not need one.
    images = encoded.datasets("super-resolved-t2wi")
    brightest = max(float(np.percentile(image.pixel_array, 99)) for image in images)
    assert 650 < brightest < 850
    assert all("RescaleSlope" not in image for image in images)


def test_the_extent_of_the_field_of_view_is_kept(siemens):
    result = siemens.results.sequences[0]
    images = siemens.datasets("super-resolved-t2wi")
    extent = len(images) * float(images[0].SpacingBetweenSlices)
    assert extent == pytest.approx(result.acquired.GetSize()[2] * result.acquired.GetSpacing()[2])
    assert float(images[0].SliceThickness) == pytest.approx(3.6 / 4)


def test_instances_are_numbered_along_the_normal_whatever_the_source_did(siemens):
    images = siemens.datasets("super-resolved-t2wi")
    assert [image.InstanceNumber for image in images] == list(range(1, len(images) + 1))
    locations = [float(image.SliceLocation) for image in images]
    np.testing.assert_allclose(np.diff(locations), 0.9, atol=1e-4)
    normal = np.cross(images[0].ImageOrientationPatient[:3], images[0].ImageOrientationPatient[3:])
    steps = np.diff([np.dot(normal, image.ImagePositionPatient) for image in images])
    np.testing.assert_allclose(steps, 0.9, atol=1e-4)


def test_it_shares_the_frame_of_reference_and_the_order_of_its_source(encoded):
    source = pydicom.dcmread(encoded.results.plan.stacks[0].frames[0].path)
    for image in encoded.datasets("super-resolved-t2wi")[:2]:
        assert image.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert image.RequestAttributesSequence[0].RequestedProcedureID == "RP1"
        assert (image.BodyPartExamined, image.PatientPosition) == ("RECTUM", "HFS")
        assert (image.RepetitionTime, image.EchoTime, image.MRAcquisitionType) == (4000, 101, "2D")
        assert (image.AcquisitionDate, image.AcquisitionTime) == ("20240315", "101530")


def test_it_refers_to_every_image_of_the_source_stack(encoded):
    stack = encoded.results.plan.stacks[0]
    wanted = {frame.sop_instance_uid for frame in stack.frames}
    image = encoded.datasets("super-resolved-t2wi")[0]
    assert {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence} == wanted
    assert {item.SpatialLocationsPreserved for item in image.SourceImageSequence} == {"NO"}
    (series,) = image.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == stack.series_instance_uid
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence} == wanted


def test_it_says_that_it_is_derived_and_how(siemens):
    image = siemens.datasets("super-resolved-t2wi")[0]
    assert list(image.ImageType) == ["DERIVED", "SECONDARY", "OTHER", "RESAMPLED"]
    assert "sr-gan 0.3.0" in image.DerivationDescription
    assert "Not for diagnosis" in image.DerivationDescription
    assert [item.CodeValue for item in image.DerivationCodeSequence] == ["113085", "AI-SR"]
    assert image.SeriesDescription == "AI-SR x4 T2WI (research) T2WI tra"


def test_the_window_covers_the_tissue(siemens):
    image = siemens.datasets("super-resolved-t2wi")[0]
    low = float(image.WindowCenter) - float(image.WindowWidth) / 2
    high = float(image.WindowCenter) + float(image.WindowWidth) / 2
    assert low < 300 < 700 < high


def test_values_with_too_few_levels_are_scaled_and_carry_the_way_back():
    volume = np.linspace(-1, 37.5, 1000).reshape(10, 10, 10)
    stored = store_values(volume)
    assert stored.array.max() == 4095
    np.testing.assert_allclose(stored.array * stored.slope, volume, atol=stored.slope / 2)


def test_values_that_do_not_fit_are_scaled():
    volume = np.array([[[0.0, 90_000.0]]])
    stored = store_values(volume)
    np.testing.assert_allclose(stored.array * stored.slope, volume, rtol=1e-3)


def test_ordinary_values_are_only_rounded_and_negative_ones_survive():
    stored = store_values(np.array([[[-3.4, 0.6, 900.5001]]]))
    assert stored.slope == 1.0
    assert stored.array.tolist() == [[[-3, 1, 901]]]


def test_scaled_values_are_written_with_a_real_world_mapping(make_encoded):
    from dataclasses import replace

    def dim(results):
        first = results.sequences[0]
        return replace(results, sequences=(replace(first, super_resolved=first.super_resolved / 100.0),))

    image = make_encoded("siemens", ("T2WI",), change=dim).datasets("super-resolved-t2wi")[3]
    (mapping,) = image.RealWorldValueMappingSequence
    real = image.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    assert 2.5 < np.median(real) < 3.5
    assert mapping.RealWorldValueFirstValueMapped <= image.pixel_array.min()
    assert mapping.RealWorldValueLastValueMapped >= image.pixel_array.max()


@pytest.mark.parametrize("value", [-1.23456789012345678e-7, 123456.789012345, -0.0, 1 / 3, -98.7654321987654])
def test_decimal_strings_hold_16_characters_and_come_back(value):
    text = decimal(value)
    assert len(text) <= 16
    assert text != "-0.0"
    assert float(text) == pytest.approx(value, abs=1e-9)


def test_text_is_clipped_between_characters_and_kept_on_one_line():
    assert clipped("直肠" * 40, 64) == "直肠" * 10 + "…"
    assert clipped("a\\b\nc\x1b", 64) == "a b c"
