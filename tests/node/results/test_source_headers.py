"""Headers of source images: character sets, malformed values, multi-frame objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import PersonName

from node.results.modules import referenced_series, source_image_items
from node.results.source import SourceFrame, put, read_header


def write(path: Path, character_set: str | None, name: bytes, **others: object) -> Path:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, "1.2.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2", "1.2.1"
    if character_set is not None:
        ds.SpecificCharacterSet = character_set.split("\\")
    ds.add(DataElement("PatientName", "PN", PersonName(name)))
    with pydicom.config.disable_value_validation():
        for keyword, value in others.items():
            setattr(ds, keyword, value)
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("character_set", "name", "expected"),
    [
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        ("GBK", "Wang=王^小东".encode("gbk"), "Wang=王^小东"),
        ("ISO_IR 192", "王^小东".encode(), "王^小东"),
        ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        ("\\ISO 2022 IR 58", b"Han=\x1b$)A\xba\xab^\x1b$)A\xc3\xb7", "Han=韩^梅"),
        (None, "王^小东".encode(), "王^小东"),
        (None, "王^小东".encode("gb18030"), "王^小东"),
        (None, b"Plain^Name", "Plain^Name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Found unknown escape sequence")
def test_names_survive_every_character_set(tmp_path, character_set, name, expected):
    header = read_header(write(tmp_path / "a.dcm", character_set, name))
    assert str(header.PatientName) == expected
    assert header.SpecificCharacterSet == "ISO_IR 192"


def test_text_within_sequences_is_decoded_too(tmp_path):
    item = Dataset()
    item.RequestedProcedureDescription = "直肠"
    path = write(tmp_path / "a.dcm", "GB18030", b"A", RequestAttributesSequence=[item])
    header = read_header(path)
    assert header.RequestAttributesSequence[0].RequestedProcedureDescription == "直肠"
    assert "SpecificCharacterSet" not in header.RequestAttributesSequence[0]


def test_malformed_values_are_left_out_and_overlong_decimals_shortened(tmp_path):
    path = write(
        tmp_path / "a.dcm",
        None,
        b"A",
        PatientAge="45",
        StudyDate="***",
        EchoTime="101.23456789012345678",
        RepetitionTime="4000",
    )
    header = read_header(path)
    assert "PatientAge" not in header
    assert "StudyDate" not in header
    assert len(str(header["EchoTime"].value.original_string)) <= 16
    assert float(header.EchoTime) == pytest.approx(101.23456789012345678)
    assert header.RepetitionTime == 4000


def test_only_named_attributes_are_read(tmp_path):
    path = write(tmp_path / "a.dcm", None, b"A", OperatorsName="Olga", ImageComments="free text")
    assert "OperatorsName" not in read_header(path)
    assert "ImageComments" not in read_header(path)


def test_frames_of_one_object_share_one_reference():
    header = Dataset()
    header.SeriesInstanceUID = "1.2"
    frames = [SourceFrame(header, "1.2.840.10008.5.1.4.1.1.4.1", "1.2.9", number) for number in (3, 1, 7)]
    (item,) = source_image_items(frames, preserved=False)
    assert list(item.ReferencedFrameNumber) == [3, 1, 7]
    (series,) = referenced_series(frames)
    assert len(series.ReferencedInstanceSequence) == 1
    assert "ReferencedFrameNumber" not in series.ReferencedInstanceSequence[0]


def test_a_new_value_does_not_change_datasets_that_share_the_element():
    first, second = Dataset(), Dataset()
    first.ImagePositionPatient = [0, 0, 1]
    second["ImagePositionPatient"] = first["ImagePositionPatient"]
    put(first, "ImagePositionPatient", [0, 0, 2])
    np.testing.assert_array_equal(second.ImagePositionPatient, [0, 0, 1])
