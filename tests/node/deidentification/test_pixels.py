"""What may show a name stays, and native pixel data hold nothing but pixels."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, SecondaryCaptureImageStorage

from node.deidentification.kinds import NotExportedError

from .test_dataset import image


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "burnt into its pixels"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "Secondary Capture Image Storage"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "Encapsulated PDF Storage"),
        ({"SOPClassUID": "1.2.3.4"}, "of a class that is not known here"),
        *(
            ({"ImageType": ["ORIGINAL", "PRIMARY", kind]}, "a picture of a screen or a page")
            for kind in ("SCREEN SAVE", "SCREENSAVE", "CSA REPORT", "DOSE_INFO", "REPORT", "PROTOCOL", "SNAPSHOT")
        ),
        ({"ConversionType": "WSD"}, "a picture that was made into an image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a colour image that does not say"),
        ({"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage}, "a presentation state of another system"),
        (
            {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BurnedInAnnotation": "NO", "ICCProfile": b"dr"},
            "a colour profile of another system",
        ),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "a colour image that does not say"),
    ],
)
def test_what_may_show_a_name_stays_here(through, values, reason) -> None:
    with pytest.raises(NotExportedError, match=reason):
        through(image(**values))


def test_an_overlay_in_the_bits_of_the_pixels_keeps_the_image_here(through) -> None:
    ds = image()
    ds.add(DataElement(0x60000102, "US", 12))
    with pytest.raises(NotExportedError, match="unused bits"):
        through(ds)


def of_pixels(values: list[int], signed: bool = False, stored: int = 12, behind: bytes = b"") -> Dataset:
    ds = image(BitsStored=stored, HighBit=stored - 1, PixelRepresentation=int(signed))
    ds.PixelData = np.array(values, "<u2").tobytes() + behind
    return ds


def test_bytes_behind_the_last_pixel_go(through) -> None:
    made = through(of_pixels([1, 2, 3, 4], behind=b"Huber^Anna"))
    assert made.PixelData == np.array([1, 2, 3, 4], "<u2").tobytes()


def test_bits_that_no_value_is_stored_in_go(through) -> None:
    assert np.frombuffer(through(of_pixels([0xF001, 2, 0x1FFF, 4])).PixelData, "<u2").tolist() == [1, 2, 0xFFF, 4]


def test_signs_stay_as_they_are_extended(through) -> None:
    values = np.array([-1, -2048, 2047, 0], "<i2").view("<u2")
    assert through(of_pixels(values.tolist(), signed=True)).PixelData == values.tobytes()
    hidden = [0x0FFF, 0x7001, 0x0001, 0xF800]
    made = np.frombuffer(through(of_pixels(hidden, signed=True)).PixelData, "<i2").tolist()
    assert made == [-1, 1, 1, -2048]


def test_an_image_with_as_many_bits_as_are_stored_is_untouched(through) -> None:
    assert through(of_pixels([0xFFFF, 1, 2, 3], stored=16)).PixelData == np.array([0xFFFF, 1, 2, 3], "<u2").tobytes()


@pytest.mark.parametrize("type_of", [["DERIVED", "PRIMARY"], ["DERIVED", "SECONDARY"]])
def test_of_a_derived_image_only_that_of_this_node_is_said_to_have_no_text(through, type_of) -> None:
    ds = image(ImageType=type_of, Manufacturer="rectal-node")
    assert "BurnedInAnnotation" not in through(ds)
    assert through(ds, made_here=True).BurnedInAnnotation == "NO"
