"""A tumour mask as a DICOM Segmentation on the grid of the images that it refers to (PS3.3 A.51, highdicom)."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from highdicom.seg import Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, SegmentationStorage
from pydicom.valuerep import format_number_as_ds

from node.results import attributes
from node.results.identity import (
    PRODUCT,
    RESEARCH_STATEMENT,
    SEGMENTATION,
    SUPER_RESOLUTION,
    Identity,
    clipped,
    product_version,
)
from node.results.image_planes import require_same_place
from node.results.modules import (
    SeriesFacts,
    identify,
    patient_and_study,
    refer_to,
    source_image_items,
)
from node.results.source import SourceFrame, complete, inherit, put, put_all

SEGMENT_NUMBER = 1
TRACKING_ID = "Tumour 1"
#: Orange red, told apart from grey values and from red overlays of measurements.
DISPLAY_COLOR = (230, 80, 40)
SERIES_NUMBER = {"T2WI": 9101, "DWI": 9102, "PVP": 9103}
SUPER_RESOLVED_OFFSET = 10


def tracking_uid(identity: Identity) -> hd.UID:
    """Tracking UID (0062,0021) of the tumour, the same in all segmentations and in the report."""
    return hd.UID(identity.uid("tracking"))


def series_facts(sequence: str, super_resolved: bool) -> SeriesFacts:
    """The facts that identify the segmentation series of a sequence on one of its two grids."""
    grid = "super-resolved-" if super_resolved else ""
    return SeriesFacts(
        role=f"segmentation-{grid}{sequence.lower()}",
        number=SERIES_NUMBER[sequence] + (SUPER_RESOLVED_OFFSET if super_resolved else 0),
        description=f"AI-SEG {sequence} tumour{' on AI-SR' if super_resolved else ''} (research)",
        modality="SEG",
        sop_class_uid=SegmentationStorage,
        algorithms=(SEGMENTATION, SUPER_RESOLUTION),
    )


def segmentation(
    mask: sitk.Image,
    frames: Sequence[SourceFrame],
    facts: SeriesFacts,
    identity: Identity,
    acquired: Dataset,
    in_rectum: bool,
) -> Dataset:
    """Binary segmentation of one segment; every slice of the grid is a frame, also where it is empty.

    Args:
        mask: uint8, not empty; slice k lies on frame k.
        frames: images that the mask refers to, acquired or derived.
        facts: the series that it is written as.
        identity: origin of UIDs and dates.
        acquired: header of a source image of the scanner, for equipment.
        in_rectum: whether it was established that the tumour lies there; else no region is coded.

    Raises:
        PermanentError: mask and frames are not at the same place.
    """
    require_same_place(mask, frames)
    pixels = (sitk.GetArrayViewFromImage(mask) > 0).astype(np.uint8)
    return segmentation_of(pixels, SegmentationTypeValues.BINARY, frames, facts, identity, acquired, in_rectum)


def segmentation_of(
    pixels: np.ndarray,
    kind: SegmentationTypeValues,
    frames: Sequence[SourceFrame],
    facts: SeriesFacts,
    identity: Identity,
    acquired: Dataset,
    in_rectum: bool,
) -> Dataset:
    """A segmentation of one segment of any type; pixels (slices, rows, columns) are uint8, or float32 from 0 to 1.

    The other arguments are those of `segmentation`. Of a fractional one the values are probabilities, in 255ths.
    """
    dataset = Segmentation(
        source_images=[stand_in(frame) for frame in frames],
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[_segment(identity, in_rectum)],
        series_instance_uid=identity.uid(f"{facts.role}/series"),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{facts.role}/instance"),
        instance_number=1,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=product_version(),
        device_serial_number=identity.site.uid_root.rstrip("."),
        content_label="RECTAL_TUMOUR" if in_rectum else "TUMOUR",
        content_description="AI tumour segmentation, research, not for diagnosis",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )
    put(dataset, "ContentCreatorName", None)
    patient_and_study(dataset, frames[0].header)
    identify(dataset, facts, identity, acquired)
    _refer(dataset, frames)
    _fix_dimension_organization(dataset, identity.uid(f"{facts.role}/dimensions"))
    return dataset


def _segment(identity: Identity, in_rectum: bool) -> SegmentDescription:
    model, generator = identity.algorithm(SEGMENTATION), identity.algorithm(SUPER_RESOLUTION)
    return SegmentDescription(
        segment_number=SEGMENT_NUMBER,
        segment_label="Rectal tumour (AI, research)"
        if in_rectum
        else "Tumour (AI, research), location not established",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=clipped(model.name, 64),
            version=clipped(model.version, 64),
            family=codes.DCM.ArtificialIntelligence,
            source=PRODUCT,
            parameters={
                "digest": model.digest,
                "input": f"{generator.name} {generator.version}",
                "statement": f"{RESEARCH_STATEMENT} {model.statement}",
            },
        ),
        tracking_uid=tracking_uid(identity),
        tracking_id=TRACKING_ID,
        anatomic_regions=[codes.SCT.Rectum] if in_rectum else None,
        display_color=hd.color.CIELabColor.from_rgb(*DISPLAY_COLOR),
    )


def stand_in(frame: SourceFrame) -> Dataset:
    """The frame as highdicom gets it: its place and its identifiers.

    Without the patient and the study, whose values highdicom puts into warnings and checks more strictly than they
    come; and as a single image, because it takes single images or one whole multi-frame object, not a part of it.
    `segmentation` and `_refer` write patient, study and references.
    """
    alone = Dataset()
    inherit(alone, frame.header, (*attributes.GEOMETRY, *attributes.FRAME_OF_REFERENCE, *attributes.LOSSY))
    inherit(alone, frame.header, ("SpecificCharacterSet", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"))
    complete(alone, attributes.REQUIRED_EVEN_IF_EMPTY)
    put_all(alone, {"SOPClassUID": MRImageStorage, "Modality": "MR"})
    if frame.frame_number is not None:
        put(alone, "SOPInstanceUID", f"1.2.{frame.frame_number}")
    return alone


def _refer(dataset: Dataset, frames: Sequence[SourceFrame]) -> None:
    """Write the references of every frame, of the object and of its series."""
    by_position = {_position(frame.header): frame for frame in frames}
    for item in dataset.PerFrameFunctionalGroupsSequence:
        frame = by_position[_position(item.PlanePositionSequence[0])]
        item.DerivationImageSequence[0].SourceImageSequence = source_image_items([frame], preserved=True)
    refer_to(dataset, frames, preserved=True)


def _position(header: Dataset) -> tuple[str, ...]:
    return tuple(format_number_as_ds(round(float(value), 4) + 0.0) for value in header.ImagePositionPatient)


def _fix_dimension_organization(dataset: Dataset, uid: hd.UID) -> None:
    """highdicom draws this UID at random; the same results must give the same bytes."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
