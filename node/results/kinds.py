"""Which kind of result an object is of, by its SOP class and by its role among the results of a study."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from node.results.attributes import LABEL_MAP_SEGMENTATION
from node.settings import ADDITIONAL, ResultKind

_KINDS = {
    MRImageStorage: ResultKind.SUPER_RESOLVED,
    SegmentationStorage: ResultKind.SEGMENTATION,
    EnhancedSRStorage: ResultKind.REPORT,
    ComprehensiveSRStorage: ResultKind.REPORT,
    Comprehensive3DSRStorage: ResultKind.REPORT,
    SecondaryCaptureImageStorage: ResultKind.PICTURE,
    EncapsulatedPDFStorage: ResultKind.PDF,
    KeyObjectSelectionDocumentStorage: ResultKind.KEY_OBJECTS,
    LABEL_MAP_SEGMENTATION: ResultKind.LABELMAP,
    GrayscaleSoftcopyPresentationStateStorage: ResultKind.PRESENTATION_STATE,
    EnhancedMRImageStorage: ResultKind.ENHANCED,
}


def kind_of(sop_class_uid: str, role: str = "") -> ResultKind | None:
    """The kind of a result; None where it is of none.

    Some kinds share a SOP class: their roles tell them apart. A result whose role is not known is of the usual kind.
    """
    of_role = next((kind for kind in ADDITIONAL if role.startswith(f"{kind}-")), None)
    return of_role or _KINDS.get(sop_class_uid)  # type: ignore[call-overload]  # a UID is a str


def selection_role(kinds: Collection[ResultKind]) -> str:
    """The role of the Key Object Selection for a destination that gets these kinds: the same for the same kinds."""
    named = sorted(frozenset(kinds) - {ResultKind.KEY_OBJECTS})
    return f"{ResultKind.KEY_OBJECTS}-{hashlib.sha256(' '.join(named).encode()).hexdigest()[:8]}"
