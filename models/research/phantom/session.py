"""One patient in one scanner: what is fixed before the first measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.research.phantom.acquisition import draw_coil_field
from models.research.phantom.contrast_kinetics import ARRIVAL_S
from models.research.phantom.contrasts import (
    DiffusionWeighted,
    Dynamic,
    T2Weighted,
    b_values,
    brightest,
    draw_phase_times,
)
from models.research.phantom.effects import HZ_PER_PPM_AND_T, Displacement, Effects
from models.research.phantom.field import field_map
from models.research.phantom.lattice import Array
from models.research.phantom.measuring import Exposure, Receiver, Signal, measure
from models.research.phantom.motion import at_measurement, draw_ghost, draw_sway
from models.research.phantom.planning import Measurement, plan
from models.research.phantom.protocols import as_set_up
from models.research.phantom.scanners import Protocol, Scanner
from models.research.phantom.specimen import Contrast, Patient, draw_patient
from models.research.phantom.streams import stream
from models.research.phantom.tissue import draw_properties

BRIGHT = 1000.0
"""The brightest tissues of a series come to about this value (arbitrary units)."""
FOLD_SHARE = 0.08
"""Share of T2 and dynamic series whose phase oversampling was too small (an assumption)."""
B1_DEVIATION = {True: 0.08, False: 0.03}
"""Standard deviation of the flip angle's factor in the pelvis, at 3 T and below (an assumption of the usual order)."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One image volume to acquire: its measurement, its own name, its signal, and what happens to it."""

    measurement: str
    name: str
    signal: Signal
    effects: Effects
    b_value: float | None = None
    phase_time_s: float | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """One measurement on its day: the patient as he lies, receiver, effects, flip angle's factor, fat suppression."""

    patient: Patient
    receiver: Receiver
    effects: Effects
    b1: float
    fat_residue: float


@dataclass(frozen=True, slots=True)
class Session:
    """Patient, scanner with its protocols as set up, plan, timing, and the conditions of each measurement."""

    patient: Patient
    scanner: Scanner
    plan: Mapping[str, Measurement]
    phase_times_s: Mapping[str, float]
    arrival_s: float
    conditions: Mapping[str, Conditions]

    def t2(self, measurement: str = "T2WI") -> Volume:
        """A T2-weighted volume: axial, sagittal or localizer by the name of its measurement."""
        conditions = self.conditions[measurement]
        contrast = T2Weighted(_turned(self.plan[measurement].protocol, conditions.b1))
        return Volume(measurement, measurement, Signal(contrast), conditions.effects)

    def diffusion(self, b_value: float) -> Volume:
        """The diffusion-weighted volume at a b-value."""
        conditions = self.conditions["DWI"]
        water, fat = (
            DiffusionWeighted(self.scanner.dwi, b_value, fat, conditions.fat_residue) for fat in (False, True)
        )
        return Volume("DWI", f"DWI b{b_value:g}", Signal(water, fat), conditions.effects, b_value=b_value)

    def dynamic(self, phase: str) -> Volume:
        """The volume of a dynamic phase."""
        conditions, time = self.conditions["DCE"], self.phase_times_s[phase]
        protocol = _turned(self.scanner.dce, conditions.b1)
        contrast = Dynamic(protocol, self.scanner.field_strength_t, time, self.arrival_s, _shows_fat(self.patient))
        rng = stream(self.patient.seed, self.scanner.name, "sway", phase)
        effects = replace(conditions.effects, sway=draw_sway(conditions.patient.anatomy, phase, rng))
        return Volume("DCE", f"DCE {phase}", Signal(contrast), effects, phase_time_s=time, phase=phase)

    def acquire(self, exposure: Exposure, volume: Volume) -> Array:
        """The volume as the scanner stores it: whole numbers in float32, z-y-x."""
        image = measure(
            exposure,
            volume.signal,
            self.conditions[volume.measurement].receiver,
            volume.effects,
            self.scanner.field_strength_t,
            stream(self.patient.seed, self.scanner.name, "noise", volume.name),
        )
        return image.round()


def open_session(seed: int, scanner: Scanner) -> Session:
    """Patient `seed` on the table of `scanner`."""
    patient = draw_patient(seed)
    scanner = as_set_up(scanner, stream(seed, scanner.name, "protocol"))
    measurements = plan(scanner, patient.anatomy, seed)
    rng = stream(seed, scanner.name, "session")
    times = draw_phase_times(rng)
    arrival = ARRIVAL_S + float(rng.uniform(-2, 3))
    tissues = draw_properties(stream(seed, "tissue"), scanner.field_strength_t)
    conditions = {}
    for name, measurement in measurements.items():
        portal = Dynamic(scanner.dce, scanner.field_strength_t, times["PORTAL_VENOUS"], arrival, _shows_fat(patient))
        reference = _reference(name, measurement, scanner, portal)
        conditions[name] = _conditions(patient, scanner, measurement, name, brightest(reference, tissues))
    return Session(patient, scanner, measurements, times, arrival, conditions)


def _shows_fat(patient: Patient) -> bool:
    return patient.look is not None and patient.look.fat_shown


def _reference(name: str, measurement: Measurement, scanner: Scanner, portal: Dynamic) -> Contrast:
    """The contrast by which the gain of a measurement is set."""
    if name == "DWI":
        return DiffusionWeighted(scanner.dwi, b_values(scanner)[0])
    if name == "DCE":
        return portal
    return T2Weighted(measurement.protocol)


def _conditions(
    patient: Patient, scanner: Scanner, measurement: Measurement, name: str, brightest_signal: float
) -> Conditions:
    """Conditions of a measurement; each kind of chance from its own stream."""

    def chance(what: str) -> np.random.Generator:
        return stream(patient.seed, scanner.name, what, name)

    anatomy = at_measurement(patient.anatomy, name, chance("motion"))
    field_t = scanner.field_strength_t
    coil = draw_coil_field(chance("coil"), anatomy.deformation.offset, field_t)
    rng = chance("receiver")
    gain = BRIGHT * float(rng.uniform(0.8, 1.25)) / brightest_signal
    noise = float(np.exp(rng.uniform(np.log(0.5), np.log(1.5))))
    b1 = float(np.clip(rng.normal(1, B1_DEVIATION[field_t > 2]), 0.75, 1.2))
    residue = float(np.exp(rng.normal(0, 0.4)))
    moved = replace(patient, anatomy=anatomy)
    effects = _effects(moved, patient, scanner, measurement, chance("artefact"))
    return Conditions(moved, Receiver(coil, gain, noise), effects, b1, residue)


def _effects(
    moved: Patient, patient: Patient, scanner: Scanner, measurement: Measurement, rng: np.random.Generator
) -> Effects:
    """Effects of a measurement but for the sway of dynamic phases."""
    ghost = draw_ghost(moved.anatomy, rng)
    fold = float(rng.uniform(0.03, 0.12)) if rng.random() < FOLD_SHARE else 0.0
    return Effects(
        displacement=_displacement(moved, patient, scanner, measurement),
        ghost=ghost if measurement.kind == "T2WI" else None,
        fold=fold if measurement.kind in ("T2WI", "DCE") else 0.0,
    )


def _displacement(moved: Patient, patient: Patient, scanner: Scanner, measurement: Measurement) -> Displacement | None:
    """Of the echo-planar series along rows; of the others along columns, near an implant."""
    if measurement.kind != "DWI" and not (patient.anatomy.implant and measurement.kind in ("T2WI", "DCE")):
        return None
    site = stream(0, scanner.name, "field of the site")
    spacing_s, bandwidth_hz = float(site.uniform(0.26e-3, 0.40e-3)), float(site.uniform(250, 450))
    shift = np.subtract(moved.anatomy.deformation.offset, patient.anatomy.deformation.offset)
    field = field_map(patient.seed).moved(shift)
    hz = HZ_PER_PPM_AND_T * scanner.field_strength_t
    protocol = measurement.protocol
    if measurement.kind == "DWI":
        return Displacement(field, rows_mm_per_ppm=hz * spacing_s * protocol.pixel_spacing_mm * protocol.reconstructed)
    return Displacement(field, columns_mm_per_ppm=hz / bandwidth_hz * protocol.pixel_spacing_mm)


def _turned(protocol: Protocol, b1: float) -> Protocol:
    """The protocol with the flip angle that the tissue really gets."""
    return replace(protocol, flip_deg=protocol.flip_deg * b1)
