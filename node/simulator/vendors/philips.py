"""Philips Multiva 1.5 T, R5: rescaled pixels, b-value in (0018,9087) and (2001,1003), one series a dynamic.

Habits read in real files (Achieva, Achieva dStream, Ingenia): ImageType ORIGINAL\\PRIMARY\\M_SE\\M\\SE for T2 and DWI
alike and ORIGINAL\\PRIMARY\\ADC_UNSPECIFIED\\ADC\\UNSPECIFIED for the map, b 0 and gradient 0 on every image,
(2001,1020) names the technique, 12 bits with rescale slope (one a series, one a dynamic) and scale slope
(2005,100E), Series Number = acquisition x 100 + reconstruction, all dynamics or b-values of a slice before the next
slice. In eTHRIVE dynamics Acquisition Time is that of the run and TriggerTime (ms) = 1000 x (2005,10A0) (s) tells
the dynamic. The contrast start time is the operator's entry, assumed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import SimpleITK as sitk
from pydicom import Dataset

from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.simulator.elements import add_private, decimal, field_of_view, plane_axis, slice_step, standard
from node.simulator.measurement import Recipe, b_text, bolus, duration_s, of_kind, phase_start_s, protocol, window
from node.simulator.series import ScannerSeries, ScannerVolume, SlicePlace, StorageFormat
from node.simulator.session import AXIAL_S, DIFFUSION_S, LOCALIZER_S, SAGITTAL_S, Session

FORMAT = StorageFormat(bits_stored=12, signed=False, extremes=False, time_digits=2)
CHARACTER_SET = "ISO_IR 100"

IMAGING = tuple(f"Philips Imaging DD {number:03d}" for number in range(1, 3))
MR = tuple(f"Philips MR Imaging DD {number:03d}" for number in range(1, 7))
ORIENTATION = ("SAGITTAL", "CORONAL", "TRANSVERSAL")
# Ratio of the vendor's comparable value FP = SV / SS to the displayed value DV, the same in the whole study.
COMPARABLE = 280.0

SPIN_ECHO = ("ORIGINAL", "PRIMARY", "M_SE", "M", "SE")
GRADIENT_ECHO = ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE")
TSE = Recipe("T2W_TSE_tra", SPIN_ECHO, ("SE",), ("SK",), ("OTHER",), "TSE", 17)
SURVEY = replace(TSE, description="Survey", sequence="TSE", echo_train=90)
DWI = Recipe("DWI", SPIN_ECHO, ("SE",), ("SK",), ("FS",), "DwiSE", 49)
ADC = replace(DWI, description="dADC", image_type=("ORIGINAL", "PRIMARY", "ADC_UNSPECIFIED", "ADC", "UNSPECIFIED"))
THRIVE = Recipe("dyn_eTHRIVE", GRADIENT_ECHO, ("GR",), ("SK", "SP"), ("FS",), "T1TFE", 40)
SUBTRACTION = replace(
    THRIVE, description="Sub_dyn_eTHRIVE", image_type=("DERIVED", "SECONDARY", "SUBTRACTION", "M", "FFE")
)


@dataclass(frozen=True, slots=True)
class _Part:
    """Where a volume belongs in its series: number and begin of the dynamic, number of the b-value."""

    source: SimulatedSeries
    dynamic: int = 1
    begin_s: float = 0.0
    b_number: int = 1


def equipment(model: str) -> Dataset:
    """General equipment and habits that do not depend on the series."""
    return standard(
        {
            "Manufacturer": "Philips Medical Systems",
            "ManufacturerModelName": "Multiva",
            "SoftwareVersions": ["5.3.0", "5.3.0.3"],
            "StationName": "SIMMULTIVA",
            "DeviceSerialNumber": "71001",
            "BodyPartExamined": "PELVIS",
            "PatientPosition": "HFS",
            "SequenceName": "",
            "HeartRate": "0",
            "LowRRValue": "0",
            "HighRRValue": "0",
            "IntervalsAcquired": "0",
            "IntervalsRejected": "0",
            "ReceiveCoilName": "MULTI COIL",
            "TransmitCoilName": "BODY",
            "PresentationLUTShape": "IDENTITY",
            "LossyImageCompression": "00",
        }
    )


def series(study: SimulatedStudy, session: Session) -> tuple[ScannerSeries, ...]:
    """All MR series: survey 101, T2 sagittal 201, axial 301, DWI 401, ADC 402, dynamic 501, subtraction 502."""
    weighted = of_kind(study, "DWI")
    diffusion = replace(DWI, description=f"DWI_{b_text(weighted, '_')}")
    stored = [
        _series(study, 101, _parts(of_kind(study, "LOCALIZER")), SURVEY, LOCALIZER_S),
        _series(study, 201, _parts(of_kind(study, "T2WI_SAG")), replace(TSE, description="T2W_TSE_sag"), SAGITTAL_S),
        _series(study, 301, _parts(of_kind(study, "T2WI")), TSE, AXIAL_S),
        _series(study, 401, [_Part(each, b_number=i) for i, each in enumerate(weighted, 1)], diffusion, DIFFUSION_S),
        _series(study, 402, _parts(of_kind(study, "ADC")), ADC, DIFFUSION_S),
        *_dynamic(study, session),
    ]
    return tuple(stored)


def _parts(sources: Sequence[SimulatedSeries]) -> list[_Part]:
    return [_Part(source) for source in sources]


def _dynamic(study: SimulatedStudy, session: Session) -> list[ScannerSeries]:
    phases = of_kind(study, "DCE")
    first_s = phase_start_s(phases[0])
    parts = [_Part(each, i, phase_start_s(each) - first_s) for i, each in enumerate(phases, 1)]
    stored = [_series(study, 501, parts, THRIVE, first_s)]
    for number, difference in enumerate(of_kind(study, "SUBTRACTION"), 502):
        part = _Part(difference, begin_s=phase_start_s(difference) - first_s)
        stored.append(_series(study, number, [part], SUBTRACTION, first_s))
    for each in stored:
        each.elements.update(bolus(session, FORMAT.time_digits))
    return stored


def _series(
    study: SimulatedStudy, number: int, parts: Sequence[_Part], recipe: Recipe, start_s: float
) -> ScannerSeries:
    first = parts[0].source
    return ScannerSeries(
        number=number,
        description=recipe.description,
        elements=_header(study, number, parts, recipe),
        volumes=tuple(_volume(part, parts, start_s) for part in parts),
        reconstructed_s=start_s + parts[-1].begin_s + duration_s(first, recipe.echo_train),
        slice_elements=_slice_elements,
        slices_first=len({(part.dynamic, part.b_number) for part in parts}) == 1,
    )


def _slope(images: Sequence[sitk.Image]) -> float:
    """Rescale slope that spreads the largest value over the 12 bits, as written in 16 characters."""
    filter_ = sitk.MinimumMaximumImageFilter()
    largest = 1.0
    for image in images:
        filter_.Execute(image)
        largest = max(largest, filter_.GetMaximum())
    return float(decimal(largest / FORMAT.largest))


def _volume(part: _Part, parts: Sequence[_Part], start_s: float) -> ScannerVolume:
    slope = _slope([other.source.image for other in parts if other.dynamic == part.dynamic])
    b_value = part.source.b_value or 0.0
    shown = window([part.source.image])
    elements = standard(
        {
            "RescaleSlope": decimal(slope),
            "RescaleIntercept": "0",
            "RescaleType": "normalized",
            "DiffusionBValue": b_value,
            "DiffusionGradientOrientation": [0.0, 0.0, 0.0],
            "TemporalPositionIdentifier": str(part.dynamic),
            "NumberOfTemporalPositions": str(parts[-1].dynamic),
        }
    )
    elements.update(shown)
    if len({other.dynamic for other in parts}) > 1 or part.begin_s:
        elements.TriggerTime = decimal(round(1000 * part.begin_s, 3))
    _add_2001(elements, part, b_value)
    _add_2005(elements, part, parts, slope)
    return ScannerVolume(part.source.image, start_s, elements, slope)


def _add_2001(elements: Dataset, part: _Part, b_value: float) -> None:
    isotropic = "I" if part.source.kind == "DWI" else ""
    orientation = ORIENTATION[plane_axis(part.source.image)]
    for creator in IMAGING:
        elements.private_block(0x2001, creator, create=True)
    add_private(
        elements,
        0x2001,
        IMAGING[0],
        {
            0x03: ("FL", b_value),
            0x04: ("CS", isotropic),
            0x08: ("IS", "1"),
            0x0B: ("CS", orientation),
        },
    )


def _add_2005(elements: Dataset, part: _Part, parts: Sequence[_Part], slope: float) -> None:
    for creator in MR:
        elements.private_block(0x2005, creator, create=True)
    add_private(
        elements,
        0x2005,
        MR[0],
        {
            0x0D: ("FL", 0.0),
            0x0E: ("FL", 1 / (slope * COMPARABLE)),
            0x11: ("CS", "ADC" if part.source.kind == "ADC" else "M"),
            0x14: ("CS", "Y" if part.source.kind in ("DWI", "ADC") else "N"),
            0xA0: ("FL", part.begin_s),
            0xB0: ("FL", 0.0),
            0xB1: ("FL", 0.0),
            0xB2: ("FL", 0.0),
        },
    )
    add_private(
        elements,
        0x2005,
        MR[4],
        {
            0x09: ("DS", "0"),
            0x0A: ("DS", decimal(slope)),
            0x0B: ("LO", "normalized"),
            0x12: ("IS", str(part.b_number)),
            0x13: ("IS", "1"),
            0x14: ("SL", parts[-1].b_number),
            0x15: ("SL", 1),
        },
    )


def _header(study: SimulatedStudy, number: int, parts: Sequence[_Part], recipe: Recipe) -> Dataset:
    source = parts[0].source
    acquisition = str(number // 100)
    elements = protocol(source, recipe, study.scanner.field_strength_t)
    elements.ProtocolName = f"WIP {recipe.description} SENSE"
    elements.AcquisitionNumber = acquisition
    elements.SpacingBetweenSlices = decimal(slice_step(source.image))
    elements.ReconstructionDiameter = decimal(max(field_of_view(source.image)))
    elements.NumberOfPhaseEncodingSteps = str(source.acquisition_matrix[1])
    elements.PixelBandwidth = "1780" if recipe.sequence == "DwiSE" else "230"
    elements.AcquisitionDuration = parts[-1].begin_s + duration_s(source, recipe.echo_train)
    elements.SAR = "0.8"
    for creator in IMAGING:
        elements.private_block(0x2001, creator, create=True)
    add_private(
        elements,
        0x2001,
        IMAGING[0],
        {
            0x12: ("CS", "Y" if parts[-1].dynamic > 1 else "N"),
            0x14: ("SL", 1),
            0x17: ("SL", 1),
            0x18: ("SL", source.image.GetDepth()),
            0x1D: ("IS", str(number % 100)),
            0x20: ("LO", recipe.sequence),
            0x21: ("CS", "Y" if "FS" in recipe.options else "N"),
            0x60: ("SL", len({plane_axis(part.source.image) for part in parts})),
            0x7B: ("IS", acquisition),
            0x81: ("IS", str(parts[-1].dynamic)),
            0x82: ("IS", str(recipe.echo_train)),
        },
    )
    return elements


def _slice_elements(volume: ScannerVolume, place: SlicePlace) -> Dataset:
    elements = Dataset()
    add_private(elements, 0x2001, IMAGING[0], {0x0A: ("IS", str(place.index + 1))})
    return elements
