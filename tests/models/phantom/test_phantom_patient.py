"""Patients: how they are drawn, what the oracle knows, where the tumour is."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from models.phantom.cohort import oracle_auc, scanner_of
from models.phantom.errors import PhantomError
from models.phantom.grade import HIGH, LOW, biology_of, oracle_probability
from models.phantom.scanners import find_scanner
from models.phantom.specimen import draw_patient
from models.phantom.tissue import Tissue
from models.phantom.truth import tissue_labels, tumour_truth


@pytest.fixture(scope="module")
def patient():
    return draw_patient(11)


def test_the_oracle_is_good_and_not_perfect():
    assert 0.6 < oracle_auc(range(2000)) < 0.9


def test_adc_alone_does_not_carry_the_label():
    drawn = [biology_of(seed) for seed in range(2000)]
    adc = {grade: np.mean([b.adc_um2_s for b in drawn if b.grade == grade]) for grade in (LOW, HIGH)}
    t1 = {grade: np.mean([b.t1_3t_ms for b in drawn if b.grade == grade]) for grade in (LOW, HIGH)}
    assert abs(adc[HIGH] - adc[LOW]) < 30
    assert t1[LOW] == pytest.approx(1509, abs=20)
    assert t1[HIGH] == pytest.approx(1807, abs=30)


def test_the_oracle_is_calibrated():
    drawn = [biology_of(seed) for seed in range(4000)]
    probability = np.array([oracle_probability(b) for b in drawn])
    grade = np.array([b.grade for b in drawn])
    for low, high in ((0.1, 0.3), (0.3, 0.6), (0.6, 0.9)):
        inside = (probability >= low) & (probability < high)
        assert grade[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.06)


def test_tumours_differ_widely_in_size_site_and_shape():
    forms = [draw_patient(seed).anatomy.tumour.form for seed in range(40)]
    lengths = [form.length_mm for form in forms]
    assert min(lengths) < 25
    assert max(lengths) > 50
    assert {form.growth for form in forms} == {"polypoid", "ulcerating", "semicircumferential", "circumferential"}
    assert np.ptp([form.height_mm for form in forms]) > 50


def test_the_tumour_is_of_plausible_size_and_in_one_piece(patient):
    mask = tumour_truth(patient)
    volume = sitk.GetArrayViewFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000
    assert 0.5 < volume < 120
    pieces = sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(mask)))
    assert (pieces == 1).sum() > 0.98 * (pieces > 0).sum()
    array = sitk.GetArrayViewFromImage(mask)
    assert not any(
        face.any() for face in (array[0], array[-1], array[:, 0], array[:, -1], array[..., 0], array[..., -1])
    )


def test_the_pelvis_holds_every_organ_and_the_tumour_lies_within_the_body(patient):
    labels = tissue_labels(patient, 3.0)
    array = sitk.GetArrayFromImage(labels)
    found = {Tissue(value) for value in np.unique(array)}
    assert {
        Tissue.AIR,
        Tissue.FAT,
        Tissue.MESORECTAL_FAT,
        Tissue.MUSCLE,
        Tissue.MARROW,
        Tissue.CORTICAL_BONE,
        Tissue.URINE,
        Tissue.PERIPHERAL_ZONE,
        Tissue.TRANSITION_ZONE,
        Tissue.SEMINAL_VESICLE,
        Tissue.MUSCULARIS,
        Tissue.ARTERY,
        Tissue.NODE,
        Tissue.TUMOUR,
    } <= found
    body = sitk.BinaryFillhole(labels != int(Tissue.AIR))
    tumour = array == Tissue.TUMOUR
    assert sitk.GetArrayFromImage(body)[tumour].all()


def test_every_scanner_gets_patients():
    assert len({scanner_of(seed).name for seed in range(60)}) == 6


def test_an_unknown_scanner_is_named_with_the_known_ones():
    with pytest.raises(PhantomError, match=r"Magnetom.*Siemens Skyra"):
        find_scanner("Magnetom")
