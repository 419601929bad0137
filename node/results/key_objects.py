"""The Key Object Selection that ties the results of a study together (TID 2010), as IHE AI Results has it.

It names every object that a destination gets, the report first: that is the root of the results. It is made for the
destinations that ask for it only, because many archives and viewers show it as a series without images. Destinations
that get the same kinds of results get the same selection; who gets others gets one of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from node.results import attributes
from node.results.encoded import EncodedObject
from node.results.findings import StudyResults
from node.results.identity import PRODUCT, RESEARCH_STATEMENT, Identity
from node.results.kinds import kind_of
from node.results.modules import SeriesFacts, device_observer, identify, patient_and_study
from node.results.report import series_facts as report_facts
from node.results.source import complete, put_all
from node.settings import ResultKind

SERIES_NUMBER = 9401
_IMAGES = ("super-resolved", "segmentation", "summary", "contour-images")


def named_by(kinds: Collection[ResultKind], objects: Sequence[EncodedObject]) -> list[EncodedObject]:
    """The objects that a destination gets that gets these kinds."""
    return [it for it in objects if (kind := kind_of(it.sop_class_uid, it.role)) is None or kind in kinds]


def series_facts(results: StudyResults, role: str = ResultKind.KEY_OBJECTS) -> SeriesFacts:
    """The facts that identify the series of a selection."""
    return SeriesFacts(
        role=role,
        number=SERIES_NUMBER,
        description="AI results, all objects (research)",
        modality="KO",
        sop_class_uid=KeyObjectSelectionDocumentStorage,
        algorithms=report_facts(results).algorithms,
    )


def key_objects(
    results: StudyResults,
    role: str,
    objects: Sequence[EncodedObject],
    header: Dataset,
    identity: Identity,
    content: str,
) -> Dataset:
    """The selection of objects made of a study.

    Args:
        role: of the selection.
        objects: what it names, one at least.
        header: of any instance of the study, for patient and study.
        content: digest of plan and prediction, which the report depends on beyond the images used.
    """
    facts = series_facts(results, role)
    root = "; the report is their root" if any(it.role == "report" for it in objects) else ""
    named = list(_references(objects, header))
    document = KeyObjectSelectionDocument(
        evidence=named,
        content=KeyObjectSelection(
            document_title=codes.DCM.Manifest,
            referenced_objects=named,
            observer_device_context=device_observer(identity),
            description=f"AI results of one analysis, all that this destination gets{root}. {RESEARCH_STATEMENT}",
        ),
        series_instance_uid=identity.uid(f"{role}/series", content=content),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{role}/instance", content=content),
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
