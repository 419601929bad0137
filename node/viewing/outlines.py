"""An outline that a reader drew: whether it is one of a tumour on images of a study, and how it agrees with another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from node.errors import PermanentError, told
from node.recognition.header.elements import text
from node.recognition.header.files import DAMAGE
from node.results.attributes import LABEL_MAP_SEGMENTATION
from node.stored_values.cells import UNDECODABLE
from node.viewing.contours import Mask, SegmentationMask, read_segmentation
from node.viewing.lattice import Lattice
from storage.dicom_files import read_dataset

SEGMENTATIONS = frozenset({SegmentationStorage, LABEL_MAP_SEGMENTATION})

_TUMOUR_CODES = frozenset(
    {
        ("SCT", "108369006"),  # Neoplasm
        ("SCT", "86049000"),  # Neoplasm, Primary
        ("SCT", "14799000"),  # Neoplasm, Secondary
        ("SCT", "4147007"),  # Mass
        ("SCT", "52988006"),  # Lesion
        ("SRT", "M-80000"),
        ("SRT", "M-80003"),
        ("SRT", "M-03000"),
        ("SRT", "M-01100"),
    }
)
_TUMOUR_WORDS = ("tumor", "tumour", "lesion", "carcinoma", "cancer", "neoplas", "adenoca", "gtv", "肿瘤", "癌")


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the header of a segmentation object says: what it is of, and its segments by number, those of tumours."""

    study_instance_uid: str
    patient_id: str
    frame_of_reference_uid: str
    series: tuple[str, ...]
    tumours: tuple[int, ...]
    others: tuple[str, ...]


def read_drawn(path: Path) -> Drawn:
    """What a file is an outline of, by its header.

    Raises:
        PermanentError: it is no DICOM segmentation that can be read.
    """
    try:
        return _drawn(read_dataset(path, stop_before_pixels=True))
    except UNDECODABLE as error:
        raise PermanentError(f"the file is no DICOM segmentation: {told(error, DAMAGE)}") from error


def laid_on(whole: Lattice, path: Path, segments: tuple[int, ...] | None = None) -> Mask:
    """What an object marks, on the grid of images (slices, rows, columns).

    Raises:
        PermanentError: it cannot be read, or its voxels are not those of the images.
    """
    found = read_segmentation(path, segments)
    begins = found.lattice.place_in(whole)
    if begins is None:
        raise PermanentError(f"its voxels are not those of the images: {_apart(found, whole)}")
    mask = np.zeros(whole.size[::-1], np.bool_)
    part = tuple(slice(at, at + count) for at, count in zip(begins[::-1], found.mask.shape, strict=True))
    mask[part] = found.mask
    return mask


def volume_ml(mask: Mask, lattice: Lattice) -> float:
    """The volume of a mask."""
    return float(np.count_nonzero(mask) * np.prod(lattice.spacing) / 1000)


def dice(mask: Mask, other: Mask) -> float:
    """How two masks agree, of which one at least marks something: 0 to 1."""
    return float(2 * np.count_nonzero(mask & other) / (np.count_nonzero(mask) + np.count_nonzero(other)))


def _drawn(dataset: Dataset) -> Drawn:
    if text(dataset, "SOPClassUID") not in SEGMENTATIONS:
        raise PermanentError("the file is no DICOM segmentation")
    tumours, others = [], []
    for item in dataset.get("SegmentSequence") or ():
        if _is_tumour(item):
            tumours.append(int(item.SegmentNumber))
        else:
            others.append(text(item, "SegmentLabel") or str(item.SegmentNumber))
    return Drawn(
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        patient_id=text(dataset, "PatientID"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        series=tuple(dict.fromkeys(_series(dataset))),
        tumours=tuple(tumours),
        others=tuple(others),
    )


def _series(dataset: Dataset) -> Iterator[str]:
    for item in dataset.get("ReferencedSeriesSequence") or ():
        if uid := text(item, "SeriesInstanceUID"):
            yield uid


def _is_tumour(segment: Dataset) -> bool:
    """By the code of its type or category, else by its label."""
    for keyword in ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyCategoryCodeSequence"):
        for code in segment.get(keyword) or ():
            if (text(code, "CodingSchemeDesignator"), text(code, "CodeValue")) in _TUMOUR_CODES:
                return True
    label = text(segment, "SegmentLabel").lower()
    return any(word in label for word in _TUMOUR_WORDS)


def _apart(found: SegmentationMask, whole: Lattice) -> str:
    if not found.lattice.is_parallel(whole):
        return "they lie in other directions"
    spacings = (" × ".join(f"{value:.3g}" for value in it.spacing) for it in (found.lattice, whole))
    apart, wanted = spacings
    return f"{apart} mm against {wanted} mm" if apart != wanted else "they lie beside them"
