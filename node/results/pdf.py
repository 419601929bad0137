"""The summary page as an Encapsulated PDF, for archives that file documents and for what is printed or searched."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage

from node.results.caption import caption
from node.results.findings import StudyResults
from node.results.identity import Identity
from node.results.modules import SeriesFacts, identify, patient_and_study, refer
from node.results.page import TITLE, Page
from node.results.source import SourceFrame, put_all

SERIES_NUMBER = 9302


def series_facts(results: StudyResults) -> SeriesFacts:
    """The facts that identify the series of the document."""
    return SeriesFacts(
        role="summary-pdf",
        number=SERIES_NUMBER,
        description="AI summary PDF (research)",
        modality="DOC",
        sop_class_uid=EncapsulatedPDFStorage,
        algorithms=tuple(sorted(results.algorithms)),
    )


def summary_pdf(
    results: StudyResults,
    page: Page,
    frames: Sequence[SourceFrame],
    report: Dataset,
    header: Dataset,
    identity: Identity,
    content: str,
) -> Dataset:
    """The page as one document (PS3.3 A.45.1).

    Args:
        results: what was found.
        page: of these results.
        frames: all source images used.
        report: the structured report of the same results, which the document is made from.
        header: header of any instance of the study, for patient and study.
        identity: origin of UIDs and dates.
        content: digest of plan and prediction, which the page shows.
    """
    facts = series_facts(results)
    document = Dataset()
    patient_and_study(document, header)
    identify(document, facts, identity, header, content)
    printed = page.pdf(caption(document, identity.made_at(header), identity.site.name_patient))
    sources = dict.fromkeys(
        [(report.SOPClassUID, report.SOPInstanceUID), *((it.sop_class_uid, it.sop_instance_uid) for it in frames)]
    )
    values: dict[str, object] = {
        "SOPInstanceUID": identity.uid(f"{facts.role}/instance", content=content),
        "InstanceNumber": 1,
        "ConversionType": "WSD",
        "AcquisitionDateTime": None,
        # The page is drawn from nothing but its caption and the results, which hold nothing of the patient.
        "BurnedInAnnotation": "YES" if identity.site.name_patient else "NO",
        "DocumentTitle": TITLE,
        "ConceptNameCodeSequence": [CodedConcept.from_code(codes.DCM.ImagingMeasurementReport)],
        "SourceInstanceSequence": [_reference(*source) for source in sources],
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocumentLength": len(printed),
        "EncapsulatedDocument": printed + b"\0" * (len(printed) % 2),
    }
    put_all(document, values)
    return document


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    refer(item, sop_class_uid, sop_instance_uid)
    return item
