"""The page for archives without structured reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.colors import to_rgb

from node.results.caption import Caption
from node.results.page import Page
from node.results.panels import BACKGROUND, OUTLINE, acquired_plane, centre_of, side


def near(pixels: np.ndarray, colour: str, within: int = 30) -> np.ndarray:
    return np.abs(pixels.astype(int) - np.round(np.array(to_rgb(colour)) * 255)).max(axis=-1) <= within


def test_the_page_is_an_rgb_secondary_capture(encoded):
    (page,) = encoded.datasets("summary")
    assert page.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert (page.PhotometricInterpretation, page.SamplesPerPixel, page.ConversionType) == ("RGB", 3, "WSD")
    assert page.pixel_array.shape == (1230, 1740, 3)


def test_the_tumour_is_outlined_in_each_of_the_three_columns_and_only_where_there_is_one(siemens, without_tumour):
    page, plain = (study.datasets("summary")[0].pixel_array for study in (siemens, without_tumour))
    body = slice(220, 880)
    for column in range(3):
        part = slice(column * 580, (column + 1) * 580)
        assert near(page[body, part], OUTLINE).sum() > 300
    assert near(plain[body], OUTLINE).sum() == 0


def test_a_page_without_any_sequence_is_still_drawn(siemens):
    page = Page(replace(siemens.results, sequences=(), prediction=None)).pixels(Caption(siemens.results.created_at))
    assert page.shape == (1230, 1740, 3)
    assert (~near(page, BACKGROUND)).mean() > 0.02


def test_the_picture_is_the_same_whether_or_not_the_drawing_became_a_pdf_before(siemens):
    now = Caption(siemens.results.created_at, "Doe", "ID 1")
    once = Page(siemens.results)
    printed = once.pdf(now)
    assert (once.pixels(now) == Page(siemens.results).pixels(now)).all()
    assert once.pdf(now) == printed
    assert (once.pixels(now) != once.pixels(replace(now, patient="Roe"))).any()


def test_the_slice_with_the_most_tumour_is_shown(siemens):
    result = siemens.results.sequences[0]
    x, y, z = centre_of(result.mask)
    plane = acquired_plane(result.acquired, result.mask, z)
    assert plane.mask.sum() == max(
        acquired_plane(result.acquired, result.mask, k).mask.sum() for k in range(result.mask.GetSize()[2])
    )
    assert plane.mask[y, x]


def test_sides_of_the_patient_follow_the_direction_cosines():
    assert side(np.array([1.0, 0.0, 0.0])) == "L"
    assert side(np.array([0.0, -1.0, 0.0])) == "A"
    assert side(np.array([0.0, 0.6, -0.8])) == "FP"
    assert side(np.array([-0.98, 0.15, 0.1])) == "R"
