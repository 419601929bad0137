"""The pixels of a chosen stack stand where the header puts them, in the values that the scanner means."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.sequence import Sequence as DatasetSequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from models.sequence import Sequence
from node.errors import Refusal
from node.recognition.plan import recognise
from node.recognition.record import FrameRef, Stack
from node.settings import RecognitionSettings
from node.volumes import assemble

SITE_RULES = Path(__file__).parents[2] / "docs" / "site-rules" / "prostatex.toml"


def stack_of(paths: list[Path], role: Sequence = Sequence.T2WI, frames: int = 1) -> Stack:
    """An axial stack with 1 mm pixels of the given files, as they come."""
    first = pydicom.dcmread(paths[0])
    return Stack(
        role=role,
        series_instance_uid=str(first.SeriesInstanceUID),
        frames=tuple(FrameRef(path, index, "1.2.3", "1.2.4") for path in paths for index in range(frames)),
        b_value=None,
        phase_time_s=None,
        origin=(-10.0, 20.0, 30.0),
        row_direction=(1.0, 0.0, 0.0),
        column_direction=(0.0, 1.0, 0.0),
        normal=(0.0, 0.0, 1.0),
        pixel_spacing=(2.0, 0.5),
        slice_step_mm=4.0,
        frame_of_reference_uid="1.2.5",
        rows=int(first.Rows),
        columns=int(first.Columns),
    )


@pytest.fixture
def saved(tmp_path):
    """Writes a data set and returns its path."""

    def save(dataset: Dataset, name: str = "image") -> Path:
        path = tmp_path / f"{name}.dcm"
        dataset.save_as(path)
        return path

    return save


@pytest.fixture
def instance(written_by) -> Dataset:
    return pydicom.dcmread(written_by("Skyra").paths[-20])


def test_every_voxel_lies_where_the_header_of_its_slice_puts_it(written):
    plan = recognise(str(written.instances[0].StudyInstanceUID), written.paths, RecognitionSettings())
    for stack in plan.stacks:
        image = assemble(stack)
        for index in (0, len(stack.frames) - 1):
            header = pydicom.dcmread(stack.frames[index].path)
            origin = np.array(header.ImagePositionPatient, dtype=float)
            row, column = np.reshape(np.array(header.ImageOrientationPatient, dtype=float), (2, 3))
            between_rows, between_columns = (float(value) for value in header.PixelSpacing)
            corner = origin + 7 * between_columns * row + 5 * between_rows * column
            assert image.TransformIndexToPhysicalPoint((7, 5, index)) == pytest.approx(corner, abs=1e-3)


def test_voxels_are_float_displayed_values_with_the_rescale_of_their_own_slice(written_by, saved):
    paths = list(written_by("Multiva").paths[-30:-20])
    datasets = [pydicom.dcmread(path) for path in paths]
    for number, dataset in enumerate(datasets):
        dataset.RescaleSlope = str(1 + number)
        dataset.RescaleIntercept = str(-number)
    changed = [saved(dataset, str(number)) for number, dataset in enumerate(datasets)]
    image = assemble(stack_of(changed))
    assert image.GetPixelID() == sitk.sitkFloat32
    for number, dataset in enumerate(datasets):
        wanted = dataset.pixel_array * (1.0 + number) - number
        np.testing.assert_allclose(sitk.GetArrayViewFromImage(image)[number], wanted, rtol=1e-6)


def test_spacing_origin_and_axis_order(instance, saved):
    image = assemble(stack_of([saved(instance)]))
    assert image.GetSpacing() == (0.5, 2.0, 4.0)
    assert image.GetOrigin() == (-10.0, 20.0, 30.0)
    assert image.GetPixel(9, 3, 0) == instance.pixel_array[3, 9]


def test_nine_transfer_syntaxes_of_one_image_give_one_volume(shared_data):
    folder = shared_data / "transfer_syntaxes" / "siemens_same_image_9_syntaxes"
    volumes = [assemble(stack_of([path])) for path in sorted(folder.glob("*.dcm"))]
    assert len(volumes) == 9
    for volume in volumes[1:]:
        np.testing.assert_array_equal(sitk.GetArrayViewFromImage(volume), sitk.GetArrayViewFromImage(volumes[0]))


def test_frames_of_an_enhanced_instance_in_the_order_of_the_stack(shared_data):
    folder = shared_data / "siemens_XA30_enhanced"
    files = sorted(folder.rglob("*.dcm"))
    uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    plan = recognise(uid, files, RecognitionSettings(body_parts=("BRAIN",), b_value_range=(2000, 3000)))
    stack = plan.stack(Sequence.DWI)
    assert stack is not None
    frames = pydicom.dcmread(stack.frames[0].path).pixel_array
    image = sitk.GetArrayFromImage(assemble(stack))
    assert image.shape == (39, 72, 72)
    for index in (0, 20, 38):
        np.testing.assert_array_equal(image[index], frames[stack.frames[index].frame])


def test_the_real_adc_maps_have_tissue_in_the_right_range(shared_data):
    rules = tomllib.loads(SITE_RULES.read_text("utf-8"))["recognition"]["site_rules"]
    settings = RecognitionSettings(body_parts=("PROSTATE", "BRAIN"), site_rules=rules)
    folders = ["siemens_TrioTim_ProstateX-0218/09_adc_of_8", "siemens_XA30_enhanced/11_DWI_dir80_PA_ADC"]
    for folder in [*folders, "ge_SignaHDxt_ADC_prostate_QIN-PROSTATE-01-0001"]:
        files = sorted((shared_data / folder).glob("*.dcm"))
        uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        image = sitk.GetArrayFromImage(assemble(recognise(uid, files, settings).stack(Sequence.ADC)))
        assert 500 < np.median(image[image > 100]) < 2500


def adc(instance: Dataset, values: np.ndarray, slope: str = "1") -> Dataset:
    values[-1, -1] += values[-1, -1] > 0  # a map of one value everywhere is none
    instance.PixelData = values.astype(np.uint16).tobytes()
    instance.RescaleSlope, instance.RescaleIntercept = slope, "0"
    return instance


def test_an_adc_map_in_square_millimetres_per_second_is_brought_to_micrometres(instance, saved):
    values = np.full((instance.Rows, instance.Columns), 1200)
    image = assemble(stack_of([saved(adc(instance, values, "1e-6"))], Sequence.ADC))
    assert image.GetPixel(0, 0, 0) == pytest.approx(1200, rel=1e-4)


def test_a_real_world_mapping_with_a_unit_is_believed(instance, saved):
    unit = Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mm2/s", "UCUM", "mm2/s"
    mapping = Dataset()
    mapping.MeasurementUnitsCodeSequence = DatasetSequence([unit])
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 2e-6, 0.0
    instance = adc(instance, np.full((instance.Rows, instance.Columns), 500))
    instance.RealWorldValueMappingSequence = DatasetSequence([mapping])
    image = assemble(stack_of([saved(instance)], Sequence.ADC))
    assert image.GetPixel(0, 0, 0) == pytest.approx(1000)


@pytest.mark.parametrize(("value", "slope"), [(3, "1"), (4000, "10")])
def test_an_adc_map_outside_physics_is_refused(instance, saved, value, slope):
    values = np.full((instance.Rows, instance.Columns), value)
    with pytest.raises(Refusal) as refusal:
        assemble(stack_of([saved(adc(instance, values, slope))], Sequence.ADC))
    assert refusal.value.code == "E-ADC-UNITS"


def test_an_empty_adc_map_is_refused(instance, saved):
    with pytest.raises(Refusal, match="E-ADC-UNITS"):
        assemble(stack_of([saved(adc(instance, np.zeros((instance.Rows, instance.Columns))))], Sequence.ADC))


def test_pixels_shorter_than_the_matrix_are_refused(instance, saved):
    instance.PixelData = instance.PixelData[:100]
    with pytest.raises(Refusal) as refusal:
        assemble(stack_of([saved(instance)]))
    assert refusal.value.code == "E-DECODE"


def test_compressed_pixels_that_are_garbage_are_refused(instance, saved, shared_data):
    path = next(
        path
        for path in sorted((shared_data / "transfer_syntaxes" / "siemens_same_image_9_syntaxes").glob("*.dcm"))
        if pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
    )
    dataset = pydicom.dcmread(path)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + bytes(500)])
    with pytest.raises(Refusal) as refusal:
        assemble(stack_of([saved(dataset)]))
    assert refusal.value.code == "E-DECODE"


def test_a_slice_of_another_size_is_refused(instance, saved):
    stack = stack_of([saved(instance)])
    with pytest.raises(Refusal) as refusal:
        assemble(replace(stack, rows=stack.rows + 1))
    assert refusal.value.code == "E-MIXED-MATRIX"


@pytest.mark.parametrize("slope", ["0", "-1"])
def test_an_impossible_rescale_slope_is_refused(instance, saved, slope):
    instance.RescaleSlope, instance.RescaleIntercept = slope, "0"
    with pytest.raises(Refusal) as refusal:
        assemble(stack_of([saved(instance)]))
    assert refusal.value.code == "E-RESCALE"


def test_a_file_that_is_gone_is_no_damage_of_the_object(instance, saved, tmp_path):
    stack = stack_of([saved(instance)])
    gone = replace(stack, frames=(replace(stack.frames[0], path=tmp_path / "gone.dcm"),))
    with pytest.raises(FileNotFoundError, match=r"gone\.dcm"):
        assemble(gone)


def test_a_deflated_image_that_inflates_beyond_the_limit_is_refused(instance, saved, monkeypatch):
    instance.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stack = stack_of([saved(instance)])
    assert assemble(stack).GetSize() == (instance.Columns, instance.Rows, 1)
    monkeypatch.setattr("storage.dicom_files.LARGEST_INFLATED", 1000)
    with pytest.raises(Refusal, match=r"E-DECODE: .* inflates beyond"):
        assemble(stack)


def test_a_volume_of_more_voxels_than_any_scanner_makes_is_refused_before_it_is_decoded(instance, saved):
    stack = replace(stack_of([saved(instance)]), rows=65535, columns=65535)
    with pytest.raises(Refusal, match=r"E-DECODE: .* is not decoded"):
        assemble(stack)
