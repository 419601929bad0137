"""The summary page as an RGB Secondary Capture, for archives and viewers that cannot show structured reports."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from node.results.caption import caption
from node.results.findings import StudyResults
from node.results.identity import Identity, statement
from node.results.modules import (
    SeriesFacts,
    complete_series,
    identify,
    patient_and_study,
    refer_to,
    rgb_pixels,
)
from node.results.page import Page
from node.results.source import SourceFrame, inherit, put_all

SERIES_NUMBER = 9301


def series_facts(results: StudyResults) -> SeriesFacts:
    """The facts that identify the series of the summary."""
    return SeriesFacts(
        role="summary",
        number=SERIES_NUMBER,
        description="AI summary page (research)",
        modality="OT",
        sop_class_uid=SecondaryCaptureImageStorage,
        algorithms=tuple(sorted(results.algorithms)),
    )


def summary(
    results: StudyResults,
    page: Page,
    frames: Sequence[SourceFrame],
    header: Dataset,
    identity: Identity,
    content: str,
) -> Dataset:
    """The page as one image.

    Args:
        results: what was found.
        page: of these results.
        frames: all source images used.
        header: header of any instance of the study, for patient and study.
        identity: origin of UIDs and dates.
        content: digest of plan and prediction, which the page shows.
    """
    facts = series_facts(results)
    image = Dataset()
    patient_and_study(image, header)
    identify(image, facts, identity, header, content)
    values: dict[str, object] = {
        "SOPInstanceUID": identity.uid(f"{facts.role}/instance", content=content),
        "InstanceNumber": 1,
        "ConversionType": "WSD",
        "ImageType": ["DERIVED", "SECONDARY"],
        "DerivationDescription": statement(*(identity.algorithm(kind) for kind in facts.algorithms)),
        "PatientOrientation": None,
        # The page is drawn from nothing but its caption and the results, which hold nothing of the patient.
        "BurnedInAnnotation": "YES" if identity.site.name_patient else "NO",
    }
    put_all(image, values)
    inherit(image, header, ("BodyPartExamined",))
    complete_series(image)
    if frames:
        refer_to(image, frames, preserved=False)
    rgb_pixels(image, page.pixels(caption(image, identity.made_at(header), identity.site.name_patient)))
    return image
