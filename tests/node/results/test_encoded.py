"""Images that are filled into a template have the bytes that pydicom writes for the whole data set."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage

from node.results.encoded import EncodedImage, Template, file_of
from node.results.identity import Identity, Site

VARYING = {
    "SOPInstanceUID": "1.2.3.4.55",
    "InstanceNumber": 7,
    "ImagePositionPatient": ["-1.5", "2", "3.25"],
    "SliceLocation": "-12.5",
}


def common() -> Dataset:
    made, source = Dataset(), Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = MRImageStorage, "1.2.3.9"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.StudyInstanceUID, made.SeriesInstanceUID = MRImageStorage, "1.2.3", "1.2.3.4"
    made.PatientName, made.SeriesDescription = "Müller^Änne=穆勒", "odd"
    made.SourceImageSequence = [source]
    made.Rows, made.Columns, made.BitsAllocated, made.PixelRepresentation = 3, 5, 16, 1
    made.add_new("SmallestImagePixelValue", "SS", -3)
    return made


def test_a_filled_template_is_the_file_that_pydicom_writes_of_the_whole_image(siemens):
    identity = Identity.of(siemens.results, Site("1.2.826.0.1.3680043.10.1599."))
    pixels = np.arange(15, dtype="<i2").reshape(3, 5)
    own, whole = Dataset(), common()
    for keyword, value in VARYING.items():
        setattr(own, keyword, value)
        setattr(whole, keyword, value)
    parts = Template(common(), list(VARYING)).filled(own, pixels.data)
    image = EncodedImage(MRImageStorage, UID("1.2.3.4.55"), UID("1.2.3.4"), parts)
    whole.add_new("PixelData", "OW", pixels.tobytes())
    assert b"".join(file_of(image, identity)) == b"".join(file_of(whole, identity))
