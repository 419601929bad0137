"""The truth beside a study: mask, volume, label and centroid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from models.research.phantom.scanners import find_scanner
from models.research.phantom.sex import Sex
from models.research.phantom.study import SimulatedStudy, Truth
from node.simulator import read_truth, write_study, write_truth


@pytest.fixture
def study(make_study) -> SimulatedStudy:
    """A study whose tumour is a block of 4 x 6 x 2 voxels of 0.6 mm around (3, 5.2, -10) mm."""
    values = np.zeros((8, 16, 16), dtype=np.uint8)
    values[2:4, 5:11, 6:10] = 1
    mask = sitk.GetImageFromArray(values)
    mask.SetSpacing((0.6, 0.6, 0.6))
    mask.SetOrigin((3 - 7.5 * 0.6, 5.2 - 7.5 * 0.6, -10 - 2.5 * 0.6))
    truth = Truth(tumour_mask=mask, label=1, oracle=None, form=None, tumour_volume_ml=48 * 0.216 / 1000)
    return replace(make_study(find_scanner("Skyra"), 7), truth=truth)


def test_the_record_names_the_study_that_the_scanner_writes(study, tmp_path):
    record = write_truth(study, tmp_path / "truth")
    instance = dcmread(write_study(study, tmp_path / "study")[0])
    assert record.study_instance_uid == instance.StudyInstanceUID
    assert record.patient_id == instance.PatientID


def test_the_record_comes_back_as_it_was_written(study, tmp_path):
    assert write_truth(study, tmp_path) == read_truth(tmp_path)


def test_centroid_volume_and_label_are_those_of_the_phantom(study, tmp_path):
    record = write_truth(study, tmp_path)
    assert record.tumour_centroid_lps_mm == pytest.approx((3, 5.2, -10))
    assert record.tumour_volume_ml == pytest.approx(48 * 0.6**3 / 1000)
    assert record.label == 1


def test_the_mask_comes_back_on_its_grid(study, tmp_path):
    write_truth(study, tmp_path)
    mask = sitk.ReadImage(tmp_path / "tumour_mask.nrrd")
    assert np.array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(study.truth.tumour_mask))
    assert mask.GetOrigin() == pytest.approx(study.truth.tumour_mask.GetOrigin(), abs=1e-4)


def test_the_sex_in_the_headers_is_that_of_the_study(study, tmp_path):
    for sex in Sex:
        written = write_study(replace(study, sex=sex), tmp_path / sex)
        assert {dcmread(path, stop_before_pixels=True).PatientSex for path in written} == {sex.value}


def test_a_patient_without_a_tumour_has_no_label_no_centroid_and_no_volume(study, tmp_path):
    truth = replace(study.truth, tumour_mask=study.truth.tumour_mask * 0, label=None, tumour_volume_ml=0.0)
    record = write_truth(replace(study, truth=truth), tmp_path)
    assert (record.label, record.tumour_centroid_lps_mm, record.tumour_volume_ml) == (None, None, 0)
    assert read_truth(tmp_path) == record
