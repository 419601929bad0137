"""Patients: how they are drawn, what the oracle knows, where the tumour is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from sklearn.metrics import roc_auc_score

from models.research.phantom.anatomy import draw_anatomy
from models.research.phantom.cohort import oracle_auc, scanner_of
from models.research.phantom.errors import PhantomError
from models.research.phantom.grade import HIGH, LOW, NAMES, biology_of, has_tumour, oracle_probability
from models.research.phantom.scanners import find_scanner
from models.research.phantom.sex import Sex, sex_of
from models.research.phantom.specimen import draw_patient
from models.research.phantom.tissue import Tissue
from models.research.phantom.truth import tissue_labels, tumour_truth
from models.research.phantom.tumour import Growth


@pytest.fixture(scope="module")
def patient():
    """A man with a tumour."""
    return draw_patient(11)


def test_the_oracle_is_good_and_not_perfect():
    assert 0.98 < oracle_auc(range(4000)) < 0.995


#: Several tests look at the first patients.
drawn_once = cache(biology_of)


def biologies(count):
    return [biology for seed in range(count) if (biology := drawn_once(seed)) is not None]


def test_the_published_differences_between_the_grades_are_drawn():
    drawn = biologies(6000)
    for name, difference, tolerance in (("t1_3t_ms", 298, 25), ("ktrans_per_min", 0.12, 0.01), ("ve", 0.17, 0.02)):
        low, high = ([getattr(b, name) for b in drawn if b.grade == grade] for grade in (LOW, HIGH))
        assert np.mean(high) - np.mean(low) == pytest.approx(difference, abs=tolerance)


def test_no_single_parameter_carries_the_label():
    drawn = [b for b in biologies(4000) if b.grade is not None]
    for name in NAMES:
        area = roc_auc_score([b.grade for b in drawn], [getattr(b, name) for b in drawn])
        assert 0.35 < area < 0.93


def test_a_mucinous_tumour_has_a_longer_t2_and_a_higher_adc_and_no_grade():
    drawn = biologies(4000)
    mucinous, others = ([b for b in drawn if b.mucinous is kind] for kind in (True, False))
    assert len(mucinous) / len(drawn) == pytest.approx(0.1, abs=0.02)
    assert np.mean([b.t2_ms for b in mucinous]) == pytest.approx(87.9, abs=1)
    assert np.mean([b.adc_um2_s for b in mucinous]) == pytest.approx(1380, abs=50)
    assert np.mean([b.t2_ms for b in others]) == pytest.approx(66.6, abs=1)
    assert {b.grade for b in mucinous} == {None}
    assert None not in {b.grade for b in others}


def test_the_oracle_is_calibrated():
    drawn = [b for b in biologies(12_000) if b.grade is not None]
    probability = np.array([oracle_probability(b) for b in drawn])
    grade = np.array([b.grade for b in drawn])
    for low, high in ((0.1, 0.3), (0.3, 0.6), (0.6, 0.9)):
        inside = (probability >= low) & (probability < high)
        assert grade[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.06)


@pytest.mark.parametrize("seed", [11, 12, 14])
def test_a_tumour_has_the_means_and_heterogeneities_that_were_drawn_for_it(seed):
    patient = draw_patient(seed)
    mask = tumour_truth(patient)
    index = np.argwhere(sitk.GetArrayViewFromImage(mask))[:, ::-1]
    place = index * mask.GetSpacing() + mask.GetOrigin() - np.asarray(patient.anatomy.deformation.offset)
    for field in (patient.cells, patient.water, patient.vessels):
        values = field.values(*place.T.astype(np.float32))
        assert values.mean() == pytest.approx(0, abs=0.05)
        assert values.std() == pytest.approx(1, abs=0.05)


def test_tumours_differ_widely_in_size_site_and_shape():
    tumours = [tumour for seed in range(60) if (tumour := draw_anatomy(seed).tumour) is not None]
    assert {tumour.form.growth for tumour in tumours} == set(Growth)
    heights = [tumour.form.height_mm for tumour in tumours]
    assert min(heights) < 50
    assert max(heights) > 100
    volumes = [tumour.volume_ml() for tumour in tumours]
    assert min(volumes) < 3
    assert max(volumes) > 60
    assert np.median(volumes) == pytest.approx(15, rel=0.4)


def test_an_eighth_of_the_patients_has_no_tumour_and_then_an_empty_truth():
    free = [seed for seed in range(2000) if not has_tumour(seed)]
    assert len(free) / 2000 == pytest.approx(0.12, abs=0.02)
    healthy = draw_patient(free[0])
    assert healthy.biology is None
    assert healthy.anatomy.tumour is None
    assert not sitk.GetArrayFromImage(tumour_truth(healthy)).any()


def test_two_in_five_patients_are_women_with_their_organs_in_place_of_a_mans():
    women = [seed for seed in range(2000) if sex_of(seed) is Sex.FEMALE]
    assert len(women) / 2000 == pytest.approx(0.395, abs=0.03)
    found = set(np.unique(sitk.GetArrayFromImage(tissue_labels(draw_patient(women[0]), 3.0))))
    assert {Tissue.MYOMETRIUM, Tissue.CERVIX, Tissue.VAGINA, Tissue.OVARY, Tissue.URINE} <= found
    assert not {Tissue.PERIPHERAL_ZONE, Tissue.SEMINAL_VESICLE, Tissue.CORPUS_SPONGIOSUM} & found


def test_the_tumour_is_of_plausible_size_and_in_one_piece(patient):
    mask = tumour_truth(patient)
    volume = sitk.GetArrayViewFromImage(mask).sum() * np.prod(mask.GetSpacing()) / 1000
    assert 0.3 < volume < 200
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
