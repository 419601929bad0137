"""The beginning of a DICOM file (PS3.10 7.1): preamble, prefix and file meta information."""

from __future__ import annotations

from typing import IO

from pydicom import config
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from storage.records import InstanceHeader


def write_file_meta(out: IO[bytes], header: InstanceHeader, syntax: str) -> None:
    """Write what stands before the data set of an object in a transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = as_it_is(header.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = as_it_is(header.sop_instance_uid)
    meta.TransferSyntaxUID = as_it_is(syntax)
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_file_meta_info(encoded, meta, enforce_standard=True)
    out.write(bytes(128) + b"DICM" + encoded.getvalue())


def as_it_is(uid: str) -> UID:
    """A UID of a device that breaks the rule on leading zeros is still its UID."""
    return UID(uid, validation_mode=config.IGNORE)
