"""Key Object Selection Documents (PS3.3 A.35.4, TID 2010): objects of one study, under a title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from node.results import attributes
from node.results.identity import PRODUCT, Identity
from node.results.modules import SeriesFacts, device_observer, identify, patient_and_study
from node.results.source import complete, put_all

_IMAGES = ("super-resolved", "segmentation", "summary", "contour-images")


class Named(Protocol):
    """A result that a selection names."""

    @property
    def role(self) -> str:
        """Which result it is."""

    @property
    def sop_class_uid(self) -> str:
        """Its SOP Class UID."""

    @property
    def sop_instance_uid(self) -> str:
        """Its SOP Instance UID."""

    @property
    def series_instance_uid(self) -> str:
        """Its Series Instance UID."""


def selection_document(
    title: Code,
    description: str,
    facts: SeriesFacts,
    objects: Sequence[Named],
    header: Dataset,
    identity: Identity,
    content: str,
) -> Dataset:
    """The document that names objects made of a study, the report first.

    Args:
        title: of CID 7010.
        description: in words.
        facts: of its series, which it is alone in.
        objects: what it names, one at least.
        header: of any instance of the study, for patient and study.
        identity: origin of the document.
        content: digest of what its UIDs depend on beyond the identity.
    """
    named = list(_references(objects, header))
    document = KeyObjectSelectionDocument(
        evidence=named,
        content=KeyObjectSelection(
            document_title=title,
            referenced_objects=named,
            observer_device_context=device_observer(identity),
            description=description,
        ),
        series_instance_uid=identity.uid(f"{facts.role}/series", content=content),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{facts.role}/instance", content=content),
        instance_number=1,
        manufacturer=PRODUCT,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    for item in document.ContentSequence:
        if item.ValueType in ("IMAGE", "COMPOSITE"):
            # The template gives these items no name. highdicom names them "Source", which validators take for an error.
            del item.ConceptNameCodeSequence
    patient_and_study(document, header)
    identify(document, facts, identity, header, content)
    return document


def _references(objects: Sequence[Named], header: Dataset) -> Iterator[Dataset]:
    """The objects as highdicom takes them, the report first; an image is what has rows and columns."""
    for each in sorted(objects, key=lambda it: it.role != "report"):
        dataset = Dataset()
        complete(dataset, attributes.REQUIRED_EVEN_IF_EMPTY)
        uids = {
            "SOPClassUID": each.sop_class_uid,
            "SOPInstanceUID": each.sop_instance_uid,
            "SeriesInstanceUID": each.series_instance_uid,
            "StudyInstanceUID": header.StudyInstanceUID,
        }
        put_all(dataset, uids)
        if each.role.startswith(_IMAGES) and each.role != "summary-pdf":
            put_all(dataset, {"Rows": 1, "Columns": 1})
        yield dataset
