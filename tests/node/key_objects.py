"""Key object notes as an archive writes them."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage, generate_uid


def key_object_note(images: Sequence[Dataset], title: str = "113001", scheme: str = "DCM") -> Dataset:
    """A note of this title that refers to images of one study."""
    note, concept, evidence = Dataset(), Dataset(), Dataset()
    note.preamble, note.file_meta = bytes(128), FileMetaDataset()
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    note.SOPClassUID = note.file_meta.MediaStorageSOPClassUID = KeyObjectSelectionDocumentStorage
    note.SOPInstanceUID = note.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    note.StudyInstanceUID, note.SeriesInstanceUID, note.Modality = images[0].StudyInstanceUID, generate_uid(), "KO"
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = title, scheme, "a title"
    note.ConceptNameCodeSequence = [concept]
    evidence.StudyInstanceUID, evidence.ReferencedSeriesSequence = images[0].StudyInstanceUID, []
    for uid in dict.fromkeys(image.SeriesInstanceUID for image in images):
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = uid, []
        for image in (image for image in images if image.SeriesInstanceUID == uid):
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
            series.ReferencedSOPSequence.append(item)
        evidence.ReferencedSeriesSequence.append(series)
    note.CurrentRequestedProcedureEvidenceSequence = [evidence]
    return note
