"""The contour of the tumour as Grayscale Softcopy Presentation States over an image series (PS3.3 A.33.1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from highdicom import pr
from pydicom.dataset import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from node.results.contours import borders
from node.results.derived_mr import slope_of
from node.results.findings import SequenceResult
from node.results.identity import (
    PRODUCT,
    RESEARCH_STATEMENT,
    SEGMENTATION,
    SUPER_RESOLUTION,
    Identity,
    product_version,
)
from node.results.image_planes import require_same_place
from node.results.modules import SeriesFacts, complete_series, identify, patient_and_study, references
from node.results.segmentation import DISPLAY_COLOR, TRACKING_ID, stand_in, tracking_uid
from node.results.source import SourceFrame, put, put_all
from node.results.window import grey_range

log = logging.getLogger(__name__)

SERIES_NUMBER = {"T2WI": 9141, "DWI": 9142, "PVP": 9143}
SUPER_RESOLVED_OFFSET = 10
_LABEL = f"AI tumour contour. {RESEARCH_STATEMENT}"
#: Slope and intercept from stored to real values: what the Modality LUT of a presentation state says.
Rescale = tuple[float, float]


def series_facts(sequence: str, super_resolved: bool) -> SeriesFacts:
    """The facts that identify the series over the images of a sequence on one of its two grids."""
    grid = "super-resolved-" if super_resolved else ""
    return SeriesFacts(
        role=f"presentation-state-{grid}{sequence.lower()}",
        number=SERIES_NUMBER[sequence] + (SUPER_RESOLVED_OFFSET if super_resolved else 0),
        description=f"AI contour {sequence} tumour{' on AI-SR' if super_resolved else ''} (research)",
        modality="PR",
        sop_class_uid=GrayscaleSoftcopyPresentationStateStorage,
        algorithms=(SEGMENTATION, SUPER_RESOLUTION),
    )


def of_acquired(
    result: SequenceResult, frames: Sequence[SourceFrame], identity: Identity
) -> Iterator[tuple[str, Dataset]]:
    """Role and presentation state over the acquired images of a sequence: one for all that share a rescale.

    None over a sheet of tiled slices, whose pixels are not those of a slice, and none over images that are stored
    inverted: the window is that of values that were turned round.
    """
    if any(frame.tiled or _is_inverted(frame.header) for frame in frames):
        log.info("series %s: tiled or inverted, no presentation state is made of it", frames[0].series_instance_uid)
        return
    facts = series_facts(result.sequence, super_resolved=False)
    window = grey_range(sitk.GetArrayViewFromImage(result.acquired))
    by_rescale: dict[Rescale, list[int]] = {}
    for index, frame in enumerate(frames):
        by_rescale.setdefault(_rescale(frame.header), []).append(index)
    for number, (rescale, members) in enumerate(by_rescale.items(), 1):
        yield (
            facts.role,
            _state(result.mask, frames, members, facts, identity, frames[0].header, window, rescale, number),
        )


def of_super_resolved(
    result: SequenceResult, derived: Sequence[SourceFrame], acquired: Dataset, identity: Identity
) -> Iterator[tuple[str, Dataset]]:
    """Role and presentation state over the derived images, where the mask on their grid is delivered.

    Args:
        result: of the sequence.
        derived: its derived images.
        acquired: header of a source image of the scanner, for equipment.
        identity: origin of UIDs and dates.
    """
    if result.mask_super is None:
        return
    facts, volume = (
        series_facts(result.sequence, super_resolved=True),
        sitk.GetArrayViewFromImage(result.super_resolved),
    )
    slope = slope_of(volume)
    low, high = grey_range(volume)
    window = low / slope, high / slope
    members = range(len(derived))
    yield facts.role, _state(result.mask_super, derived, members, facts, identity, acquired, window, (1.0, 0.0), 1)


def _state(
    mask: sitk.Image,
    frames: Sequence[SourceFrame],
    members: Sequence[int],
    facts: SeriesFacts,
    identity: Identity,
    acquired: Dataset,
    window: tuple[float, float],
    rescale: Rescale,
    number: int,
) -> Dataset:
    require_same_place(mask, frames)
    shown = {index: _image(frames[index]) for index in members}
    layer = pr.GraphicLayer("TUMOUR", 1, "AI tumour contour", hd.color.CIELabColor.from_rgb(*DISPLAY_COLOR))
    inside = sitk.GetArrayViewFromImage(mask) > 0
    annotated = [index for index in members if inside[index].any()]
    low, high = window
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list(shown.values()),
        series_instance_uid=identity.uid(f"{facts.role}/series"),
        series_number=facts.number,
        sop_instance_uid=identity.uid(f"{facts.role}/instance", number),
        instance_number=number,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=product_version(),
        device_serial_number=identity.site.uid_root.rstrip("."),
        content_label="TUMOUR_CONTOUR",
        content_description="AI tumour contour, research, not for diagnosis",
        graphic_annotations=[_annotation(shown[index], inside[index], layer, identity) for index in annotated] or None,
        graphic_layers=[layer] if annotated else None,
        modality_lut_transformation=None
        if rescale == (1.0, 0.0)
        else hd.ModalityLUTTransformation(rescale_intercept=rescale[1], rescale_slope=rescale[0], rescale_type="US"),
        voi_lut_transformations=[
            pr.SoftcopyVOILUTTransformation(round((low + high) / 2, 1), round(max(high - low, 1.0), 1))
        ],
    )
    made_at = identity.made_at(acquired)  # highdicom writes the time of the clock
    creation = {"PresentationCreationDate": f"{made_at:%Y%m%d}", "PresentationCreationTime": f"{made_at:%H%M%S}"}
    put_all(state, {"ContentCreatorName": None, **creation})
    patient_and_study(state, frames[0].header)
    complete_series(state)
    identify(state, facts, identity, acquired)
    _refer(state, [frames[index] for index in members], [frames[index] for index in annotated])
    return state


def _image(frame: SourceFrame) -> Dataset:
    image = stand_in(frame)
    put(image, "SamplesPerPixel", 1)
    return image


def _annotation(image: Dataset, inside: np.ndarray, layer: pr.GraphicLayer, identity: Identity) -> pr.GraphicAnnotation:
    lines = [
        pr.GraphicObject("POLYLINE", line, "PIXEL", tracking_id=TRACKING_ID, tracking_uid=tracking_uid(identity))
        for line in borders(inside)
    ]
    label = pr.TextObject(_LABEL, "DISPLAY", bounding_box=(0.02, 0.94, 0.98, 0.99), text_justification="LEFT")
    return pr.GraphicAnnotation([image], layer, graphic_objects=lines, text_objects=[label])


def _refer(state: Dataset, frames: Sequence[SourceFrame], annotated: Sequence[SourceFrame]) -> None:
    """Name the images as they are; highdicom was given one stand-in a frame."""
    for item, frame in zip(state.get("GraphicAnnotationSequence", ()), annotated, strict=True):
        put(item, "ReferencedImageSequence", references([frame]))
    by_series: dict[str, list[SourceFrame]] = {}
    for frame in frames:
        by_series.setdefault(frame.series_instance_uid, []).append(frame)
    series = []
    for series_instance_uid, of_series in by_series.items():
        named = Dataset()
        put(named, "SeriesInstanceUID", series_instance_uid)
        put(named, "ReferencedImageSequence", references(of_series))
        series.append(named)
    put(state, "ReferencedSeriesSequence", series)
    area = state.DisplayedAreaSelectionSequence[0]
    del area.PresentationPixelAspectRatio
    put(area, "PresentationPixelSpacing", list(frames[0].header.PixelSpacing))


def _is_inverted(header: Dataset) -> bool:
    return header.get("PhotometricInterpretation") == "MONOCHROME1" or header.get("PresentationLUTShape") == "INVERSE"


def _rescale(header: Dataset) -> Rescale:
    slope, intercept = (header.get(keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    return float(1.0 if slope in (None, "") else slope), float(intercept or 0.0)
