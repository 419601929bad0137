"""Names of series in English and Chinese, in any character set."""

from __future__ import annotations

import pytest

from node.recognition.header.words import shipped, words

MEANINGS = tuple(shipped())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("t2_tse_tra_320_p2", {"t2", "axial"}),
        ("T2W_TSE_sag", {"t2", "sagittal"}),
        ("block_correction", set()),
        ("loc", {"localizer"}),
        ("ep2d_diff_b50_800", {"diffusion"}),
        ("eADC", {"exponential"}),
        ("dADC", {"adc"}),
        ("t1_quick3d_tra_fs 门静脉期", {"t1", "axial", "portal_venous"}),
        ("横断位t2wi", {"t2", "axial"}),
        ("DWI弥散_横轴", {"diffusion", "axial"}),
        ("T1增强 动脉期", {"t1", "dynamic", "arterial"}),
        ("delayed venous", {"delayed"}),
        ("定位像", {"localizer"}),
    ],
)
def test_a_name_tells_what_its_words_mean(text, told):
    assert set(words().told(text, MEANINGS)) == told


CHINESE = "直肠横断位"


@pytest.mark.parametrize(("declared", "encoding"), [("GB18030", "gb18030"), ("ISO_IR 192", "utf-8"), ("GBK", "gbk")])
def test_chinese_in_its_declared_character_set_is_read(series_of, recognised, declared, encoding):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.SpecificCharacterSet = declared
        instance.SeriesDescription = CHINESE
    assert recognised(t2).verdicts[0].description == CHINESE


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
@pytest.mark.parametrize("declared", ["ISO_IR 100", None])
def test_chinese_under_a_latin_or_no_character_set_is_read_too(series_of, recognised, declared, encoding):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.SpecificCharacterSet = declared
        # A wrong label: the bytes of one character set as the Latin letters of another.
        instance.SeriesDescription = CHINESE.encode(encoding).decode("latin-1")
        instance.SpecificCharacterSet = "ISO_IR 100"
    assert recognised(t2).verdicts[0].description == CHINESE


@pytest.mark.parametrize("text", ["Größe T2", "séquence axiale", "Überblick"])
def test_latin_letters_with_accents_stay_as_they_are(series_of, recognised, text):
    t2 = series_of("Skyra", "t2_tse_tra")
    for instance in t2:
        instance.SpecificCharacterSet = "ISO_IR 100"
        instance.SeriesDescription = text
    assert recognised(t2).verdicts[0].description == text
