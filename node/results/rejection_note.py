"""The note that rejects results where they are: a Key Object Selection as IHE Imaging Object Change Management has it.

It names, by study and series, every object that is rejected (RAD TF-2 4.66). Whoever has it hides them, or keeps them
from being used, as its title says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.recognition.header.rejections import TITLES
from node.results.encoded import file_of
from node.results.identity import RESEARCH_STATEMENT, Identity, Site
from node.results.modules import SeriesFacts
from node.results.selection_document import selection_document
from storage.records import InstanceHeader, ResultRecord

SERIES_NUMBER = 9402
_TRANSFER_SYNTAX = "1.2.840.10008.1.2.1"


def identity_of(site: Site, study_instance_uid: str, made_at: datetime) -> Identity:
    """The origin of a note: it depends on no analysis, but on what it rejects alone."""
    return Identity(site, study_instance_uid, "", "", made_at, ())


def uid_of(title: str, rejected: Sequence[ResultRecord], identity: Identity, role: str) -> str:
    """SOP Instance UID of the note: the same for the same objects and title."""
    return identity.uid(f"{role}/instance", content=_content(title, rejected))


def rejection_note(
    title: str, rejected: Sequence[ResultRecord], header: Dataset, identity: Identity, role: str
) -> tuple[InstanceHeader, bytes]:
    """The note as a file, with the elements by which it is stored.

    Args:
        title: code of its title (DCM).
        rejected: results of one patient and study.
        header: of one of them, for patient and study as the destination has them.
        identity: see `identity_of`.
        role: of the note among the results of the study.
    """
    facts = SeriesFacts(
        role=role,
        number=SERIES_NUMBER,
        description=f"AI results: {TITLES[title]}",
        modality="KO",
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        algorithms=(),
    )
    said = f"Results that are not to be used: {TITLES[title]}. {RESEARCH_STATEMENT}"
    code = Code(title, "DCM", TITLES[title])
    document = selection_document(code, said, facts, rejected, header, identity, _content(title, rejected))
    stored = InstanceHeader(
        sop_class_uid=document.SOPClassUID,
        sop_instance_uid=document.SOPInstanceUID,
        study_instance_uid=document.StudyInstanceUID,
        series_instance_uid=document.SeriesInstanceUID,
        transfer_syntax_uid=_TRANSFER_SYNTAX,
    )
    return stored, b"".join(file_of(document, identity))


def _content(title: str, rejected: Sequence[ResultRecord]) -> str:
    uids = sorted(result.sop_instance_uid for result in rejected)
    return hashlib.sha256(" ".join((title, *uids)).encode()).hexdigest()
