"""One patient in one scanner: what is fixed before the first measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from models.phantom.acquisition import CoilField, draw_coil_field
from models.phantom.contrast_kinetics import ARRIVAL_S
from models.phantom.contrasts import (
    DiffusionWeighted,
    Dynamic,
    T2Weighted,
    b_values,
    brightest,
    draw_phase_times,
)
from models.phantom.lattice import Array
from models.phantom.measuring import Exposure, measure
from models.phantom.planning import Measurement, plan
from models.phantom.scanners import Scanner
from models.phantom.specimen import Contrast, Patient, draw_patient
from models.phantom.streams import stream
from models.phantom.tissue import draw_properties

BRIGHT = 1000.0
"""The brightest tissues of a series come to about this value (arbitrary units)."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One image volume to acquire: whose measurement it belongs to, its own name, and its contrast."""

    measurement: str
    name: str
    contrast: Contrast
    b_value: float | None = None
    phase_time_s: float | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """Patient, plan, timing; coil field and gain of each measurement."""

    patient: Patient
    scanner: Scanner
    plan: Mapping[str, Measurement]
    phase_times_s: Mapping[str, float]
    arrival_s: float
    coils: Mapping[str, CoilField]
    gains: Mapping[str, float]

    def t2(self, measurement: str = "T2WI") -> Volume:
        """A T2-weighted volume: axial, sagittal or localizer by the name of its measurement."""
        return Volume(measurement, measurement, T2Weighted(self.plan[measurement].protocol))

    def diffusion(self, b_value: float) -> Volume:
        """The diffusion-weighted volume at a b-value."""
        contrast = DiffusionWeighted(self.scanner.dwi, b_value)
        return Volume("DWI", f"DWI b{b_value:g}", contrast, b_value=b_value)

    def dynamic(self, phase: str) -> Volume:
        """The volume of a dynamic phase."""
        time = self.phase_times_s[phase]
        contrast = Dynamic(self.scanner.dce, self.scanner.field_strength_t, time, self.arrival_s)
        return Volume("DCE", f"DCE {phase}", contrast, phase_time_s=time, phase=phase)

    def acquire(self, exposure: Exposure, volume: Volume) -> Array:
        """The volume as the scanner stores it: whole numbers in float32, z-y-x."""
        image = measure(
            exposure,
            volume.contrast,
            self.coils[volume.measurement],
            self.gains[volume.measurement],
            self.scanner.field_strength_t,
            stream(self.patient.seed, self.scanner.name, "noise", volume.name),
        )
        return image.round()


def open_session(seed: int, scanner: Scanner) -> Session:
    """Patient `seed` on the table of `scanner`."""
    patient = draw_patient(seed)
    measurements = plan(scanner, patient.anatomy, seed)
    rng = stream(seed, scanner.name, "session")
    times = draw_phase_times(rng)
    arrival = ARRIVAL_S + float(rng.uniform(-2, 3))
    field = scanner.field_strength_t
    coils = {
        name: draw_coil_field(stream(seed, scanner.name, "coil", name), patient.anatomy.deformation.offset, field)
        for name in measurements
    }
    reference: dict[str, Contrast] = {
        name: T2Weighted(measurement.protocol)
        for name, measurement in measurements.items()
        if name not in ("DWI", "DCE")
    } | {
        "DWI": DiffusionWeighted(scanner.dwi, b_values(scanner)[0]),
        "DCE": Dynamic(scanner.dce, field, times["PORTAL_VENOUS"], arrival),
    }
    tissues = draw_properties(stream(seed, "tissue"), field)
    gains = {
        name: BRIGHT * float(rng.uniform(0.8, 1.25)) / brightest(contrast, tissues)
        for name, contrast in reference.items()
    }
    return Session(patient, scanner, measurements, times, arrival, coils, gains)
