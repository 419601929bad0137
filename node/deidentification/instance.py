"""A DICOM file read, de-identified and written: header, file meta information and preamble."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from node.deidentification.dataset import rewritten
from node.deidentification.kinds import (
    NotExportedError,
    UnreadableObjectError,
    is_known_free_of_text,
    require_exportable,
)
from node.deidentification.patient import Pseudonym
from node.deidentification.pixels import without_hidden_bits
from node.deidentification.profile import STILL_HOLDING, Option, Profile
from node.errors import told
from node.failure import pass_on
from node.recognition.header import charsets
from node.results.identity import PRODUCT, product_version
from node.settings import Settings
from storage.dicom_files import read_dataset

_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_IMPLEMENTATION = f"{Settings.model_fields['uid_root'].default}2"
"""Implementation Class UID (0002,0012): of the product, since the root of a site's UIDs tells which site it is."""


@dataclass(frozen=True, slots=True)
class Deidentified:
    """An object as it leaves.

    Attributes:
        dataset: with its file meta information.
        study_instance_uid, series_instance_uid, sop_instance_uid: the new ones.
        sop_class_uid: as it was.
        replaced: keywords of elements that named somebody where nobody should; dummies stand there.
    """

    dataset: Dataset
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    replaced: frozenset[str]

    def write(self, file: BinaryIO) -> None:
        """Write the Part 10 file.

        Raises:
            UnreadableObjectError: a value of it cannot be encoded; part of it is written.
            OSError: this machine cannot write now.
        """
        with warnings.catch_warnings(action="ignore"):
            try:
                dcmwrite(file, self.dataset, enforce_file_format=True)
            except Exception as error:
                pass_on(error)
                raise UnreadableObjectError(f"it cannot be written: {told(error)}") from error


def deidentify(
    path: Path, pseudonym: Pseudonym, profile: Profile, made_here: bool = False, of_study: Dataset | None = None
) -> Deidentified:
    """The object of a file without what tells whose it is.

    Args:
        path: of a Part 10 file.
        pseudonym: of its patient.
        profile: what is kept.
        made_here: whether this node has made it.
        of_study: what is known of its study: an object that does not say whose it is may tell it all the same.

    Raises:
        NotExportedError: it stays here, with the reason.
        OSError: this machine cannot read the file now.
    """
    with warnings.catch_warnings(action="ignore"):
        try:
            source = read_dataset(path)
            charsets.settle(source, nested=True)
            require_exportable(source, made_here)
            made, replaced = rewritten(source, pseudonym, profile, made_here, of_study or Dataset())
            without_hidden_bits(made, source.file_meta.TransferSyntaxUID.is_little_endian)
            if missing := [keyword for keyword in _IDENTITY if not made.get(keyword)]:
                raise UnreadableObjectError(f"it has no {', '.join(missing)}")
            _say_so(made, source, profile, made_here)
            made.file_meta = _file_meta(made, source)
        except NotExportedError:
            raise
        except Exception as error:
            pass_on(error)
            raise UnreadableObjectError(f"it cannot be read: {told(error)}") from error
    return Deidentified(
        dataset=made,
        study_instance_uid=made.StudyInstanceUID,
        series_instance_uid=made.SeriesInstanceUID,
        sop_instance_uid=made.SOPInstanceUID,
        sop_class_uid=made.SOPClassUID,
        replaced=replaced,
    )


def _say_so(made: Dataset, source: Dataset, profile: Profile, made_here: bool) -> None:
    """Attributes that say what was done (PS3.15 E.1.1, step 6)."""
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientIdentityRemoved = "YES"
    made.DeidentificationMethod = f"{PRODUCT} {product_version()}: PS3.15 E"
    earlier = source.get("DeidentificationMethodCodeSequence") or ()
    there = {str(item.get("CodeValue", "")) for item in earlier}
    holding = (code for code in STILL_HOLDING if code.value in there)
    made.DeidentificationMethodCodeSequence = [_item(code) for code in (*holding, *profile.codes)]
    made.LongitudinalTemporalInformationModified = "MODIFIED" if Option.DATES in profile.options else "REMOVED"
    if not made.get("BurnedInAnnotation") and is_known_free_of_text(source, made_here):
        made.BurnedInAnnotation = "NO"


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _file_meta(made: Dataset, source: Dataset) -> FileMetaDataset:
    """File meta information of this node alone; the preamble, which a new data set has none of, is empty."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = f"{PRODUCT} {product_version()}"[:16]
    return meta
