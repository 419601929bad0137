"""The Key Object Selection that ties the results of a study together (TID 2010), as IHE AI Results has it.

It names every object that a destination gets, the report first: that is the root of the results. It is made for the
destinations that ask for it only, because many archives and viewers show it as a series without images. Destinations
that get the same kinds of results get the same selection; who gets others gets one of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.results.encoded import EncodedObject
from node.results.findings import StudyResults
from node.results.identity import RESEARCH_STATEMENT, Identity
from node.results.kinds import kind_of
from node.results.modules import SeriesFacts
from node.results.report import series_facts as report_facts
from node.results.selection_document import selection_document
from node.settings import ResultKind

SERIES_NUMBER = 9401


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
    said = f"AI results of one analysis, all that this destination gets{root}. {RESEARCH_STATEMENT}"
    return selection_document(codes.DCM.Manifest, said, facts, objects, header, identity, content)
