"""What every vendor's header says of a measurement: protocol, duration, contrast agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset

from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.simulator.elements import decimal, standard
from node.simulator.session import INJECTION_S, Session

GYROMAGNETIC_MHZ_PER_T = 42.577
# What parallel imaging and partial Fourier save altogether in a 3D run; 4 gives breath-holds of 8 to 20 s.
ACCELERATION_3D = 4.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a vendor writes for one kind of measurement."""

    description: str
    image_type: tuple[str, ...]
    scanning: tuple[str, ...]
    variant: tuple[str, ...]
    options: tuple[str, ...]
    sequence: str
    echo_train: int


def of_kind(study: SimulatedStudy, kind: str) -> tuple[SimulatedSeries, ...]:
    """The volumes of one kind, by rising b-value and time."""
    found = [series for series in study.series if series.kind == kind]
    return tuple(sorted(found, key=lambda series: (series.b_value or 0.0, series.phase_time_s or 0.0)))


def protocol(source: SimulatedSeries, recipe: Recipe, field_strength_t: float) -> Dataset:
    """MR image module (PS3.3 C.8.3.1) as far as the phantom's acquisition decides it."""
    frequency, phase = source.acquisition_matrix
    return standard(
        {
            "ImageType": list(recipe.image_type),
            "ScanningSequence": list(recipe.scanning),
            "SequenceVariant": list(recipe.variant),
            "ScanOptions": list(recipe.options),
            "MRAcquisitionType": source.mr_acquisition_type,
            "SliceThickness": decimal(source.slice_thickness_mm),
            "RepetitionTime": decimal(source.tr_ms),
            "EchoTime": decimal(source.te_ms),
            "FlipAngle": decimal(source.flip_deg),
            "NumberOfAverages": "1",
            "ImagedNucleus": "1H",
            "EchoNumbers": "1",
            "MagneticFieldStrength": decimal(field_strength_t),
            "ImagingFrequency": decimal(round(field_strength_t * GYROMAGNETIC_MHZ_PER_T, 6)),
            "EchoTrainLength": str(recipe.echo_train),
            "PercentSampling": decimal(min(100.0, round(100 * phase / frequency, 2))),
            "PercentPhaseFieldOfView": "100",
            "AcquisitionMatrix": [0, frequency, phase, 0],
            "InPlanePhaseEncodingDirection": "COL",
            "Modality": "MR",
            "SeriesDescription": recipe.description,
        }
    )


def duration_s(source: SimulatedSeries, echo_train: int) -> float:
    """Time that a measurement takes: TR for each shot, all slices of a 2D measurement within one TR."""
    lines = source.acquisition_matrix[1]
    if source.mr_acquisition_type == "3D":
        return source.tr_ms * lines * source.image.GetDepth() / ACCELERATION_3D / 1000
    return source.tr_ms * max(1, round(lines / echo_train)) / 1000


def phase_start_s(source: SimulatedSeries) -> float:
    """Start of a DCE phase in s after the start of the study; its phase time is the centre of k-space."""
    assert source.phase_time_s is not None
    return INJECTION_S + source.phase_time_s - duration_s(source, 1) / 2


def bolus(session: Session, digits: int) -> Dataset:
    """Contrast/bolus module (PS3.3 C.7.6.4) as a technologist fills it in; the start time is the injection."""
    return standard(
        {
            "ContrastBolusAgent": "Gadobutrol 1.0 mmol/ml",
            "ContrastBolusRoute": "IV",
            "ContrastBolusVolume": "7.5",
            "ContrastBolusStartTime": session.time(INJECTION_S, digits),
            "ContrastBolusTotalDose": "7.5",
            "ContrastFlowRate": "2",
        }
    )


def window(images: Sequence[sitk.Image]) -> Dataset:
    """Window over the 1st to 99.5th percentile of all images."""
    values = np.concatenate([sitk.GetArrayViewFromImage(image)[:, ::4, ::4].ravel() for image in images])
    low, high = np.percentile(values, (1, 99.5))
    width = max(2, round(high - low))
    return standard({"WindowCenter": str(round((low + high) / 2)), "WindowWidth": str(width)})


def b_text(sources: Sequence[SimulatedSeries], separator: str) -> str:
    """The b-values of a run in whole s/mm², such as ``0_800``."""
    return separator.join(str(round(source.b_value or 0)) for source in sources)
