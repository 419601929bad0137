"""The measurement report of a study: TID 1500 in a Comprehensive 3D SR.

Where a tumour was segmented there is one TID 1411 group a sequence; where none was found, one TID 1501 group says so.
The two are never mixed, because validators check every group of a report against both templates. What was used, what
was refused and why stands as text under Qualitative Evaluations (TID 1500 row 12).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    ImageContentItem,
    ImageLibraryEntryDescriptors,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian, MRImageStorage

from models.prediction.records import Prediction
from models.radiomics.words import in_words
from node.results import attributes
from node.results.explanation import reasons
from node.results.findings import SequenceResult, StudyResults
from node.results.identity import PREDICTION, PRODUCT, SEGMENTATION, SUPER_RESOLUTION, Identity, product_version
from node.results.measurements import explaining_features, predicted_probabilities, tumour_measurements
from node.results.modules import (
    LOCAL_SCHEME,
    SeriesFacts,
    device_observer,
    identify,
    patient_and_study,
    referenced_series,
)
from node.results.narrative import Remark, remarks
from node.results.segmentation import SEGMENT_NUMBER, TRACKING_ID, tracking_uid
from node.results.set_aside import is_in_rectum
from node.results.source import SourceFrame, complete, inherit, put, put_all
from node.results.supersession import reference_to

SERIES_NUMBER = 9201
ENGLISH = Code("en", "RFC5646", "English")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")
TUMOUR_SEGMENTED = Code("TUMOUR-SEG", LOCAL_SCHEME, "Rectal tumour found by segmentation")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The objects that the report refers to.

    Attributes:
        frames: source frames by sequence.
        segmentations: segmentation on the acquired grid by sequence, where a tumour was found.
        header: header of any instance of the study, for patient and study.
    """

    frames: Mapping[str, tuple[SourceFrame, ...]]
    segmentations: Mapping[str, Dataset]
    header: Dataset


def series_facts(results: StudyResults) -> SeriesFacts:
    """The facts that identify the series of the report."""
    kinds = (SUPER_RESOLUTION, SEGMENTATION, *((PREDICTION,) if results.prediction else ()))
    return SeriesFacts(
        role="report",
        number=SERIES_NUMBER,
        description="AI measurement report (research)",
        modality="SR",
        sop_class_uid=Comprehensive3DSRStorage,
        algorithms=tuple(kind for kind in kinds if kind in results.algorithms),
    )


def report(results: StudyResults, evidence: Evidence, identity: Identity, content: str) -> Dataset:
    """The report of a study.

    Args:
        results: what was found.
        evidence: the objects that it refers to.
        identity: origin of UIDs and dates.
        content: digest of plan and prediction, which the text depends on beyond the images used.
    """
    facts = series_facts(results)
    root = _document(results, evidence, identity, content)[0]
    items = root.ContentSequence
    # highdicom copies the tree, reads it again and searches it twice, in half of the time that a report takes.
    root.ContentSequence = ContentSequence(items[:1])
    dataset = Comprehensive3DSR(
        evidence=_evidence(evidence),
        content=root,
        series_instance_uid=identity.uid(f"{facts.role}/series", content=content),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{facts.role}/instance", content=content),
        instance_number=1,
        manufacturer=PRODUCT,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if results.supersedes is None else [reference_to(results.supersedes)],
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    dataset.ContentSequence = items
    _refer(dataset, evidence)
    _complete_evidence(dataset, evidence)
    patient_and_study(dataset, evidence.header)
    identify(dataset, facts, identity, evidence.header, content)
    put(dataset, "CodingSchemeIdentificationSequence", _coding_schemes(results, identity))
    return dataset


def _document(results: StudyResults, evidence: Evidence, identity: Identity, content: str) -> ContentSequence:
    root = ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(CodedConcept.from_code(ENGLISH)))
    root.ContentSequence.extend(ObservationContext(observer_device_context=device_observer(identity)))
    root.ContentSequence.append(
        CodeContentItem(
            name=codes.DCM.ProcedureReported,
            value=Code("25056-3", "LN", "MRI unspecified body region"),
            relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    if evidence.frames:
        root.ContentSequence.append(_container(codes.DCM.ImageLibrary, _library_groups(evidence)))
        root.ContentSequence.append(
            _container(codes.DCM.ImagingMeasurements, _measurement_groups(results, evidence, identity))
        )
    root.ContentSequence.append(_container(QUALITATIVE_EVALUATIONS, map(_text, remarks(results))))
    return ContentSequence([root], is_root=True)


def _measurement_groups(results: StudyResults, evidence: Evidence, identity: Identity) -> Iterator[ContentItem]:
    found = [result for result in results.sequences if result.sequence in evidence.segmentations]
    if not found:
        yield from _no_tumour(results, evidence, identity)
        return
    for number, result in enumerate(found):
        measurements = list(_measurements(result, results.prediction, identity))
        if number == 0 and results.prediction is not None:
            measurements += predicted_probabilities(results.prediction, identity)
        in_rectum = is_in_rectum(results.plan.location(result.sequence))
        yield from _tumour(result, measurements, evidence, identity, in_rectum)


def _measurements(result: SequenceResult, prediction: Prediction | None, identity: Identity) -> Iterator[Measurement]:
    """Of the tumour in one sequence, the features of this sequence that explain the prediction included."""
    explaining = [
        feature
        for feature in (reasons(prediction.main) if prediction else ())
        if in_words(feature.name).sequence == result.sequence
    ]
    yield from tumour_measurements(result, identity, {feature.name for feature in explaining})
    if prediction is not None:
        yield from explaining_features(explaining, prediction, identity)


def _tumour(
    result: SequenceResult,
    measurements: Sequence[Measurement],
    evidence: Evidence,
    identity: Identity,
    in_rectum: bool,
) -> ContentSequence:
    """TID 1411: the tumour in one sequence; the first group also carries the predictions.

    The rectum is coded as its site only where that was established.
    """
    segmentation = evidence.segmentations[result.sequence]
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(identity), identifier=TRACKING_ID),
        referenced_segment=ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=SEGMENT_NUMBER,
            source_images=[_source_of_segmentation(frame) for frame in _images(_frames_with_tumour(result, evidence))],
        ),
        finding_type=codes.SCT.Neoplasm,
        finding_sites=[FindingSite(anatomic_location=codes.SCT.Rectum)] if in_rectum else None,
        measurements=measurements,
    )


def _no_tumour(results: StudyResults, evidence: Evidence, identity: Identity) -> ContentSequence:
    """TID 1501: looked for, not found; or what was found could not be relied on."""
    answer = INDETERMINATE if results.plan.set_aside else codes.SCT.Absent
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=tracking_uid(identity), identifier=TRACKING_ID),
        finding_type=codes.SCT.Neoplasm,
        qualitative_evaluations=[QualitativeEvaluation(TUMOUR_SEGMENTED, answer)],
        source_images=[
            SourceImageForMeasurementGroup(frame.sop_class_uid, frame.sop_instance_uid, _frame_numbers(frame))
            for frames in evidence.frames.values()
            for frame in _images(frames)
        ],
    )


def _source_of_segmentation(frame: SourceFrame) -> SourceImageForSegmentation:
    item = SourceImageForSegmentation(frame.sop_class_uid, frame.sop_instance_uid, _frame_numbers(frame))
    # highdicom capitalises this meaning otherwise than PS3.16 does, and validators warn of it.
    item.ConceptNameCodeSequence[0].CodeMeaning = "Source image for segmentation"
    return item


def _container(name: Code, items: Iterator[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence()
    container.ContentSequence.extend(items)
    return container


def _text(remark: Remark) -> TextContentItem:
    return TextContentItem(name=remark.concept, value=remark.text, relationship_type=RelationshipTypeValues.CONTAINS)


def _frames_with_tumour(result: SequenceResult, evidence: Evidence) -> list[SourceFrame]:
    slices = np.any(sitk.GetArrayViewFromImage(result.mask), axis=(1, 2))
    return [frame for frame, drawn in zip(evidence.frames[result.sequence], slices, strict=True) if drawn]


def _frame_numbers(frame: SourceFrame) -> list[int] | None:
    return None if frame.frame_number is None else [frame.frame_number]


def _library_groups(evidence: Evidence) -> Iterator[ContentItem]:
    """TID 1600: one group a sequence; what its images have in common stands once, at the group."""
    for frames in evidence.frames.values():
        group = ContainerContentItem(
            name=codes.DCM.ImageLibraryGroup, relationship_type=RelationshipTypeValues.CONTAINS
        )
        group.ContentSequence = ContentSequence()
        group.ContentSequence.extend(
            item for item in ImageLibraryEntryDescriptors(_described(frames[0])) if not _is_of_one_slice(item)
        )
        group.ContentSequence.extend(
            ImageContentItem(
                name=CodedConcept("260753009", "SCT", "Source"),
                referenced_sop_class_uid=frame.sop_class_uid,
                referenced_sop_instance_uid=frame.sop_instance_uid,
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
            for frame in _objects(frames)
        )
        yield group


def _is_of_one_slice(item: ContentItem) -> bool:
    return item.name in (
        codes.DCM.ImagePositionPatientX,
        codes.DCM.ImagePositionPatientY,
        codes.DCM.ImagePositionPatientZ,
    )


def _described(frame: SourceFrame) -> Dataset:
    """The header as highdicom wants it for the descriptors of TID 1604."""
    header = Dataset()
    inherit(header, frame.header, (*attributes.GEOMETRY, *attributes.FRAME_OF_REFERENCE))
    uids = {"SOPClassUID": frame.sop_class_uid, "SOPInstanceUID": frame.sop_instance_uid}
    put_all(header, {**uids, "Modality": "MR"})
    if not header.get("SpacingBetweenSlices"):
        header.pop("SpacingBetweenSlices", None)
    if not UID(header.FrameOfReferenceUID).is_valid:
        # Optional here, and for the sake of a leading zero in it DCMTK's readers refuse the whole report.
        del header["FrameOfReferenceUID"]
    return header


def _images(frames: Sequence[SourceFrame]) -> list[SourceFrame]:
    """One frame of every source image, in order: all slices of a sheet are one image."""
    first: dict[tuple[str, int | None], SourceFrame] = {}
    for frame in frames:
        first.setdefault((frame.sop_instance_uid, frame.frame_number), frame)
    return list(first.values())


def _objects(frames: Sequence[SourceFrame]) -> list[SourceFrame]:
    """One frame of every source object, in order."""
    first: dict[str, SourceFrame] = {}
    for frame in frames:
        first.setdefault(frame.sop_instance_uid, frame)
    return list(first.values())


def _evidence(evidence: Evidence) -> list[Dataset]:
    """Identifiers of everything that the report refers to, as highdicom collects them."""
    sources = [
        _identified(frame.header, frame.sop_class_uid, frame.sop_instance_uid)
        for frames in evidence.frames.values()
        for frame in _objects(frames)
    ]
    # highdicom knows no private SOP classes, such as the reference of a refused study may have; `_refer` names it.
    reference = _identified(evidence.header, MRImageStorage, evidence.header.SOPInstanceUID)
    return [*sources, *evidence.segmentations.values()] or [reference]


def _refer(dataset: Dataset, evidence: Evidence) -> None:
    """Write the SOP class of the instance that stands for a study of which nothing could be used."""
    if not evidence.frames:
        (series,) = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        put(series.ReferencedSOPSequence[0], "ReferencedSOPClassUID", evidence.header.SOPClassUID)


def _complete_evidence(dataset: Dataset, evidence: Evidence) -> None:
    """Name source images that highdicom passes over because one of another series has the same SOP Instance UID."""
    for study in dataset.get("CurrentRequestedProcedureEvidenceSequence", ()):
        by_series = {item.SeriesInstanceUID: item.ReferencedSOPSequence for item in study.ReferencedSeriesSequence}
        listed = {(uid, it.ReferencedSOPInstanceUID) for uid, references in by_series.items() for it in references}
        for wanted in referenced_series([frame for frames in evidence.frames.values() for frame in frames]):
            uid = wanted.SeriesInstanceUID
            lacking = [
                it for it in wanted.ReferencedInstanceSequence if (uid, it.ReferencedSOPInstanceUID) not in listed
            ]
            if uid in by_series:
                by_series[uid].extend(lacking)
            elif lacking:
                item = Dataset()
                item.ReferencedSOPSequence = lacking
                item.SeriesInstanceUID = uid
                study.ReferencedSeriesSequence.append(item)


def _identified(header: Dataset, sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Study, series and instance; without the patient and the rest of the study, as in `segmentation`."""
    dataset = Dataset()
    complete(dataset, attributes.REQUIRED_EVEN_IF_EMPTY)
    inherit(dataset, header, ("SpecificCharacterSet", "StudyInstanceUID", "SeriesInstanceUID"))
    put_all(dataset, {"SOPClassUID": sop_class_uid, "SOPInstanceUID": sop_instance_uid})
    return dataset


def _coding_schemes(results: StudyResults, identity: Identity) -> list[CodingSchemeIdentificationItem]:
    """IBSI, the node's own, and the private one (99…, PS3.3 8.2) of the prediction bundle's target, if it has one."""
    schemes = [
        CodingSchemeIdentificationItem(
            designator="IBSI",
            name="Image Biomarker Standardisation Initiative",
            responsible_organization="Image Biomarker Standardisation Initiative",
        ),
        CodingSchemeIdentificationItem(
            designator=LOCAL_SCHEME,
            name="Concepts of rectal-node",
            responsible_organization=PRODUCT,
            version=product_version(),
        ),
    ]
    scheme = results.prediction.target.concept.scheme if results.prediction else LOCAL_SCHEME
    if scheme.startswith("99") and scheme != LOCAL_SCHEME:
        bundle = identity.algorithm(PREDICTION)
        schemes.append(
            CodingSchemeIdentificationItem(
                designator=scheme, name=f"Concepts of the bundle {bundle.name}", version=bundle.version
            )
        )
    return schemes
