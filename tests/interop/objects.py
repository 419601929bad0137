"""Small DICOM studies, made up here, each with UIDs of its own."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

_ROOT = "1.2.826.0.1.3680043.10.1599.18"
_numbers = itertools.count(1)
#: SOP class, modality and transfer syntax of each series, and how many images it has.
SERIES = ((MRImageStorage, "MR", ExplicitVRLittleEndian, 2), (CTImageStorage, "CT", ImplicitVRLittleEndian, 1))


@dataclass(frozen=True)
class SmallStudy:
    """A study of two series as files.

    Attributes:
        uid: Study Instance UID.
        patient_id: nobody else's.
        folder: in which its files lie, and nothing else.
    """

    uid: str
    patient_id: str
    folder: Path

    @property
    def paths(self) -> list[Path]:
        """Its files, in the order of series and images."""
        return sorted(self.folder.iterdir())

    def references(self) -> list[tuple[str, str]]:
        """SOP Class and SOP Instance UID of each object."""
        read = [dcmread(path, stop_before_pixels=True) for path in self.paths]
        return [(str(it.SOPClassUID), str(it.SOPInstanceUID)) for it in read]

    def bytes_by_uid(self) -> dict[str, bytes]:
        """The encoded data set of each object by its SOP Instance UID."""
        return bytes_by_uid(self.paths)

    def values_by_uid(self) -> dict[str, dict[str, object]]:
        """The values of each object by its SOP Instance UID."""
        return values_by_uid(dcmread(path) for path in self.paths)


def small_study(folder: Path) -> SmallStudy:
    """Write another study into a new folder."""
    number = next(_numbers)
    study = SmallStudy(f"{_ROOT}.{number}", f"INTEROP-{number}", folder)
    folder.mkdir(parents=True)
    for series, (sop_class, modality, syntax, count) in enumerate(SERIES, 1):
        for image in range(1, count + 1):
            made = _image(study, series, image, sop_class, modality)
            made.file_meta = FileMetaDataset()
            made.file_meta.TransferSyntaxUID = syntax
            made.save_as(folder / f"{series}-{image}.dcm", enforce_file_format=True)
    return study


def _image(study: SmallStudy, series: int, image: int, sop_class: str, modality: str) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, f"{study.uid}.{series}.{image}"
    made.StudyInstanceUID, made.SeriesInstanceUID = study.uid, f"{study.uid}.{series}"
    made.PatientID, made.PatientName, made.PatientBirthDate, made.PatientSex = study.patient_id, "Small^Study", "", "O"
    made.StudyDate, made.StudyTime, made.AccessionNumber, made.StudyID = "20261130", "120000", study.patient_id, "1"
    made.StudyDescription, made.ReferringPhysicianName = "Pelvis", ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = modality, str(series), str(image)
    made.SeriesDescription, made.BodyPartExamined = f"series {series}", "PELVIS"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows = made.Columns = 16
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = bytes([series, image]) * 256
    made["PixelData"].VR = "OW"
    return made


def bytes_by_uid(paths: list[Path]) -> dict[str, bytes]:
    """The encoded data set of each DICOM file by its SOP Instance UID; each object must be there once."""
    uids = [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in paths]
    found = {uid: data_set_bytes(path.read_bytes()) for uid, path in zip(uids, paths, strict=True)}
    assert len(found) == len(paths)
    return found


def values_by_uid(data_sets) -> dict[str, dict[str, object]]:
    """The values of each object by its SOP Instance UID, whatever its transfer syntax; each must be there once."""
    read = [{element.keyword: element.value for element in each} for each in data_sets]
    found = {str(each["SOPInstanceUID"]): each for each in read}
    assert len(found) == len(read)
    return found


def data_set_bytes(file: bytes) -> bytes:
    """The encoded data set of a DICOM file: what follows its File Meta Information, which tells its length first."""
    assert file[128:136] == b"DICM\x02\x00\x00\x00", "PS3.10 7.1"
    return file[144 + int.from_bytes(file[140:144], "little") :]
