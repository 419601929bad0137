"""Pictures of the slices with tumour: the window of the volume with the contour in it, and what it is below."""

from __future__ import annotations

import numpy as np
import pydicom
import SimpleITK as sitk

from node.results.contour_images import STRIP, WIDTH
from node.results.segmentation import DISPLAY_COLOR
from node.results.window import grey_range

from .conftest import OF_SEQUENCES
from .test_encoded_objects import errors_of, needs_dciodvfy


def test_there_is_one_of_each_slice_with_tumour_and_it_refers_to_that_slice(additional):
    result = additional.results.sequences[0]
    with_tumour = np.flatnonzero(sitk.GetArrayViewFromImage(result.mask).any(axis=(1, 2)))
    pictures = additional.datasets("contour-images-t2wi")
    sources = [it.SourceImageSequence[0].ReferencedSOPInstanceUID for it in pictures]
    assert sources == [result.stack.frames[index].sop_instance_uid for index in with_tumour]


def test_pixels_are_the_window_of_the_volume_with_the_contour_on_the_rim_of_the_mask(additional):
    result = additional.results.sequences[0]
    volume, mask = (sitk.GetArrayViewFromImage(image) for image in (result.acquired, result.mask))
    low, high = grey_range(volume)
    factor = -(-WIDTH // volume.shape[2])
    for picture in additional.datasets("contour-images-t2wi"):
        index = picture.InstanceNumber - 1
        pixels = picture.pixel_array[:-STRIP]
        grey = np.round(np.clip((volume[index] - low) / (high - low), 0, 1) * 255).repeat(factor, 0).repeat(factor, 1)
        inside = mask[index].repeat(factor, 0).repeat(factor, 1) > 0
        contour = (pixels == DISPLAY_COLOR).all(axis=2)
        assert not contour[~inside].any()
        np.testing.assert_array_equal(pixels[~contour], grey[~contour][:, None].repeat(3, 1))
        padded = np.pad(inside, 1)
        shifted = [
            padded[1 + dy : padded.shape[0] - 1 + dy, 1 + dx : padded.shape[1] - 1 + dx]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
        ]
        np.testing.assert_array_equal(contour, inside & ~np.logical_and.reduce(shifted))
        assert picture.pixel_array[-STRIP:].max() == 255


def test_what_is_burnt_in_is_what_the_source_says_of_itself(additional, make_encoded):
    assert all("BurnedInAnnotation" not in it for it in additional.datasets("contour-images-t2wi"))

    def burnt(ds: pydicom.Dataset, _sequence: str) -> None:
        ds.BurnedInAnnotation = "YES"

    made = make_encoded("siemens", ("T2WI",), edit=burnt, kinds=OF_SEQUENCES)
    assert {it.BurnedInAnnotation for it in made.datasets("contour-images-t2wi")} == {"YES"}


@needs_dciodvfy
def test_dciodvfy_finds_no_error(additional):
    pictures = [it for it in additional.objects if it.role == "contour-images-dwi"]
    assert pictures
    assert errors_of(pictures[0].path) == []
