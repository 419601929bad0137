"""Whole examinations and single cases of the digital pelvis, with their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from models.research.phantom.contrasts import PHASES, b_values
from models.research.phantom.grade import TumourBiology, parameters
from models.research.phantom.lattice import Array, Index, covering
from models.research.phantom.measuring import Exposure, expose, measure_thin, thin_slices, tumour_mask
from models.research.phantom.scanners import Scanner
from models.research.phantom.session import Session, Volume, open_session
from models.research.phantom.sex import Sex
from models.research.phantom.specimen import draw_patient
from models.research.phantom.truth import tissue_labels, tumour_truth
from models.research.phantom.tumour import TumourForm
from models.sequence import Sequence
from models.volume import Grid, image_from, volume_ml

MARGIN_MM = 20.0
"""Margin around the tumour of a case's `region="tumour"`."""
LEAST_SIGNAL_FOR_ADC = 40.0
"""Below this b 0 signal (arbitrary units) an ADC map holds 0, as scanners do in air."""


@dataclass(frozen=True, slots=True)
class SimulatedSeries:
    """One volume with its acquisition facts.

    kind: LOCALIZER, T2WI_SAG, T2WI, DWI, ADC, DCE or SUBTRACTION; image: float32 of whole numbers (ADC in
    10⁻⁶ mm²/s); b_value in s/mm²; phase_time_s: centre of k-space after injection, negative before it;
    acquisition_matrix: columns (read-out), rows (phase encoding).
    """

    kind: str
    image: sitk.Image
    tr_ms: float
    te_ms: float
    flip_deg: float
    slice_thickness_mm: float
    acquisition_matrix: tuple[int, int]
    mr_acquisition_type: str
    b_value: float | None = None
    phase_time_s: float | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of a simulated patient.

    tumour_mask: uint8, 0.6 mm isotropic around the tumour, LPS, as the patient lay in the axial T2 series; label: 0
    low, 1 high grade; oracle: the drawn parameters, by which the label's oracle is computed; form: site and shape of
    the tumour. Without a tumour the mask is empty (around the middle of the rectum), the volume 0, and label, oracle
    and form are None.
    """

    tumour_mask: sitk.Image
    label: int | None
    oracle: TumourBiology | None
    form: TumourForm | None
    tumour_volume_ml: float
    sex: Sex = Sex.MALE

    def parameters(self) -> dict[str, float]:
        """The oracle's parameters by name, its probability of high grade among them; none without a tumour."""
        return {} if self.oracle is None else parameters(self.oracle)


@dataclass(frozen=True, slots=True)
class SimulatedStudy:
    """One examination: every volume that the scanner would send, and the truth."""

    seed: int
    scanner: Scanner
    truth: Truth
    series: tuple[SimulatedSeries, ...]
    sex: Sex = Sex.MALE


@dataclass(frozen=True, slots=True)
class SimulatedCase:
    """The three analysed contrasts of one patient, each with the tumour mask (uint8) on its own grid.

    A mask holds what is tumour in that image: moved as the patient has moved since the T2 series, and in the DWI
    displaced by the magnetic field as the image is (`phantom.effects`). Without a tumour the masks are empty,
    the volume is 0, and label, oracle and form are None.
    """

    seed: int
    scanner: Scanner
    images: Mapping[Sequence, sitk.Image]
    masks: Mapping[Sequence, sitk.Image]
    label: int | None
    oracle: TumourBiology | None
    form: TumourForm | None
    tumour_volume_ml: float
    sex: Sex = Sex.MALE


def simulate_study(seed: int, scanner: Scanner) -> SimulatedStudy:
    """The examination of patient `seed` on `scanner`; the same arguments give the same bytes.

    Series in the order of acquisition: 3 localizer planes, sagittal and axial T2, DWI (2 b-values), ADC, DCE (pre,
    arterial, portal-venous, delayed), subtraction (portal-venous - pre).
    """
    session = open_session(seed, scanner)
    mask = tumour_truth(session.patient)
    series = (
        *(_anatomical(session, f"LOCALIZER_{plane}") for plane in range(3)),
        _anatomical(session, "T2WI_SAG"),
        _anatomical(session, "T2WI"),
        *_diffusion(session),
        *_dynamic(session),
    )
    return SimulatedStudy(seed, scanner, _truth(session, mask), series, session.patient.anatomy.sex)


def simulate_case(seed: int, scanner: Scanner, region: str | None = None) -> SimulatedCase:
    """T2WI, high-b DWI and portal-venous phase of patient `seed`, with masks.

    `region="tumour"` simulates only a box of the tumour and 20 mm around it (without one: the middle of the rectum):
    the same anatomy and physics, other noise.
    """
    session = open_session(seed, scanner)
    truth = tumour_truth(session.patient)
    images, masks = {}, {}
    for sequence, volume in _analysed(session).items():
        exposure = _expose(session, volume, truth if region == "tumour" else None)
        images[sequence] = image_from(session.acquire(exposure, volume), exposure.grid)
        masks[sequence] = image_from(tumour_mask(exposure, volume.effects), exposure.grid)
    facts = _truth(session, truth)
    return SimulatedCase(
        seed,
        scanner,
        images,
        masks,
        facts.label,
        facts.oracle,
        facts.form,
        facts.tumour_volume_ml,
        facts.sex,
    )


def high_resolution(study: SimulatedStudy | SimulatedCase, sequence: Sequence, region: str | None = None) -> sitk.Image:
    """Noise-free reference (float32) of a sequence: same in-plane grid, slices of a quarter of the slice distance.

    Edge aligned with the acquired volume of the same `region`, on the same intensity scale, moved and displaced alike.
    """
    session = open_session(study.seed, study.scanner)
    truth = tumour_truth(session.patient) if region == "tumour" else None
    volume = _analysed(session)[sequence]
    exposure = _expose(session, volume, truth, thin=True)
    receiver = session.conditions[volume.measurement].receiver
    grid, image = measure_thin(exposure, volume.signal, receiver, volume.effects)
    return image_from(image, grid)


def tissue_label_map(study: SimulatedStudy | SimulatedCase, spacing_mm: float = 2.0) -> sitk.Image:
    """Labels (uint8, `models.research.phantom.tissue.Tissue`) of the whole pelvis on an isotropic LPS grid."""
    return tissue_labels(draw_patient(study.seed), spacing_mm)


def _analysed(session: Session) -> dict[Sequence, Volume]:
    """The volume of each analysed sequence."""
    return {
        Sequence.T2WI: session.t2(),
        Sequence.DWI: session.diffusion(b_values(session.scanner)[1]),
        Sequence.PVP: session.dynamic("PORTAL_VENOUS"),
    }


def _expose(session: Session, volume: Volume, around: sitk.Image | None, thin: bool = False) -> Exposure:
    """The volume's measurement sampled, all of it or only around a mask."""
    measurement = session.plan[volume.measurement]
    if thin:
        measurement = thin_slices(measurement)
    part = None if around is None else _part(measurement.grid, around)
    patient = session.conditions[volume.measurement].patient
    return expose(patient, session.scanner.field_strength_t, measurement, part, volume.effects)


def _part(grid: Grid, mask: sitk.Image) -> tuple[Index, Index]:
    """Index range of `grid` that covers what is in the mask, or all of an empty one, and the margin around it."""
    array = sitk.GetArrayViewFromImage(mask)
    found = np.argwhere(array if array.any() else np.ones_like(array))[:, ::-1] * np.asarray(mask.GetSpacing())
    lower = found.min(axis=0) + mask.GetOrigin() - MARGIN_MM
    upper = found.max(axis=0) + mask.GetOrigin() + MARGIN_MM
    return covering(grid, lower, upper)


def _anatomical(session: Session, name: str) -> SimulatedSeries:
    volume = session.t2(name)
    exposure = _expose(session, volume, None)
    return _series(session, volume, exposure, session.acquire(exposure, volume))


def _diffusion(session: Session) -> tuple[SimulatedSeries, ...]:
    """The b-images and the ADC map calculated from them."""
    volumes = [session.diffusion(b_value) for b_value in b_values(session.scanner)]
    exposure = _expose(session, volumes[0], None)
    images = [session.acquire(exposure, volume) for volume in volumes]
    low, high = volumes
    adc = apparent_diffusion(images[0], images[1], (high.b_value or 0) - (low.b_value or 0))
    series = [_series(session, volume, exposure, image) for volume, image in zip(volumes, images, strict=True)]
    return (*series, replace(_series(session, high, exposure, adc), kind="ADC", b_value=None))


def apparent_diffusion(low: Array, high: Array, difference: float) -> Array:
    """ADC in 10⁻⁶ mm²/s from two images and the difference of their b-values; 0 where there is no signal.

    Both are (z, y, x).
    """
    adc = np.log(np.maximum(low, 1) / np.maximum(high, 1)) / np.float32(difference) * np.float32(1e6)
    return np.where(low >= LEAST_SIGNAL_FOR_ADC, np.clip(adc, 0, 4095), 0).round().astype(np.float32)


def _dynamic(session: Session) -> tuple[SimulatedSeries, ...]:
    """The phases and portal-venous minus pre-contrast (negative differences cut off, as scanners do)."""
    volumes = [session.dynamic(phase) for phase in PHASES]
    exposure = _expose(session, volumes[0], None)
    images = {volume.phase: session.acquire(exposure, volume) for volume in volumes}
    difference = np.maximum(images["PORTAL_VENOUS"] - images["PRE"], 0)
    series = [_series(session, volume, exposure, images[volume.phase]) for volume in volumes]
    subtraction = _series(session, session.dynamic("PORTAL_VENOUS"), exposure, difference)
    return (*series, replace(subtraction, kind="SUBTRACTION"))


def _series(session: Session, volume: Volume, exposure: Exposure, image: Array) -> SimulatedSeries:
    protocol = exposure.measurement.protocol
    return SimulatedSeries(
        kind=exposure.measurement.kind,
        image=image_from(image.astype(np.float32), exposure.grid),
        tr_ms=protocol.tr_ms,
        te_ms=protocol.te_ms,
        flip_deg=protocol.flip_deg,
        slice_thickness_mm=protocol.slice_thickness_mm,
        acquisition_matrix=protocol.matrix,
        mr_acquisition_type=protocol.mr_acquisition_type,
        b_value=volume.b_value,
        phase_time_s=volume.phase_time_s,
        phase=volume.phase,
    )


def _truth(session: Session, mask: sitk.Image) -> Truth:
    anatomy, biology = session.patient.anatomy, session.patient.biology
    return Truth(
        tumour_mask=mask,
        label=None if biology is None else biology.grade,
        oracle=biology,
        form=None if anatomy.tumour is None else anatomy.tumour.form,
        tumour_volume_ml=volume_ml(mask),
        sex=anatomy.sex,
    )
