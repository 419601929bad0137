"""Rejection notes (IHE Imaging Object Change Management): what they reject, and what an analysis leaves out for them.

A rejection note is a Key Object Selection Document whose title (Concept Name Code Sequence) says why objects are
rejected; they stand in its Current Requested Procedure Evidence Sequence (0040,A375), by study and series.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.codes import Code
from node.failure import pass_on
from node.recognition.header import elements as read
from node.recognition.header.facts import FrameFacts
from node.recognition.header.frames import UNREADABLE
from node.recognition.header.naming import series_names
from storage.dicom_files import read_dataset
from storage.identity import InstanceKey
from storage.records import RejectionNote

#: Titles (DCM) that reject, as CID 7011 names them.
TITLES = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}
_LARGEST = 2**20  # bytes of a file; a note of 8,000 objects is smaller


def rejection_note(path: Path, sop_class_uid: str) -> RejectionNote | None:
    """The rejection that a received object states; None where it is no rejection note, too large for one, or broken.

    Raises:
        OSError, MemoryError: this machine cannot read the file now.
    """
    if sop_class_uid != KeyObjectSelectionDocumentStorage or path.stat().st_size > _LARGEST:
        return None
    with warnings.catch_warnings(action="ignore"):
        try:
            return _note(read_dataset(path))
        except UNREADABLE as error:
            pass_on(error)
            return None


def _note(dataset: Dataset) -> RejectionNote | None:
    titles = read.datasets(dataset, "ConceptNameCodeSequence")
    codes = [read.text(title, "CodeValue") for title in titles if read.text(title, "CodingSchemeDesignator") == "DCM"]
    title = next((code for code in codes if code in TITLES), "")
    objects = tuple(dict.fromkeys(_objects(dataset)))
    return RejectionNote(title, objects) if title and objects else None


def _objects(dataset: Dataset) -> Iterator[tuple[str, InstanceKey]]:
    for study in read.datasets(dataset, "CurrentRequestedProcedureEvidenceSequence"):
        for series in read.datasets(study, "ReferencedSeriesSequence"):
            for instance in read.datasets(series, "ReferencedSOPSequence"):
                uids = (
                    read.uid(study, "StudyInstanceUID"),
                    read.uid(series, "SeriesInstanceUID"),
                    read.uid(instance, "ReferencedSOPInstanceUID"),
                )
                if all(uids):
                    yield uids[0], InstanceKey(*uids[1:])


def left_out(frames: Sequence[FrameFacts], rejected: Mapping[InstanceKey, str]) -> tuple[str, ...]:
    """One sentence for each series with objects that are rejected, and each reason."""
    objects = {frame.header.key: rejected[frame.header.key] for frame in frames if frame.header.key in rejected}
    names = series_names(frames)
    counts = Counter((key.series_instance_uid, title) for key, title in objects.items())
    whole = Counter(key.series_instance_uid for key in {frame.header.key for frame in frames})
    return tuple(
        f"{Code.REJECTED}: {count} of {whole[uid]} objects of series {names[uid]} left out: "
        f"{TITLES.get(title, 'rejected')} ({title}, DCM) by a rejection note"
        for uid in names
        for (series, title), count in sorted(counts.items())
        if series == uid
    )
