"""The images of the study whose answer is known, under UIDs that no other check has had."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import DataElement, Dataset
from pydicom.uid import UID

from storage.known_answer import UID_ROOT

ARCHIVE = Path(__file__).parent / "study.zip"


def write(folder: Path, number: int) -> tuple[str, list[Path]]:
    """Write the images of check `number` into a folder; returns their Study Instance UID and the files.

    Raises:
        OSError: the folder cannot be written.
    """
    with zipfile.ZipFile(ARCHIVE) as archive:
        images = [pydicom.dcmread(BytesIO(archive.read(name))) for name in sorted(archive.namelist())]
    study = f"{UID_ROOT}{number}"
    new = _new_uids(images, study)
    paths = []
    for position, image in enumerate(images, start=1):
        image.walk(lambda _, element: _rename(element, new))
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        paths.append(folder / f"{position:03d}.dcm")
        image.save_as(paths[-1])
    return study, paths


def _new_uids(images: Sequence[Dataset], study: str) -> Mapping[str, str]:
    new = {images[0].StudyInstanceUID: study}
    for image in images:
        series = new.setdefault(image.SeriesInstanceUID, f"{study}.{len(new)}")
        new[image.SOPInstanceUID] = f"{series}.{len(new)}"
    return new


def _rename(element: DataElement, new: Mapping[str, str]) -> None:
    if element.VR == "UI" and isinstance(element.value, str) and element.value in new:
        element.value = UID(new[element.value])
