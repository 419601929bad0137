"""Every feature can be told in words, under the IBSI name and code that DICOM knows."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.radiomics.words import REPORTED, in_words

SETTINGS = load_settings().model_copy(update={"image_types": {"Original": {}, "LoG": {"sigma": [3.0]}, "Wavelet": {}}})
NAMES = sorted(expected_names(SETTINGS))


def test_every_feature_that_can_be_computed_has_words_that_fit_a_line():
    found = [in_words(f"T2WI|super|{name}") for name in NAMES]
    assert len(found) > 900
    assert [it.name for it in found if it.words == it.name] == []
    assert max(len(f"{it.words}, {it.filter}") for it in found) <= 50


def test_ibsi_codes_are_those_of_dicom_and_speak_of_the_unfiltered_image():
    concepts = [getattr(codes.IBSI, name) for name in dir(codes.IBSI)]
    known = {concept.value: concept.meaning for concept in concepts if isinstance(concept, Code)}
    coded = [it for it in (in_words(f"DWI|normal|{name}") for name in NAMES) if it.code]
    assert len(coded) > 80
    assert {it.code: it.ibsi for it in coded if known.get(it.code) != it.ibsi} == {}
    assert all(it.name.startswith("original_") for it in coded)


def test_reported_features_have_their_code_and_unit():
    found = {name.rpartition("_")[2]: in_words(f"PVP|super|{name}") for name in REPORTED}
    assert {name: (it.code, it.unit, it.unit_meaning) for name, it in found.items()} == {
        "MeshVolume": ("RNU0", "mm3", "cubic millimeter"),
        "VoxelVolume": ("YEKZ", "mm3", "cubic millimeter"),
        "SurfaceArea": ("C0JK", "mm2", "square millimeter"),
        "Sphericity": ("QCFX", "1", "no units"),
        "Elongation": ("Q3CK", "1", "no units"),
        "Flatness": ("N17B", "1", "no units"),
        "Maximum3DDiameter": ("L0JK", "mm", "millimeter"),
        "MajorAxisLength": ("TDIC", "mm", "millimeter"),
        "JointEntropy": ("TU9B", "1", "no units"),
        "Contrast": ("ACUI", "1", "no units"),
        "Correlation": ("NI2N", "1", "no units"),
        "Idm": ("WF0Z", "1", "no units"),
        "Coarseness": ("QCDE", "1", "no units"),
    }


@pytest.mark.parametrize(
    ("name", "words", "through"),
    [
        ("T2WI|super|original_shape_Maximum3DDiameter", "largest diameter", ""),
        ("T2WI|super|log-sigma-3-0-mm-3D_glcm_Contrast", "contrast between neighbours", "3 mm filter"),
        ("T2WI|super|log-sigma-1-5-mm-3D_glcm_Contrast", "contrast between neighbours", "1.5 mm filter"),
        ("T2WI|super|wavelet-LLH_glcm_Contrast", "contrast between neighbours", "wavelet LLH"),
        ("T2WI|super|original_own_Feature", "original_own_Feature", ""),
    ],
)
def test_a_filter_is_named_beside_the_feature(name, words, through):
    found = in_words(name)
    assert (found.sequence, found.resolution, found.words, found.filter) == ("T2WI", "super", words, through)
