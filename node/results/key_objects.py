"""The Key Object Selection that ties the results of a study together (TID 2010), as IHE AI Results has it.

It names every object of the set, the report first: that is the root of the results. It is made for the destinations
that ask for it only, because many archives and viewers show it as a series without images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from node.results import attributes
from node.results.encoded import EncodedObject
from node.results.findings import StudyResults
from node.results.identity import PRODUCT, RESEARCH_STATEMENT, Identity
from node.results.modules import SeriesFacts, device_observer, identify, patient_and_study
from node.results.report import series_facts as report_facts
from node.results.source import complete, put_all

SERIES_NUMBER = 9401
ROLE = "key-objects"
_IMAGES = ("super-resolved", "segmentation", "summary", "contour-images")


def series_facts(results: StudyResults) -> SeriesFacts:
    """The facts that identify the series of the selection."""
    return SeriesFacts(
        role=ROLE,
        number=SERIES_NUMBER,
        description="AI results, all objects (research)",
        modality="KO",
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        algorithms=report_facts(results).algorithms,
    )


def key_objects(
    results: StudyResults, objects: Sequence[EncodedObject], header: Dataset, identity: Identity, content: str
) -> Dataset:
    """The selection of all objects made of a study.

    Args:
        objects: all others; the report is among them.
        header: of any instance of the study, for patient and study.
        content: digest of plan and prediction, which the report depends on beyond the images used.
    """
    facts = series_facts(results)
    named = list(_references(objects, header))
    document = KeyObjectSelectionDocument(
        evidence=named,
        content=KeyObjectSelection(
            document_title=codes.DCM.Manifest,
            referenced_objects=named,
            observer_device_context=device_observer(identity),
            description=f"All AI results of one analysis; the report is their root. {RESEARCH_STATEMENT}",
        ),
        series_instance_uid=identity.uid(f"{ROLE}/series", content=content),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{ROLE}/instance", content=content),
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


def _references(objects: Sequence[EncodedObject], header: Dataset) -> Iterator[Dataset]:
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
