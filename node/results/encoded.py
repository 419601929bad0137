"""Data sets as bytes: whole Part 10 files, and images of which a few elements differ from one to the next."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.results.identity import PRODUCT, Identity, product_version
from node.results.text import conform

_INSTANCE, _PIXEL_DATA = Tag("MediaStorageSOPInstanceUID"), Tag("PixelData")
_GROUP_LENGTH, _PIXELS = struct.Struct("<HH2sHL"), struct.Struct("<HH2s2xL")  # PS3.5 7.1.2


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image whose data set is encoded in Explicit VR Little Endian; `parts` are its bytes in order."""

    sop_class_uid: UID
    sop_instance_uid: UID
    series_instance_uid: UID
    parts: tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True)
class EncodedObject:
    """One file that leaves.

    Attributes:
        role: which result it is, such as ``super-resolved-t2wi``, ``segmentation-dwi``, ``report``, ``summary``,
            ``summary-pdf``, ``key-objects-227de262``.
    """

    role: str
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


class Template:
    """What the images of a series share, encoded once; the elements that differ are filled in for each image."""

    def __init__(self, common: Dataset, varying: Sequence[str]) -> None:
        """Encode the elements that all images share.

        Args:
            common: those elements; their text is made to conform.
            varying: keywords of elements that `common` lacks, in the order of their tags; no pixels, and no text.
        """
        self._varying = tuple(Tag(keyword) for keyword in varying)
        encoded, bounds = _encoded(common), [Tag(0), *self._varying, _PIXEL_DATA]
        self._pieces = [_bytes_of(encoded[first:after].values()) for first, after in itertools.pairwise(bounds)]

    def filled(self, image: Dataset, pixels: memoryview) -> tuple[bytes | memoryview, ...]:
        """The data set of the image that has these varying elements and these pixels, 16 bits each."""
        first, *others = self._pieces
        parts: list[bytes | memoryview] = [first]
        for tag, piece in zip(self._varying, others, strict=True):
            parts += [_bytes_of([image[tag]]), piece]
        return (*parts, _PIXELS.pack(_PIXEL_DATA.group, _PIXEL_DATA.element, b"OW", pixels.nbytes), pixels)


def uids_of(content: Dataset | EncodedImage) -> tuple[UID, UID, UID]:
    """SOP Class, SOP Instance and Series Instance UID."""
    if isinstance(content, EncodedImage):
        return content.sop_class_uid, content.sop_instance_uid, content.series_instance_uid
    return content.SOPClassUID, content.SOPInstanceUID, content.SeriesInstanceUID


def file_of(content: Dataset | EncodedImage, identity: Identity) -> tuple[bytes | memoryview, ...]:
    """A Part 10 file in parts, one after the other; the text of a data set is made to conform."""
    if isinstance(content, EncodedImage):
        before, after = _meta_template(content.sop_class_uid, identity.implementation_class_uid)
        own = _bytes_of([DataElement(_INSTANCE, "UI", content.sop_instance_uid)])
        group = before + own + after
        return (bytes(128), b"DICM", _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(group)), group, *content.parts)
    conform(content)
    content.file_meta = _file_meta(content.SOPClassUID, identity.implementation_class_uid)
    content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
    buffer = BytesIO()
    dcmwrite(buffer, content, enforce_file_format=True)
    return (buffer.getvalue(),)


def _file_meta(sop_class_uid: UID, implementation_class_uid: UID) -> FileMetaDataset:
    """All but Media Storage SOP Instance UID (0002,0003)."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = implementation_class_uid
    meta.ImplementationVersionName = f"{PRODUCT} {product_version()}"[:16]
    return meta


@cache
def _meta_template(sop_class_uid: UID, implementation_class_uid: UID) -> tuple[bytes, bytes]:
    """The encoded elements before and after (0002,0003), without Group Length (0002,0000)."""
    meta = _file_meta(sop_class_uid, implementation_class_uid)
    return _bytes_of(meta[:_INSTANCE]), _bytes_of(meta[_INSTANCE:])


def _encoded(common: Dataset) -> Dataset:
    """The same data set, its elements already encoded: pydicom writes those as they are."""
    conform(common)
    buffer = BytesIO()
    common.file_meta = FileMetaDataset()
    common.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(buffer, common)
    buffer.seek(0)
    return dcmread(buffer, force=True)


def _bytes_of(elements: Iterable[DataElement | RawDataElement]) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    for element in elements:
        write_data_element(buffer, element)
    return buffer.getvalue()
